"""The samples: whole files of sound studies, new ones at each call."""

import subprocess
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from local.azurite import ROOT
from tests.support import dcmtk
from tests.support.command_line import run

COUNTS = {"CT": 60, "MR": 40, "US": 1, "CR": 1, "SR": 1, "DOC": 1}
RANGES = (("air", -1100, -950), ("lung", -900, -780), ("fat", -130, -70), ("tissue", 20, 70), ("bone", 300, 700))
NOWHERE = "http://localhost:1/v2"  # it needs no server

# What PS3.3 has as type 1 in the modules of each, beyond what any instance has.
REQUIRED = {
    "CT": "ImageType PixelSpacing ImageOrientationPatient ImagePositionPatient FrameOfReferenceUID RescaleIntercept "
    "RescaleSlope PatientPosition",
    "MR": "ImageType PixelSpacing ImageOrientationPatient ImagePositionPatient FrameOfReferenceUID ScanningSequence "
    "SequenceVariant PatientPosition",
    "US": "FrameIncrementPointer FrameTime NumberOfFrames LossyImageCompression PlanarConfiguration",
    "CR": "ImageType ImagerPixelSpacing WindowCenter WindowWidth",
    "SR": "CompletionFlag VerificationFlag ValueType ContinuityOfContent ConceptNameCodeSequence ContentSequence",
    "DOC": "ConversionType BurnedInAnnotation MIMETypeOfEncapsulatedDocument EncapsulatedDocument",
}


def written(folder: Path) -> dict[str, list[Dataset]]:
    """The data sets that a call leaves in the folder, by modality, in the order of series and instances."""
    found: dict[str, list[Dataset]] = {modality: [] for modality in COUNTS}
    for path in folder.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        assert path == folder / dataset.Modality / f"{dataset.SOPInstanceUID}.dcm"
        found[dataset.Modality].append(dataset)
    for datasets in found.values():
        datasets.sort(key=lambda one: (one.SeriesNumber, one.InstanceNumber))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("samples") / "new"
    lines = run("samples", made, url=NOWHERE).stdout.splitlines()
    assert [(int(line.split()[0]), Path(line.split()[1])) for line in lines] == [
        (count, made / modality) for modality, count in COUNTS.items()
    ]
    return made


@pytest.fixture(scope="module")
def samples(folder: Path) -> dict[str, list[Dataset]]:
    return written(folder)


def test_there_is_a_study_of_each_kind(folder: Path, samples: dict[str, list[Dataset]]) -> None:
    assert {modality: len(datasets) for modality, datasets in samples.items()} == COUNTS
    assert sum(path.stat().st_size for path in folder.rglob("*.dcm")) < 15_000_000
    for modality, datasets in samples.items():
        assert len({one.StudyInstanceUID for one in datasets}) == 1
        assert len({one.SeriesInstanceUID for one in datasets}) == (2 if modality == "MR" else 1)
        assert {str(one.PatientName) for one in datasets} == {f"Synthetic^{modality}"}
        for one in datasets:
            assert not [keyword for keyword in REQUIRED[modality].split() if one.get(keyword) in (None, "")]


def test_a_second_call_makes_other_studies_with_the_same_pixels(
    samples: dict[str, list[Dataset]], tmp_path: Path
) -> None:
    run("samples", tmp_path, url=NOWHERE)
    again = written(tmp_path)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        first, second = (
            {one.get(keyword) for datasets in call.values() for one in datasets} - {None} for call in (samples, again)
        )
        assert len(first) == len(second)
        assert not first & second
    for modality, datasets in samples.items():
        pairs = zip(datasets, again[modality], strict=True)
        assert all(one.get("PixelData") == other.get("PixelData") for one, other in pairs)


def test_slices_are_a_volume(samples: dict[str, list[Dataset]]) -> None:
    for slices, step in ((samples["CT"], 5), (samples["MR"][:20], 6), (samples["MR"][20:], 6)):
        assert len({one.FrameOfReferenceUID for one in slices}) == 1
        assert {tuple(one.ImageOrientationPatient) for one in slices} == {(1, 0, 0, 0, 1, 0)}
        positions = np.array([one.ImagePositionPatient for one in slices], float)
        assert np.diff(positions, axis=0) == pytest.approx(np.tile([0, 0, step], (len(slices) - 1, 1)))
        image = slices[0]
        middle = positions[0, :2] + np.array(image.PixelSpacing, float) * (image.Rows - 1) / 2
        assert middle == pytest.approx([0, 0], abs=1e-6)


