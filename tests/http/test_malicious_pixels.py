"""Pixels that lie, are broken, or would fill the memory: refused with a reason wherever they would be decoded."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from tests.support.served_instances import dataset, part10_in, stored

NATIVE = {"Accept": "application/dicom"}
OCTETS = {"Accept": "application/octet-stream"}
JPEG_LS = {"Accept": f"application/dicom; transfer-syntax={JPEGLSLossless}"}


def image(syntax: UID, *frames: bytes, rows: int = 64, columns: int = 64, **attributes: object) -> bytes:
    found = dataset(Rows=rows, Columns=columns, NumberOfFrames=len(frames), **attributes)
    found.PixelData = encapsulate(list(frames)) if syntax.is_encapsulated else b"".join(frames)
    found["PixelData"].VR = "OB"
    found["PixelData"].is_undefined_length = syntax.is_encapsulated
    return part10_in(syntax, found)


def encoded(name: str, **options: object) -> bytes:
    buffer = BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (64, 64)).astype(np.uint8)
    Image.fromarray(noise).save(buffer, name, **options)
    return buffer.getvalue()


JPEG = encoded("JPEG")
J2K = encoded("JPEG2000", irreversible=False, no_jp2=True)


def jpeg_of(rows: int, columns: int) -> bytes:
    """The same JPEG with another announced size."""
    start = JPEG.index(b"\xff\xc0")
    return JPEG[: start + 5] + struct.pack(">HH", rows, columns) + JPEG[start + 9 :]


def j2k_of(rows: int, columns: int) -> bytes:
    """The same codestream with another announced size, in one tile."""
    start = J2K.index(b"\xff\x51") + 6
    size = struct.pack(">LL", columns, rows)
    return J2K[:start] + size + J2K[start + 8 : start + 16] + size + J2K[start + 24 :]


LARGE = {"rows": 65535, "columns": 65535}
REFUSED = {
    "a JPEG larger than the data set says": image(JPEGBaseline8Bit, jpeg_of(65000, 65000)),
    "a JPEG as large as the data set says": image(JPEGBaseline8Bit, jpeg_of(65535, 65535), **LARGE),
    "a JPEG smaller than the data set says": image(JPEGBaseline8Bit, JPEG, rows=128, columns=128),
    "a J2K larger than the data set says": image(JPEG2000Lossless, j2k_of(65000, 65000)),
    "a J2K as large as the data set says": image(JPEG2000Lossless, j2k_of(65535, 65535), **LARGE),
    "a J2K that is cut short": image(JPEG2000Lossless, J2K[:120]),
    "a JPEG of noise": image(JPEGBaseline8Bit, bytes(range(256)) * 4),
    "an RLE frame of noise": image(RLELossless, bytes(range(256)) * 4),
    "an RLE frame too large": image(RLELossless, bytes(64) + b"\x81\0" * 1000, **LARGE),
    "a fragment of zeros": image(JPEG2000Lossless, bytes(2)),
    "no rows": image(RLELossless, bytes(64), rows=0),
    "more bits than allocated": image(JPEG2000Lossless, J2K, BitsStored=99),
    "an impossible number of samples": image(JPEG2000Lossless, J2K, SamplesPerPixel=77),
}


@pytest.fixture(scope="module", params=REFUSED, ids=lambda name: name.replace(" ", "-"))
def path(service: httpx.Client, request: pytest.FixtureRequest) -> Iterator[str]:
    path = stored(service, REFUSED[request.param])
    yield path
    service.delete(path)


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("", NATIVE),
        ("", JPEG_LS),
        ("/frames/1", OCTETS),
        ("/rendered", {}),
        ("/frames/1/rendered", {"Accept": "image/gif"}),
        ("/thumbnail", {}),
    ],
)
def test_is_refused_with_a_reason(service: httpx.Client, path: str, url: str, headers: dict[str, str]) -> None:
    response = service.get(path + url, headers=headers)
    assert response.status_code == 406, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert len(response.json()["detail"]) > 30
    assert "Traceback" not in response.text


def test_is_still_kept_as_it_is(service: httpx.Client, path: str) -> None:
    assert service.get(path, headers={"Accept": "application/dicom; transfer-syntax=*"}).status_code == 200
    assert service.get(f"{path}/metadata").status_code == 200


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000Lossless])
def test_a_claim_of_a_million_frames_gives_only_those_that_exist(service: httpx.Client, syntax: UID) -> None:
    claimed: Dataset = dataset(Rows=64, Columns=64, NumberOfFrames=1_000_000)
    claimed.PixelData = encapsulate([J2K]) if syntax.is_encapsulated else bytes(64 * 64)
    claimed["PixelData"].is_undefined_length = syntax.is_encapsulated
    path = stored(service, part10_in(syntax, claimed), status=202)
    assert service.get(f"{path}/frames/999999").status_code == 404
    assert service.get(f"{path}/frames/999999/rendered").status_code == 404
    transcoded = service.get(path, headers=JPEG_LS)
    assert transcoded.status_code == 200
    assert dcmread(BytesIO(transcoded.content)).NumberOfFrames == 1
    assert service.get(f"{path}/rendered", headers={"Accept": "image/gif"}).status_code == 200
    service.delete(path)


def test_rows_and_columns_that_lie_have_no_frame(service: httpx.Client) -> None:
    path = stored(service, image(ExplicitVRLittleEndian, bytes(100), **LARGE), status=202)
    for url in ("/frames/1", "/frames/1/rendered", "/rendered"):
        response = service.get(path + url)
        assert response.status_code == 404
        assert "shorter than a frame" in response.json()["detail"]
    service.delete(path)


def test_a_deflate_bomb_is_refused(service: httpx.Client) -> None:
    small = part10_in(DeflatedExplicitVRLittleEndian, dataset(PixelData=None))
    start = 144 + int.from_bytes(small[140:144], "little")  # after the file meta group, by its length
    head, plain = small[:start], zlib.decompressobj(-15).decompress(small[start:])
    pixels = 400 * 1024**2
    compressor = zlib.compressobj(9, wbits=-15)
    deflated = compressor.compress(plain + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, pixels))
    for _ in range(pixels // 1024**2):
        deflated += compressor.compress(bytes(1024**2))
    path = stored(service, head + deflated + compressor.flush())
    for url, headers in (("/frames/1", OCTETS), ("/rendered", {}), ("/bulkdata/7FE00010", OCTETS), ("", NATIVE)):
        response = service.get(path + url, headers=headers)
        assert response.status_code == 406
        assert "deflated" in response.json()["detail"]
    service.delete(path)
