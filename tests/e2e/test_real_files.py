"""The files that come with pydicom, of every transfer syntax and make: stored and retrieved bit for bit."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID, ExplicitVRBigEndian

from tests.conftest import Server
from tests.support.messages import parts
from tests.support.real_files import DATA, FILES, REQUIRED, TRUNCATED

ANY_FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.base_url}/v2", timeout=60) as client:
        yield client


def frame_count(dataset: FileDataset) -> int:
    """Number of Frames; 1 where a file has no valid number."""
    try:
        return int(dataset.get("NumberOfFrames", 1) or 1)
    except ValueError:
        return 1


def native_frames(dataset: FileDataset) -> list[bytes]:
    """The frames of native Pixel Data, where they are whole bytes."""
    count = frame_count(dataset)
    bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits * 2 // 3
    size = bits // 8
    pixels = dataset.PixelData
    is_big_endian = dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    if is_big_endian and dataset["PixelData"].VR == "OW" and dataset.BitsAllocated == 8:
        pixels = np.frombuffer(pixels, ">u2").astype("<u2").tobytes()  # bytes have no order, but their words have
    return [pixels[index * size : (index + 1) * size] for index in range(count)]


def test_there_are_about_ninety_images() -> None:
    assert sum("PixelData" in pydicom.dcmread(path) for path in FILES) > 90
    assert len({pydicom.dcmread(path).file_meta.TransferSyntaxUID for path in FILES}) >= 11


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DATA)))
def test_a_file_comes_back_as_it_was_stored(service: httpx.Client, path: Path) -> None:
    file = path.read_bytes()
    dataset = pydicom.dcmread(path)
    response = service.post("/studies", content=file, headers={"Content-Type": "application/dicom"})
    missing = [keyword for keyword in REQUIRED if keyword not in dataset]
    if path.name in TRUNCATED or missing:
        assert response.status_code == 409
        (failed,) = response.json()["00081198"]["Value"]
        comments = [item["00000902"]["Value"][0] for item in failed["00741048"]["Value"]]
        for keyword in () if path.name in TRUNCATED else missing:
            assert any(f"{keyword} is required and is missing" in comment for comment in comments)
        return
    assert response.status_code in (200, 202), response.text
    (stored,) = response.json()["00081199"]["Value"]
    url = stored["00081190"]["Value"][0]
    try:
        retrieved = service.get(url, headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert retrieved.status_code == 200
        assert retrieved.content == bytes(128) + file[128:]
        (metadata,) = service.get(f"{url}/metadata").json()
        assert metadata["00080018"]["Value"] == [dataset.SOPInstanceUID]
        if "PixelData" in dataset:
            check_frames(service, url, dataset)
    finally:
        assert service.delete(url).status_code == 204
    assert service.get(url).status_code == 404


def check_frames(service: httpx.Client, url: str, dataset: FileDataset) -> None:
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    count = frame_count(dataset)
    numbers = ",".join(str(number) for number in range(1, count + 1))
    response = service.get(f"{url}/frames/{numbers}", headers={"Accept": ANY_FRAMES})
    assert response.status_code == 200, response.text
    frames = [body for _, body in parts(response)]
    if syntax.is_encapsulated:
        expected = list(generate_frames(dataset.PixelData, number_of_frames=count))
    elif dataset.get("BitsAllocated") == 1:
        assert len(frames) == count  # the frame table's tests compare their bits
        return
    else:
        expected = native_frames(dataset)
    assert frames == expected
