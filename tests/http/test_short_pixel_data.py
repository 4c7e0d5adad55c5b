"""Pixel Data that is a little shorter than its frames is completed with 0, and the client is told."""

import re
import subprocess
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from shared.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, OCTET_STREAM
from tests.support.image_matrix import BIG_ENDIAN, LITTLE_ENDIAN
from tests.support.messages import parts
from tests.support.served_instances import dataset, part10_in, stored

ROWS, COLUMNS = 32, 40
OCTETS = {"Accept": f"{OCTET_STREAM}; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}"}
PNG = {"Accept": "image/png"}
JPEG_LS = {"Accept": "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80"}
KINDS = {
    "bits": (1, 1, "OB"),
    "bytes": (1, 8, "OB"),
    "words": (1, 16, "OW"),
    "colors": (3, 8, "OB"),
}


def short(kind: str, syntax: str, missing_bytes: int, frame_count: int = 1) -> tuple[bytes, bytes]:
    """A file, and its pixels without those that are missing."""
    samples, bits, vr = KINDS[kind]
    length = frame_count * ROWS * COLUMNS * samples * bits // 8 - missing_bytes
    pixels = bytes(1 + position % 255 for position in range(length))
    image = dataset(
        Rows=ROWS,
        Columns=COLUMNS,
        SamplesPerPixel=samples,
        PhotometricInterpretation="RGB" if samples == 3 else "MONOCHROME2",
        PlanarConfiguration=0 if samples == 3 else None,
        BitsAllocated=bits,
        BitsStored=bits,
        HighBit=bits - 1,
        NumberOfFrames=frame_count if frame_count > 1 else None,
    )
    is_swapped = syntax == BIG_ENDIAN and vr == "OW"
    image["PixelData"].value = np.frombuffer(pixels, "<u2").byteswap().tobytes() if is_swapped else pixels
    image["PixelData"].VR = vr
    return part10_in(syntax, image), pixels


@pytest.mark.parametrize("syntax", [LITTLE_ENDIAN, BIG_ENDIAN])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.01, 1 / 16])
def test_a_frame_that_lacks_a_little(service: httpx.Client, kind: str, syntax: str, share: float) -> None:
    samples, bits, _ = KINDS[kind]
    frame_bytes = ROWS * COLUMNS * samples * bits // 8
    missing_bytes = max(int(frame_bytes * share) // 2 * 2, 2)
    file, pixels = short(kind, syntax, missing_bytes)
    url = stored(service, file)
    complete = pixels + bytes(missing_bytes)
    warning = rf'299 [a-z0-9.:]+ "Pixel Data lacks the last {missing_bytes} bytes of the frame; they are 0 here."'
    frame = service.get(f"{url}/frames/1", headers=OCTETS)
    assert (frame.status_code, frame.content) == (200, complete)
    assert re.fullmatch(warning, frame.headers["Warning"])
    part = service.get(f"{url}/frames/1", headers={"Accept": f'multipart/related; type="{OCTET_STREAM}"'})
    assert re.fullmatch(warning, part.headers["Warning"])
    ((_, content),) = parts(part)
    assert len(content) == len(complete)
    picture = service.get(f"{url}/rendered", headers=PNG)
    assert re.fullmatch(warning, picture.headers["Warning"])
    levels = np.asarray(Image.open(BytesIO(picture.content)))
    assert not levels.reshape(-1)[-missing_bytes * 8 // bits :].any()
    if bits > 1:
        instance = service.get(url, headers=JPEG_LS)
        assert re.fullmatch(warning, instance.headers["Warning"])
        assert dcmread(BytesIO(instance.content)).pixel_array.tobytes() == complete


def test_the_last_of_several_frames(service: httpx.Client) -> None:
    file, pixels = short("bytes", LITTLE_ENDIAN, 4, frame_count=3)
    url = stored(service, file)
    complete = pixels + bytes(4)
    (first, _), (last, content) = parts(service.get(f"{url}/frames/2,3", headers={"Accept": "multipart/related"}))
    assert content == complete[-ROWS * COLUMNS :]
    assert "warning" not in first
    assert "lacks the last 4 bytes" in last["warning"]
    assert "Warning" not in service.get(f"{url}/frames/1", headers=OCTETS).headers
    ranged = service.get(f"{url}/frames/3", headers={**OCTETS, "Range": f"bytes={ROWS * COLUMNS - 6}-"})
    assert (ranged.status_code, ranged.content) == (206, complete[-6:])


def test_a_frame_that_lacks_more_does_not_exist(service: httpx.Client) -> None:
    file = short("bytes", LITTLE_ENDIAN, ROWS * COLUMNS // 16 + 2)[0]
    url = stored(service, file, status=202)
    assert service.get(f"{url}/frames/1", headers=OCTETS).status_code == 404
    whole = stored(service, short("bytes", LITTLE_ENDIAN, 0)[0])
    assert "Warning" not in service.get(f"{whole}/rendered", headers=PNG).headers


def test_the_picture_is_that_of_another_renderer(service: httpx.Client, tmp_path: Path) -> None:
    file, _ = short("bytes", LITTLE_ENDIAN, 32)
    (tmp_path / "short.dcm").write_bytes(file)
    subprocess.run(["dcm2pnm", "+Wm", tmp_path / "short.dcm", tmp_path / "short.pgm"], check=True)  # noqa: S603, S607
    picture = Image.open(BytesIO(service.get(f"{stored(service, file)}/rendered", headers=PNG).content))
    elsewhere = np.asarray(Image.open(tmp_path / "short.pgm")).astype(int)
    assert np.abs(np.asarray(picture).astype(int) - elsewhere).max() <= 1
