"""The examples that make a volume from a series: against known geometry, and with series that are not a volume."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, RLELossless, generate_uid

from examples import phantom
from examples.volume import Volume, read_series, slices, stack
from local.azurite import ROOT
from tests.conftest import Server

BUNDLED = Path(pydicom.__file__).parent / "data/test_files/dicomdirtests"
SHAPE = (phantom.SLICES, phantom.ROWS, phantom.COLUMNS)


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return f"{server.base_url}/v2"


@pytest.fixture(scope="module")
def client(url: str) -> DICOMwebClient:
    return DICOMwebClient(url)


def store(url: str, images: Iterable[Dataset]) -> tuple[str, str]:
    """Store the images one by one; return the UIDs of their study and series."""
    with httpx.Client(timeout=60) as http:
        for image in images:
            buffer = BytesIO()
            image.save_as(buffer, enforce_file_format=True)
            headers = {"Content-Type": "application/dicom"}
            assert http.post(f"{url}/studies", content=buffer.getvalue(), headers=headers).status_code == 200
    return image.StudyInstanceUID, image.SeriesInstanceUID


def run(url: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run Python in the checkout, on the service at `url`."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "DICOMWEB_URL": url}, capture_output=True, text=True)  # noqa: S603


def volume_of(images: Iterable[Dataset]) -> Volume:
    return stack(frame for image in images for frame in slices(image))


def is_the_phantom(voxels: NDArray[np.float32], affine: NDArray[np.float64]) -> None:
    """Check that each voxel has the phantom's value where the affine leads, and that the affine is right."""
    assert voxels.shape == SHAPE
    indices = np.indices(SHAPE)
    places = np.moveaxis(np.tensordot(affine[:3, :3], indices, axes=1), 0, -1) + affine[:3, 3]
    np.testing.assert_allclose(places, phantom.position(*indices), atol=1e-6)
    assert (voxels == phantom.hounsfield_units(places)).all()
    assert set(np.unique(voxels)) == {phantom.AIR, phantom.SPHERE, phantom.MARKER}


def enhanced(images: list[Dataset]) -> Dataset:
    """The images as the frames of one, in their order (PS3.3 A.38)."""
    whole = Dataset()
    whole.update({element.tag: element for element in images[0] if element.tag.group in (0x0010, 0x0020, 0x0028)})
    whole.SOPClassUID, whole.SOPInstanceUID = EnhancedCTImageStorage, generate_uid()
    whole.Modality, whole.NumberOfFrames = "CT", len(images)
    shared, orientation, measures, rescale = Dataset(), Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = images[0].ImageOrientationPatient
    measures.PixelSpacing = images[0].PixelSpacing
    rescale.RescaleSlope, rescale.RescaleIntercept = images[0].RescaleSlope, images[0].RescaleIntercept
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    shared.PixelValueTransformationSequence = [rescale]
    whole.SharedFunctionalGroupsSequence, whole.PerFrameFunctionalGroupsSequence = [shared], []
    for image in images:
        groups, place = Dataset(), Dataset()
        place.ImagePositionPatient = image.ImagePositionPatient
        groups.PlanePositionSequence = [place]
        whole.PerFrameFunctionalGroupsSequence.append(groups)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        del whole[keyword]
    del whole.RescaleSlope, whole.RescaleIntercept
    whole.PixelData = b"".join(image.PixelData for image in images)
    whole["PixelData"].VR = "OW"
    whole.file_meta = images[0].file_meta
    return whole


def test_a_series_of_slices(url: str, tmp_path: Path) -> None:
    """As a user makes and reads it: slices in no order, some of them compressed."""
    made = run(url, "-m", "examples.phantom", tmp_path)
    images = [pydicom.dcmread(path) for path in sorted(tmp_path.iterdir())]
    for image in images[::8]:
        image.compress(RLELossless)
    uids = store(url, images)
    assert (made.stdout, made.stderr) == ("Study: {}\nSeries: {}\n".format(*uids), "")
    done = run(url, "-m", "examples.volume", *uids, "--to", tmp_path / "volume.npz")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Voxels: 24 x 48 x 40 (slices, rows, columns)\n" in done.stdout
    assert "Values: -1000 to 900, " in done.stdout
    assert "Spacing: 2.5 x 0.8 x 1.2 mm\n" in done.stdout
    with np.load(tmp_path / "volume.npz") as saved:
        is_the_phantom(saved["voxels"], saved["affine"])


def test_an_enhanced_image_of_many_frames(url: str, client: DICOMwebClient) -> None:
    volume = read_series(client, *store(url, [enhanced(phantom.series())]))
    is_the_phantom(volume.voxels, volume.affine)


