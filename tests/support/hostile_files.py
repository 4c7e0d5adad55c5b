"""Files that are small to send and dear to answer for: many frames, many values, much that inflates from little."""

import struct
import zlib

from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, EncapsulatedPDFStorage, JPEGLSLossless

from tests.support.measured_server import NOISE
from tests.support.served_instances import dataset, part10, part10_in

_END_OF_SEQUENCE = bytes.fromhex("feffdde000000000")
_TEXT_GROUPS = (0x5402, 0x5404, 0x5406, 0x5408)  # after all that `dataset` has, before Pixel Data
_LONGEST_TEXT_BYTES = 65_534


def many_frames(frames: int) -> bytes:
    """Native frames of one pixel each."""
    return part10(dataset(Rows=1, Columns=1, NumberOfFrames=frames, PixelData=bytes(frames + frames % 2)))


def many_fragments(frames: int) -> bytes:
    """Encapsulated frames of two bytes each, which nobody can decode."""
    image = dataset(Rows=1, Columns=1, NumberOfFrames=frames, PixelData=None)
    head = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0" + bytes(4)
    fragment = b"\xfe\xff\x00\xe0" + struct.pack("<L", 2) + b"\0\0"
    return part10_in(JPEGLSLossless, image) + head + frames * fragment + _END_OF_SEQUENCE


def many_values(attributes: int) -> bytes:
    """A deflated file with 32,767 names in each attribute."""
    return _deflated(dataset(PixelData=None), _texts(attributes, b"a\\" * (_LONGEST_TEXT_BYTES // 2), b"PN"))


def long_attributes(study: str, size_bytes: int) -> bytes:
    """A deflated file with so many bytes of texts in its metadata."""
    text = b"text " * (_LONGEST_TEXT_BYTES // 6)
    return _deflated(
        dataset(StudyInstanceUID=study, PixelData=None), _texts(size_bytes // len(text), text + b" ", b"LT")
    )


def short_attributes(size_bytes: int) -> bytes:
    """A file of short texts, without Pixel Data, so that it ends nowhere before its end."""
    return part10(dataset(PixelData=None)) + _texts(size_bytes // 24, b"sixteen letters.", b"LO")


def large_frame(size_bytes: int) -> bytes:
    """A native frame of a byte for each pixel."""
    return part10(_square(size_bytes)) + _pixels(size_bytes)


def deflated_frame(size_bytes: int) -> bytes:
    """The same, black and deflated."""
    return _deflated(_square(size_bytes), _pixels(size_bytes))


def document(size_bytes: int) -> bytes:
    """A PDF that is none."""
    content = (NOISE * (size_bytes // len(NOISE) + 1))[:size_bytes]
    return part10(
        dataset(
            SOPClassUID=EncapsulatedPDFStorage,
            MIMETypeOfEncapsulatedDocument="application/pdf",
            EncapsulatedDocument=content,
            PixelData=None,
        )
    )


def _square(pixels: int) -> Dataset:
    return dataset(Rows=pixels // 10_000, Columns=10_000, PixelData=None)


def _pixels(size_bytes: int) -> bytes:
    size_bytes = size_bytes // 10_000 * 10_000
    return struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, size_bytes) + bytes(size_bytes)


def _texts(count: int, text: bytes, vr: bytes) -> bytes:
    return b"".join(
        struct.pack("<HH2sH", _TEXT_GROUPS[number // 50_000], number % 50_000 + 1, vr, len(text)) + text
        for number in range(count)
    )


def _deflated(image: Dataset, following: bytes) -> bytes:
    """The file of a data set that goes on with encoded elements."""
    file = part10_in(DeflatedExplicitVRLittleEndian, image)
    beginning = 144 + int.from_bytes(file[140:144], "little")
    compressor = zlib.compressobj(wbits=-15)
    plain = zlib.decompress(file[beginning:], wbits=-15) + following
    deflated = compressor.compress(plain) + compressor.flush()
    return file[:beginning] + deflated + b"\0" * (len(deflated) % 2)
