"""Native pixels in big endian, as DCMTK writes them: every way to get them has the bytes of the little endian file."""

from io import BytesIO
from itertools import product
from math import ceil

import httpx
import pytest
from pydicom import dcmread

from tests.support.dcmtk import in_big_endian
from tests.support.messages import parts
from tests.support.served_instances import dataset, part10, stored

OCTETS = 'multipart/related; type="application/octet-stream"'
# Rows by columns, of which some frames are odd in bytes and some end within one.
SIZES = ((3, 5), (4, 4), (2, 3))


def pixels_of(bits: int, sample_count: int, frame_count: int) -> bytes:
    size = ceil(bits * sample_count * frame_count / 8)
    value = bytes(1 + number * 7 % 251 for number in range(size))
    if bits == 1 and sample_count * frame_count % 8:
        value = value[:-1] + bytes([value[-1] & (1 << sample_count * frame_count % 8) - 1])
    return value + bytes(len(value) % 2)


def frame_of(pixels: bytes, frame_bits: int, index: int) -> bytes:
    bits = int.from_bytes(pixels, "little") >> index * frame_bits & (1 << frame_bits) - 1
    return bits.to_bytes(ceil(frame_bits / 8), "little")


@pytest.mark.parametrize(
    ("bits", "vr", "samples"),
    [
        *((bits, vr, 1) for bits in (1, 8) for vr in ("OB", "OW")),
        *((8, vr, 3) for vr in ("OB", "OW")),
        *((bits, "OW", samples) for bits in (16, 32) for samples in (1, 3)),
    ],
)
def test_every_way_has_the_same_pixels(service: httpx.Client, bits: int, vr: str, samples: int) -> None:
    for (rows, columns), frame_count in product(SIZES, (1, 3)):
        sample_count = rows * columns * samples
        pixels = pixels_of(bits, sample_count, frame_count)
        image = dataset(
            Rows=rows, Columns=columns, SamplesPerPixel=samples, NumberOfFrames=frame_count, BitsAllocated=bits,
            PhotometricInterpretation="MONOCHROME2" if samples == 1 else "RGB", BitsStored=bits, HighBit=bits - 1,
            PlanarConfiguration=None if samples == 1 else 0, PixelData=pixels,
        )  # fmt: skip
        image["PixelData"].VR = vr
        file = in_big_endian(part10(image))
        path = stored(service, file)

        frames = [frame_of(pixels, bits * sample_count, index) for index in range(frame_count)]
        numbers = ",".join(map(str, range(1, frame_count + 1)))
        for accepted in (OCTETS, f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.1"):
            answer = service.get(f"{path}/frames/{numbers}", headers={"Accept": accepted})
            assert answer.status_code == 200, answer.text
            assert [body for _, body in parts(answer)] == frames
        last = service.get(f"{path}/frames/{frame_count}", headers={"Accept": "application/octet-stream"})
        assert last.content == frames[-1]
        value = service.get(f"{path}/bulkdata/7FE00010", headers={"Accept": "application/octet-stream"}).content
        assert value == pixels
        whole = service.get(path, headers={"Accept": "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"})
        assert dcmread(BytesIO(whole.content)).PixelData == pixels
        as_stored = service.get(path, headers={"Accept": "application/dicom; transfer-syntax=*"}).content
        assert as_stored[128:] == file[128:]
