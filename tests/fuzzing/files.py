"""Targets that read DICOM files: as they arrive, deflated, with long elements; and their frames."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)
from pydicom.valuerep import STANDARD_VR

from shared.archive.terms import Term, lists_of
from shared.dicom.attributes import SEARCHABLE
from shared.dicom.comparable_values import comparable_values
from shared.dicom.dicom_file import DicomFileError, DicomFileLimits, DicomInstance
from shared.dicom.frame_layout import frame_table
from shared.dicom.frame_table import FrameTable
from shared.dicom.items import UNDEFINED_LENGTH
from shared.dicom.parsing import LONG_HEAD_BYTES, Head
from shared.dicom.pixel_data import PixelDataScanner
from shared.dicom.validation import Rules, validate
from tests.fuzzing.target import cut
from tests.support.accepted_files import TIGHT, check_accepted, check_frames, long_from, outcome, plain_metadata
from tests.support.odd_files import picture
from tests.support.part10_files import SAMPLES, image, nested, part10, part10_of

_MAX_SAMPLE_BYTES: Final = 2_000
_SYNTAXES: Final = (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian)
_ITEM, _ITEM_END, _END = (bytes.fromhex(f"feff{number}") for number in ("00e0", "0de0", "dde0"))
_FRAGMENTS: Final = b"".join(
    _ITEM + struct.pack("<L", len(value)) + value
    for value in (struct.pack("<LL", 0, 12), b"\xff\xd8\xff\xd9", b"\xff\xd8", b"\xff\xd9\0\0")
)

FILE_TOKENS: Final = (
    _ITEM,
    _ITEM_END,
    _END,
    b"\xff\xfe\xe0\x00",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    bytes(4),
    b"DICM",
    b"\xff\xd9",
    *(
        struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        for tag in (
            0x00020000,
            0x00020010,
            0x00080005,
            0x00080016,
            0x00080018,
            0x0020000D,
            0x0020000E,
            0x00280008,
            0x00280103,
            0x0040A730,
            0x00091001,
            0x00090010,
            0x52009230,
            0x7FE00001,
            0x7FE00002,
            0x7FE00008,
            0x7FE00010,
            0xFFFCFFFC,
        )
    ),
    *(vr.encode() for vr in sorted(STANDARD_VR)),
    *(syntax.encode() for syntax in (*_SYNTAXES, RLELossless, JPEGBaseline8Bit)),
    b"ISO 2022 IR 87",
    b"ISO_IR 192",
    b"GB18030",
    b"\x1b$B",
)


def check_file(data: bytes) -> None:
    """However a file is cut, it is accepted or refused alike; tight limits refuse, and change nothing else."""
    result = outcome([data])
    assert outcome(cut(data)) == result
    assert outcome(cut(data), TIGHT) in (result, None)
    if result is not None:
        check_accepted(*result)
        _check_findings(result[1])


def _check_findings(instance: DicomInstance) -> None:
    """What is to be stored is validated, and its values are compared and indexed, whatever they are."""
    strict, lenient = (validate(instance.metadata, Rules(is_strict=is_strict)) for is_strict in (True, False))
    assert {finding.tag for finding in lenient.errors} <= {finding.tag for finding in strict.errors}
    assert not strict.warnings
    for keyword, attribute in ((key.keyword, instance.metadata.get(key.path[0], {})) for key in SEARCHABLE):
        for form in comparable_values(attribute):
            assert 0 < len(lists_of(Term(keyword, form))) <= 100


def check_long_elements(data: bytes) -> None:
    """What is read item by item, or passed over unread, says the same as what is held."""
    result = outcome([data])
    with long_from(8):
        long = outcome([data])
        assert outcome(cut(data)) == long
        if long is not None:
            check_accepted(*long)
    if result is not None and long is not None:
        assert long[0] == result[0]
        assert plain_metadata(long[1]) == plain_metadata(result[1])
        assert (long[1].frames, long[1].header_bytes) == (result[1].frames, result[1].header_bytes)


def check_deflated(data: bytes) -> None:
    """A deflated data set says what it says in plain."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(data) + deflater.flush()
    if len(deflated) < LONG_HEAD_BYTES:  # as much is read before it is certain that the file meta group has ended
        return
    result = outcome(cut(part10_of(deflated, DeflatedExplicitVRLittleEndian)))
    plain = outcome([part10_of(data, ExplicitVRLittleEndian)])
    assert (result is None) == (plain is None)
    if result is not None and plain is not None:
        assert plain_metadata(result[1]) == plain_metadata(plain[1])
        check_accepted(*result)


def file_seeds() -> Iterator[bytes]:
    """Small files of every kind: those that come with pydicom, and generated ones."""
    yield from (path.read_bytes() for path in SAMPLES if path.stat().st_size < _MAX_SAMPLE_BYTES)
    for syntax in _SYNTAXES:
        yield part10(image(b"first.second", NumberOfFrames=2), syntax)
        yield part10(picture(), syntax)
        yield part10(picture(is_undefined=True), syntax)
    yield from (part10(image(_FRAGMENTS, NumberOfFrames=2), syntax) for syntax in (RLELossless, JPEGBaseline8Bit))


