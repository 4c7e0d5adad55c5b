"""Reads the bulk value that a BulkDataURI names from the bytes of a stored file."""

import re
import zlib
from array import array
from collections.abc import Sequence
from typing import Final

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments

from shared.element_values import NOTHING_INHERITED, NUMBER_BYTES, Inherited
from shared.parsing import (
    UNDEFINED_LENGTH,
    DicomFileError,
    DicomFileLimits,
    ElementReader,
    Malformed,
    element_of,
)
from shared.part10 import FileMetaReader
from shared.sequences import NestedReader

_PATH: Final = re.compile(r"[0-9A-F]{8}(?:/[1-9][0-9]{0,8}/[0-9A-F]{8})*")
_ARRAY_CODES: Final = {2: "H", 4: "I", 8: "Q"}
# What the byte order of a value orders: PS3.5 7.3.
_WORD_BYTES: Final = {**NUMBER_BYTES, "AT": 2, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2}
_DEFAULT_LIMITS: Final = DicomFileLimits()


class NoSuchBulkValue(KeyError):
    """No attribute with a value at that path."""


def read_bulk_value(data: bytes, path: str, *, limits: DicomFileLimits = _DEFAULT_LIMITS) -> tuple[bytes, str]:
    """The value at `path`, and its VR.

    `data` is the stored file without its Pixel Data element: the bytes before it (`header_bytes` of the instance) and,
    for the sake of attributes that follow it, those after it (`end_offset` of its frame table). Of a deflated file it
    is the whole. `path` is that of the BulkDataURI after ``bulkdata/``: a tag, or tags with item numbers, from 1, in
    between; upper or lower case.

    The value is the bytes as they stand, words in little endian (PS3.18 8.7.3). Of an encapsulated value, such as an
    icon, it is the fragments joined, without offset table. It is that of any attribute but a sequence.

    Raises NoSuchBulkValue when there is none, and DicomFileError when `data` is not what it must be.
    """
    if _PATH.fullmatch(path.upper()) is None:
        raise NoSuchBulkValue(path)
    return _find(_data_set_of(data, limits), path.split("/"), NOTHING_INHERITED, NestedReader(limits))


def _find(data_set: Dataset, path: Sequence[str], inherited: Inherited, nested: NestedReader) -> tuple[bytes, str]:
    element = element_of(data_set, int(path[0], 16))
    if element is None or not element.value:
        raise NoSuchBulkValue(path[0])
    inherited = inherited.by(data_set)
    vr = inherited.vr(element, data_set)
    if vr == "SQ":
        try:
            with nested.items(element) as items:
                if len(path) == 1 or int(path[1]) > len(items):
                    raise NoSuchBulkValue(path[0])
                return _find(items[int(path[1]) - 1], path[2:], inherited, nested)
        except Malformed:
            vr = "UN"
    if len(path) > 1 or not isinstance(element, RawDataElement):
        raise NoSuchBulkValue(path[0])
    value = element.value or b""
    if element.length == UNDEFINED_LENGTH:
        return _joined(value, "<" if element.is_little_endian else ">"), vr
    return value if element.is_little_endian else _little_endian(value, vr), vr


def _joined(value: bytes, endianness: str) -> bytes:
    """The fragments of an encapsulated value (PS3.5 A.4); a value that pydicom can only end, as it stands."""
    try:
        _, *fragments = generate_fragments(value, endianness=endianness)
    except ValueError:
        return value
    return b"".join(fragments)


def _little_endian(value: bytes, vr: str) -> bytes:
    """A big endian value in little endian; a part of a word at its end stays as it is."""
    size = _WORD_BYTES.get(vr, 1)
    if size == 1:
        return value
    whole = len(value) - len(value) % size
    words = array(_ARRAY_CODES[size], value[:whole])
    words.byteswap()
    return words.tobytes() + value[whole:]


def _data_set_of(data: bytes, limits: DicomFileLimits) -> Dataset:
    meta = FileMetaReader(limits).feed(data, is_last=True)
    if meta is None:
        raise DicomFileError("The bytes are not those of a stored file.")
    plain = meta.following
    if meta.is_deflated:
        try:
            plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(plain, limits.max_inflated_bytes)
        except zlib.error as error:
            raise DicomFileError("The deflated data set cannot be inflated.") from error
    reader = ElementReader(meta.encoding, limits=limits)
    reader.feed(plain, is_last=True)
    return reader.data_set
