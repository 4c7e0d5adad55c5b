"""The comparison with other programs finds what differs, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.conftest import Server
from tests.foreign.__main__ import check_folder
from tests.foreign.file_check import findings
from tests.foreign.frames import frame_differences
from tests.foreign.metadata import metadata_differences
from tests.foreign.pictures import picture_differences
from tests.foreign.transactions import (
    Refused,
    Stored,
    bytes_differences,
    deletion_differences,
    search_differences,
    store,
)
from tests.support.frame_encoders import color_samples, jpeg_rgb
from tests.support.image_matrix import LOSSY_JPEG, RGB, MatrixImage
from tests.support.odd_files import picture
from tests.support.part10_files import part10
from tests.support.served_instances import dataset, new_uid

IMAGE = MatrixImage("", LOSSY_JPEG[0], RGB, jpeg_rgb(color_samples()), color_samples())
OTHER = MatrixImage("", LOSSY_JPEG[0], RGB, jpeg_rgb(color_samples()[::-1].copy()), color_samples())


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.base_url}/v2", timeout=60) as client:
        yield client


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.dcm"


def written(path: Path, file: bytes) -> Path:
    path.write_bytes(file)
    return path


def stored(service: httpx.Client, path: Path) -> str:
    answer = store(service, path)
    assert isinstance(answer, Stored), answer
    return answer.url


def native(syntax: UID, *, is_undefined: bool = False) -> bytes:
    words = bytes(range(8))
    return part10(picture(is_undefined, StudyID="42", RedPaletteColorLookupTableData=words), syntax)


WHOLE = native(ExplicitVRLittleEndian)
SYNTAXES = (ExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian)
ALIKE = {
    **{syntax.name: native(syntax) for syntax in SYNTAXES},
    **{f"{syntax.name}, lengths undefined": native(syntax, is_undefined=True) for syntax in SYNTAXES},
    "JPEG": IMAGE.part10(),
    "preamble": b"MZ" + WHOLE[2:],
    "no preamble": WHOLE[128:],
    "data set alone": WHOLE[WHOLE.index(b"\x08\x00\x16\x00UI") :],
}


@pytest.mark.parametrize("name", ALIKE)
def test_a_file_that_is_read_alike_everywhere(service: httpx.Client, path: Path, name: str) -> None:
    written(path, ALIKE[name])
    url = stored(service, path)
    assert list(findings(service, url, path)) == []
    assert service.get(url).status_code == 404


def test_what_differs_in_pixels_is_told(service: httpx.Client, path: Path) -> None:
    url = stored(service, written(path, IMAGE.part10()))
    written(path, OTHER.part10())
    assert list(frame_differences(service, url, dcmread(path))) == ["frame 1 is not what another decoder reads"]
    (difference,) = picture_differences(service, url, path, dcmread(path))
    assert difference.startswith("the picture differs in ")
    assert {check for check, _ in findings(service, url, path)} == {"bytes", "metadata", "frames", "pictures"}


def test_what_differs_in_native_frames_is_told(service: httpx.Client, path: Path) -> None:
    image = dataset(NumberOfFrames=2, PixelData=bytes(range(32)))
    url = stored(service, written(path, part10(image)))
    image.PixelData = bytes(range(31)) + b"\0"
    written(path, part10(image))
    assert list(frame_differences(service, url, dcmread(path))) == ["frame 2 is not what another decoder reads"]
    assert list(metadata_differences(service, url, path)) == [
        "7FE00010 has another bulk value (pydicom)",
        "7FE00010 has another bulk value (DCMTK)",
    ]


def test_what_differs_in_metadata_is_told_by_each_reader(service: httpx.Client, path: Path) -> None:
    image = picture(
        StudyID="1", PatientComments="kept", PatientAge="042Y", Rows=4,
        RedPaletteColorLookupTableData=b"", GreenPaletteColorLookupTableData=b"\1\2",
    )  # fmt: skip
    url = stored(service, written(path, part10(image)))
    del image.PatientComments
    image.PatientAge = None
    image.Rows = 5
    image.RedPaletteColorLookupTableData, image.GreenPaletteColorLookupTableData = b"\1\2", b""
    image.ImageComments = "new"
    image.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue = "other"
    image.SourceImageSequence[0].StudyID = "1"
    image.StudyID = "2"
    image["StudyID"].VR = "LO"
    written(path, part10(image))
    expected = [
        "00082112[1].00200010 is missing",
        "00082112[1].0040A170[1].00080100 has another value 1",
        "00101010 has 1 values, not 0",
        "00104000 is not in the file",
        "00200010 is SH, not LO",
        "00204000 is missing",
        "00280010 has another value 1",
        "00281201 has another bulk value",
        "00281202 has another bulk value",
    ]
    found = list(metadata_differences(service, url, path))
    assert found == [f"{words} ({reader})" for reader in ("pydicom", "DCMTK") for words in expected]


def test_what_differs_in_bytes_is_told(service: httpx.Client, path: Path) -> None:
    file = ALIKE["data set alone"]
    url = stored(service, written(path, file))
    assert list(bytes_differences(service, url, path)) == []
    for other in (file[:-1] + b"\1", file + b"\0\0", file[:-1], b"\x08\0\0\0UL\4\0\0\0\0\0" + file):
        assert list(bytes_differences(service, url, written(path, other))) == ["is not byte for byte the file"]


def test_what_is_not_found_is_told(service: httpx.Client, path: Path) -> None:
    image = dataset(PatientID="one", StudyDate="20260101")
    url = stored(service, written(path, part10(image)))
    image.PatientID, image.StudyDate = "another", "20260102"
    assert list(search_differences(service, url, image)) == [
        "not found by PatientID: status 204",
        "not found by StudyDate: status 204",
    ]
    image.SOPInstanceUID = new_uid()
    other = stored(service, written(path, part10(image)))
    assert list(search_differences(service, other.replace(image.SOPInstanceUID, new_uid()), image)) == [
        "not found by StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID: status 204",
        "not found by PatientID: status 200",
        "not found by StudyDate: status 200",
    ]


def test_what_is_left_is_told(service: httpx.Client, path: Path) -> None:
    image = dataset()
    url = stored(service, written(path, part10(image)))
    image.SOPInstanceUID = new_uid()
    stored(service, written(path, part10(image)))
    assert list(deletion_differences(service, url)) == [
        f"{image.StudyInstanceUID} is still there: status 200",
        *(f"a search of {resource} still finds it" for resource in ("studies", "series", "instances")),
    ]
    assert next(deletion_differences(service, url)) == "status 404"


def test_what_cannot_be_read_is_told(service: httpx.Client, path: Path) -> None:
    url = stored(service, written(path, part10(dataset())))
    path.unlink()
    assert ("bytes", "cannot be checked: FileNotFoundError") in list(findings(service, url, path))


def test_a_folder(service: httpx.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    files = {
        "folder/image.dcm": part10(dataset(PatientName="Nobody^Printed")),
        "cut.dcm": IMAGE.part10()[:-20],
        "nobody.dcm": part10(dataset(PatientID=None)),
        "text.txt": b"hello, world",
        "empty": b"",
    }
    for name, file in files.items():
        written(tmp_path / name, file)
    assert check_folder(service, tmp_path) == 0
    cut = "reason 272: The file is cut short in its Pixel Data."
    nobody = "reason 43264: DICOM100: (0010,0020) - PatientID is required and is missing."
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/cut.dcm: refused: {cut}",
        f"{tmp_path}/nobody.dcm: refused: {nobody}",
        "Stored: 1. Refused: 2. Not DICOM: 2. Differing: 0.",
        f"Refused, 1: {cut}",
        f"Refused, 1: {nobody}",
    ]


def test_a_folder_in_which_something_differs(
    service: httpx.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Pixels of 32 bits in words of 16, which the service and DCMTK turn over one by one, and pydicom pixel by pixel.
    image = dataset(BitsAllocated=32, BitsStored=32, HighBit=31, PixelData=bytes(range(64)))
    image["PixelData"].VR = "OW"
    path = written(tmp_path / "dose.dcm", part10(image, ExplicitVRBigEndian))
    assert check_folder(service, tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: frames: frame 1 is not what another decoder reads",
        "Stored: 1. Refused: 0. Not DICOM: 0. Differing: 1.",
        "Differing, 1: frames",
    ]


def test_an_answer_that_is_no_refusal_by_the_rules(path: Path) -> None:
    written(path, part10(dataset()))
    for status, body, reason in (
        (500, b"no JSON", "status 500: "),
        (503, b'{"detail": "Storage does not answer."}', "status 503: Storage does not answer."),
    ):
        transport = httpx.MockTransport(lambda _, status=status, body=body: httpx.Response(status, content=body))
        with httpx.Client(base_url="http://localhost", transport=transport) as service:
            assert store(service, path) == Refused(reason, is_by_rule=False)