def data_set_seeds() -> Iterator[bytes]:
    """Data sets in Explicit VR Little Endian."""
    yield from (nested(depth, is_undefined=is_undefined) for depth in (1, 3) for is_undefined in (False, True))
    for file in (part10(image(b"pixels")), part10(picture()), part10(picture(is_undefined=True))):
        yield file[144 + int.from_bytes(file[140:144], "little") :]


# Before the bytes of Pixel Data: what describes them.
_DESCRIPTION: Final = struct.Struct("<BBHHBBHBB")
_TRANSFER_SYNTAXES: Final = (
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGBaseline8Bit,
    RLELossless,
    "1.2.840.10008.1.2.4.102",  # MPEG-4, a video
)
_PHOTOMETRIC_INTERPRETATIONS: Final = ("MONOCHROME2", "RGB", "YBR_FULL_422")
_PIXEL_LIMITS: Final = DicomFileLimits(max_fragments=50)


def check_pixel_data(data: bytes) -> None:
    """However Pixel Data is cut, its frames are told apart alike, and lie within it."""
    if len(data) < _DESCRIPTION.size:
        return
    form, syntax, rows, columns, samples, bits, frames, offsets, lengths = _DESCRIPTION.unpack_from(data)
    rest = data[_DESCRIPTION.size :]
    extended_offsets = rest[:offsets], rest[offsets : offsets + lengths]
    value = rest[offsets + lengths :]
    head = Head(
        (0x7FE00008, 0x7FE00009, 0x7FE00010, 0x7FE00010)[form & 3],
        ("OB", "OW")[form >> 2 & 1],
        UNDEFINED_LENGTH if form & 8 else len(value),
        12,
    )
    metadata = {
        "00280002": {"vr": "US", "Value": [samples]},
        "00280004": {"vr": "CS", "Value": [_PHOTOMETRIC_INTERPRETATIONS[samples % 3]]},
        "00280008": {"vr": "IS", "Value": [frames]},
        "00280010": {"vr": "US", "Value": [rows]},
        "00280011": {"vr": "US", "Value": [columns]},
        "00280100": {"vr": "US", "Value": [bits]},
    }

    def table_of(chunks: list[bytes]) -> tuple[FrameTable, bytes] | str:
        scanner = PixelDataScanner(head, "<>"[form >> 4 & 1], limits=_PIXEL_LIMITS)
        try:
            following = b"".join(map(scanner.feed, chunks))
        except DicomFileError as error:
            return str(error)
        if not scanner.is_complete:
            return "cut short"
        return frame_table(
            scanner,
            metadata,
            100,
            transfer_syntax_uid=_TRANSFER_SYNTAXES[syntax % len(_TRANSFER_SYNTAXES)],
            extended_offsets=extended_offsets,
        ), following

    found = table_of([value])
    assert table_of(cut(value)) == found
    if not isinstance(found, str):
        table, following = found
        assert value.endswith(following)
        assert table.end_offset + len(following) == 100 + 12 + len(value)
        check_frames(table)


def pixel_data_seeds() -> Iterator[bytes]:
    """Native frames, and frames of one and of two fragments, with and without offset tables."""
    yield _DESCRIPTION.pack(2, 0, 2, 3, 1, 8, 2, 0, 0) + b"first.second"
    yield _DESCRIPTION.pack(2, 0, 3, 3, 1, 1, 3, 0, 0) + b"bits"
    yield _DESCRIPTION.pack(2 | 16, 1, 2, 2, 3, 16, 2, 0, 0) + bytes(48)
    yield _DESCRIPTION.pack(8 | 2, 2, 2, 3, 1, 8, 2, 0, 0) + _FRAGMENTS + _END + bytes(4)
    fragments = _ITEM + bytes(4) + 2 * (_ITEM + struct.pack("<L", 4) + b"\xff\xd8\xff\xd9") + _END + bytes(4)
    extended = struct.pack("<QQQQ", 0, 12, 4, 3)
    yield _DESCRIPTION.pack(8 | 2, 2, 2, 3, 1, 8, 2, 16, 16) + extended + fragments
    yield _DESCRIPTION.pack(8 | 2, 4, 2, 3, 1, 8, 2, 0, 0) + fragments


def check_stored_frame_table(data: bytes) -> None:
    """Any bytes are a frame table, or a ValueError says that they are not."""
    for stored in (data, zlib.compress(data)):
        try:
            FrameTable.from_bytes(stored)
        except ValueError:
            continue


FRAME_TABLE_TOKENS: Final = (
    *(f'"{name}":'.encode() for name in ("frame_count", "fragment_count", "one_each", "first_fragment_offset")),
    b"\n",
    b"true",
    b"-1",
    b"null",
)


def stored_frame_table_seeds() -> Iterator[bytes]:
    """What frame tables are stored as, inflated."""
    for file in file_seeds():
        result = outcome([file])
        if result is not None and result[1].frames is not None:
            yield zlib.decompress(result[1].frames.to_bytes())
