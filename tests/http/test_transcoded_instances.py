"""Every image that comes with pydicom, in every transfer syntax on offer, against pydicom's own decoding."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit

from shared.dicom.transfer_syntaxes import DECODABLE, ENCODABLE, EXPLICIT_VR_LITTLE_ENDIAN, LOSSY_METHODS, OCTET_STREAM
from tests.conftest import Server
from tests.support.bundled_files import with_words_of_16_bits
from tests.support.messages import parts
from tests.support.real_files import FILES, REQUIRED, TRUNCATED

LOSSY_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
PIXELS = {"PixelData", "FloatPixelData", "DoubleFloatPixelData"}
# The values of these may change with the transfer syntax; everything else stays.
PIXEL_ATTRIBUTES = PIXELS | {
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "LossyImageCompression", "LossyImageCompressionMethod", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths", "DataSetTrailingPadding",
}  # fmt: skip
# Damaged: pydicom does not decode them either.
UNDECODABLE = ("JPEG2000-embedded-sequence-delimiter.dcm", "badVR.dcm")
# 12-bit JPEG, which pydicom's decoders do not support; tests of the decoder compare it with another decoder.
ONLY_HERE = ("JPEG-lossy.dcm", "JPGExtended.dcm")

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.long]


def is_stored_image(path: Path) -> bool:
    dataset = dcmread(path)
    is_stored = path.name not in TRUNCATED and all(keyword in dataset for keyword in REQUIRED)
    return is_stored and not PIXELS.isdisjoint(dataset.dir())


IMAGES = [path for path in FILES if is_stored_image(path)]


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    # The server closes a connection that is idle for five seconds; decoding here may take longer.
    with httpx.Client(base_url=f"{server.base_url}/v2", timeout=120, headers={"Connection": "close"}) as client:
        yield client


def pixels_of(dataset: Dataset) -> np.ndarray[Any, Any]:
    """The pixels as pydicom decodes them: color of lossy JPEG as RGB, everything else as encoded."""
    syntax = dataset.file_meta.TransferSyntaxUID
    pixels: np.ndarray[Any, Any] = get_decoder(syntax).as_array(dataset, raw=syntax not in LOSSY_JPEG)[0]
    return pixels


def test_there_are_about_ninety_images() -> None:
    assert len(IMAGES) > 85
    assert len({dcmread(path).file_meta.TransferSyntaxUID for path in IMAGES} & DECODABLE) >= 11


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_image(client: httpx.Client, path: Path) -> None:
    dataset = dcmread(path)
    response = client.post("/studies", content=path.read_bytes(), headers={"Content-Type": "application/dicom"})
    (item,) = response.json()["00081199"]["Value"]
    url = item["00081190"]["Value"][0]
    expected = None
    try:
        for target in ENCODABLE:
            accept = {"Accept": f"application/dicom; transfer-syntax={target}"}
            retrieved = client.get(url, headers=accept)
            if path.name in UNDECODABLE and dataset.file_meta.TransferSyntaxUID != EXPLICIT_VR_LITTLE_ENDIAN:
                assert retrieved.status_code == 406
                assert "cannot be transcoded: " in retrieved.json()["detail"]
            elif retrieved.status_code == 406:
                assert target != EXPLICIT_VR_LITTLE_ENDIAN
                assert can_refuse(dataset, retrieved.json()["detail"], target)
            elif path.name not in UNDECODABLE:
                if expected is None:
                    native = dcmread(BytesIO(retrieved.content)) if path.name in ONLY_HERE else dataset
                    expected = pixels_of(with_words_of_16_bits(native))
                check_instance(dataset, expected, retrieved, target)
                if target != dataset.file_meta.TransferSyntaxUID:
                    check_a_frame(client, url, dataset, target)
    finally:
        client.delete(url)


def can_refuse(dataset: Dataset, detail: str, target: str) -> bool:
    """Whether the transfer syntax, or its codec, cannot hold this kind of image."""
    is_odd = dataset.BitsAllocated not in (8, 16) or min(dataset.Rows, dataset.Columns) < 32
    return f"cannot be encoded in {UID(target).name}" in detail and is_odd


def check_instance(dataset: Dataset, expected: np.ndarray[Any, Any], retrieved: httpx.Response, target: str) -> None:
    assert retrieved.status_code == 200
    assert retrieved.headers["Content-Type"] == f"application/dicom; transfer-syntax={target}"
    sent = dcmread(BytesIO(retrieved.content))
    assert sent.file_meta.TransferSyntaxUID == target
    assert sent.file_meta.MediaStorageSOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
    if "Content-Length" in retrieved.headers:
        assert int(retrieved.headers["Content-Length"]) == len(retrieved.content)
    assert np.array_equal(pixels_of(sent), expected)
    if dataset.file_meta.TransferSyntaxUID in LOSSY_METHODS:
        assert sent.LossyImageCompression == "01"
        assert sent.LossyImageCompressionMethod
    assert {element.tag for element in sent} - {element.tag for element in dataset} <= {0x00282110, 0x00282114}
    for element in dataset:
        if element.keyword not in PIXEL_ATTRIBUTES and element.tag.element:
            assert sent[element.tag].value == element.value
    assert not [element.tag for element in sent if element.tag.element == 0]


def check_a_frame(client: httpx.Client, url: str, dataset: Dataset, target: str) -> None:
    """Check that the last frame, retrieved alone, equals the one in the whole instance."""
    count = int(dataset.get("NumberOfFrames") or 1)
    accept = f'multipart/related; type="{OCTET_STREAM}"; transfer-syntax={target}'
    instance = client.get(url, headers={"Accept": f"application/dicom; transfer-syntax={target}"})
    response = client.get(f"{url}/frames/{count}", headers={"Accept": accept})
    ((headers, frame),) = parts(response)
    assert headers["content-type"] == f"{OCTET_STREAM}; transfer-syntax={target}"
    # Frames alone have the colors and the layout of the metadata, which is that of the stored image.
    is_described_otherwise = dataset.get("PlanarConfiguration") == 1 or dataset.PhotometricInterpretation.startswith(
        "YBR_FULL"
    )
    assert frame in instance.content or dataset.BitsAllocated == 1 or is_described_otherwise