def test_a_scanners_series(url: str, client: DICOMwebClient) -> None:
    images = [pydicom.dcmread(path) for path in sorted((BUNDLED / "98892001/CT5N").iterdir())]
    heights = [float(image.ImagePositionPatient[2]) for image in images]
    assert heights != sorted(heights)
    volume = read_series(client, *store(url, images))
    upwards = [image for _, image in sorted(zip(heights, images, strict=True), key=lambda pair: pair[0])]
    for voxels, image in zip(volume.voxels, upwards, strict=True):
        assert (voxels == image.pixel_array.astype(float) * image.RescaleSlope + image.RescaleIntercept).all()
    rows, columns = map(float, images[0].PixelSpacing)
    np.testing.assert_allclose(volume.spacing, [2.5, rows, columns])
    # Axial: slices upwards, rows to the back, columns to the left; to the front and right in RAS.
    x, y, _ = map(float, images[0].ImagePositionPatient)
    expected = np.array([[0, 0, columns, x], [0, rows, 0, y], [2.5, 0, 0, min(heights)], [0, 0, 0, 1]], float)
    np.testing.assert_allclose(volume.affine, expected, atol=1e-9)
    np.testing.assert_allclose(volume.affine_ras, expected * [[-1], [-1], [1], [1]], atol=1e-9)


def test_slices_of_a_tilted_gantry_are_shifted_by_the_affine() -> None:
    images = phantom.series()
    for image in images:
        height = (np.array(image.ImagePositionPatient, float) - phantom.ORIGIN) @ phantom.NORMAL
        image.ImagePositionPatient = list(np.array(image.ImagePositionPatient, float) + 0.25 * height * phantom.COLUMN)
    volume = volume_of(images)
    np.testing.assert_allclose(volume.affine[:3, 0], 2.5 * (phantom.NORMAL + 0.25 * phantom.COLUMN), atol=1e-6)


def without_a_slice(images: list[Dataset]) -> list[Dataset]:
    return [image for image in images if image.InstanceNumber != middle(images).InstanceNumber]


def middle(images: list[Dataset]) -> Dataset:
    """A slice that is neither the first nor the last by position."""
    return sorted(images, key=lambda image: np.array(image.ImagePositionPatient, float) @ phantom.NORMAL)[9]


def changed(**attributes: Any) -> Callable[[list[Dataset]], list[Dataset]]:
    """The images, one of them with other attributes; None takes one away."""

    def change(images: list[Dataset]) -> list[Dataset]:
        for keyword, value in attributes.items():
            if value is None:
                del middle(images)[keyword]
            else:
                setattr(middle(images), keyword, value)
        return images

    return change


def two_frames_without_places(images: list[Dataset]) -> list[Dataset]:
    images[0].NumberOfFrames = 2
    return images


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (without_a_slice, "2.500 to 5.000 mm apart"),
        (lambda images: [*images, *images], "0.000 to 2.500 mm apart"),
        (lambda images: images[:1] * 2, "0.000 to 0.000 mm apart"),
        (lambda images: images[:1], "two or more slices, not 1"),
        (lambda images: [], "two or more slices, not 0"),
        (changed(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]), "differ in size, direction"),
        (changed(PixelSpacing=[0.8, 0.8]), "differ in size, direction or pixel spacing"),
        (changed(Rows=phantom.COLUMNS, Columns=phantom.ROWS), "differ in size"),
        (changed(ImageOrientationPatient=None), "no ImageOrientationPatient"),
        (changed(PixelSpacing=None), "no PixelSpacing"),
        (changed(PixelData=None), "not a gray image"),
        (changed(SamplesPerPixel=3), "not a gray image"),
        (two_frames_without_places, "not a gray image with a position for each frame"),
    ],
)
def test_what_is_not_a_volume(broken: Callable[[list[Dataset]], list[Dataset]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        volume_of(broken(phantom.series()))


def test_a_scanners_series_with_a_gap_is_refused(url: str) -> None:
    """As a user sees it: three slices close together, and one far away."""
    uids = store(url, [pydicom.dcmread(path) for path in sorted((BUNDLED / "77654033/CT2").iterdir())])
    done = run(url, "-m", "examples.volume", *uids)
    assert done.returncode == 1
    assert done.stderr == (
        "Slices are 1.250 to 202.500 mm apart: some are missing or uneven, or several volumes lie in the same place.\n"
    )


WHERE_THE_MARKER_IS = """
import sys, torch
from examples.monai_volume import TRANSFORMS, Dataset

image = Dataset([dict(zip(("study", "series"), sys.argv[1:]))], TRANSFORMS)[0]["image"]
index = torch.argwhere(image.as_tensor()[0] > 0.9).double().mean(0)
print(*image.shape, *(image.affine @ torch.cat([index, torch.ones(1)]).double())[:3].tolist())
"""


@pytest.mark.skipif(not all(map(find_spec, ("monai", "torch", "nibabel"))), reason="MONAI is not installed")
def test_monai_has_the_marker_in_its_place(url: str) -> None:
    """The middle of the phantom's marker, in the transforms' image, is where it is in the patient."""
    done = run(url, "-c", WHERE_THE_MARKER_IS, *store(url, phantom.series()))
    assert done.returncode == 0, done.stderr
    channels, *size_and_place = map(float, done.stdout.split())
    assert channels == 1
    assert min(size_and_place[:3]) >= 20
    x, y, z = phantom.position(*map(np.array, phantom.MARKER_CENTRE))
    np.testing.assert_allclose(size_and_place[3:], [-x, -y, z], atol=0.5)  # RAS; voxels are of 2 mm