def test_a_ct_is_in_hounsfield_units(samples: dict[str, list[Dataset]]) -> None:
    volume = np.stack([one.pixel_array * one.RescaleSlope + one.RescaleIntercept for one in samples["CT"]])
    share = {name: np.mean((volume > low) & (volume < high)) for name, low, high in RANGES}
    assert all(part > 0.01 for part in share.values()), share
    lungs = np.mean((volume > -900) & (volume < -780), axis=(1, 2))
    assert lungs[35] > 0.1 > lungs[0]  # it is not the same picture sixty times


def test_windows_show_what_there_is(samples: dict[str, list[Dataset]]) -> None:
    for image in (*samples["CR"], samples["MR"][10], samples["MR"][30]):
        levels = (image.pixel_array - float(image.WindowCenter)) / float(image.WindowWidth) + 0.5
        assert np.mean((levels > 0) & (levels < 1)) > 0.8
        assert np.std(levels) > 0.1


def test_a_radiograph_has_bright_bones(samples: dict[str, list[Dataset]]) -> None:
    (image,) = samples["CR"]
    assert image.PhotometricInterpretation == "MONOCHROME1"
    stored = image.pixel_array.astype(float)
    spine, lung, air = (
        np.mean(stored[250:280, columns]) for columns in (slice(240, 250), slice(100, 130), slice(0, 5))
    )
    assert spine < lung < air


def test_a_clip_moves_and_has_colours(samples: dict[str, list[Dataset]]) -> None:
    (image,) = samples["US"]
    assert image.NumberOfFrames == 30
    frames = [pixel_array(image, index=index).astype(int) for index in (0, 10, 20)]
    assert frames[0].shape == (image.Rows, image.Columns, 3)
    assert all(np.mean(np.abs(one - other)) > 1 for one, other in pairwise(frames))
    red, _, blue = np.moveaxis(frames[0], -1, 0)
    assert np.mean(red - blue > 100) > 0.01


def test_a_document_is_a_pdf_of_a_page(samples: dict[str, list[Dataset]]) -> None:
    (document,) = samples["DOC"]
    page = document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert page.startswith(b"%PDF-")
    start = int(page.split(b"startxref\n")[1].split()[0])
    assert page[start:].startswith(b"xref\n0 6\n")
    for number, line in enumerate(page[start:].split(b"\n")[3:8], 1):
        assert page[int(line[:10]) :].startswith(b"%d 0 obj\n" % number)
    text = page.partition(b"stream\n")[2].partition(b"\nendstream")[0]
    assert b"/Length %d " % len(text) in page


def texts(items: Iterable[Dataset]) -> str:
    return " ".join(item.get("TextValue", "") + texts(item.get("ContentSequence", ())) for item in items)


def test_a_report_says_something(samples: dict[str, list[Dataset]]) -> None:
    assert "this patient is synthetic" in texts(samples["SR"])


@pytest.mark.parametrize("modality", ["CT", "MR", "CR", "SR", "DOC"])  # it has no JSON of compressed pixels
def test_dcmtk_reads_it(folder: Path, samples: dict[str, list[Dataset]], modality: str) -> None:
    one = samples[modality][0]
    file = (folder / modality / f"{one.SOPInstanceUID}.dcm").read_bytes()
    assert dcmtk.dcm2json(file)["00080018"]["Value"] == [one.SOPInstanceUID]


def test_without_what_makes_pictures_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['numpy'] = None; sys.argv = ['dicomweb', 'samples', 'made'];"
        "from dicomweb_cli.__main__ import main; main()"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"}
    done = subprocess.run(  # noqa: S603 -- our own arguments
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Run `pip install numpy pillow`" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "CT").write_text("no folder")
    assert str(tmp_path / "CT") in run("samples", tmp_path, url=NOWHERE, code=2).output
