"""Reads the bulk value that a BulkDataURI names from the bytes of a stored file."""

import re
import zlib
from array import array
from collections.abc import Sequence
from typing import Final

from shared.dicom_json import Inherited, vr_of
from shared.elements import DataSet, DicomFileError, DicomFileLimits, Element, ElementWalker, Encoding, is_implicit_vr
from shared.part10 import FileMetaReader
from shared.value_representations import WORD_BYTES

_PATH: Final = re.compile(r"[0-9A-F]{8}(?:/[1-9][0-9]{0,8}/[0-9A-F]{8})*")
_ARRAY_CODES: Final = {2: "H", 4: "I", 8: "Q"}
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
    data_set = _data_set_of(data, limits)
    tag, *rest = path.split("/")
    element, inherited = _find(data_set, data_set.elements, tag, Inherited())
    for number, tag in zip(rest[::2], rest[1::2], strict=True):
        items = element.items or []
        if int(number) > len(items):
            raise NoSuchBulkValue(path)
        element, inherited = _find(data_set, items[int(number) - 1], tag, inherited)
    if element.items is not None or element.length == 0:
        raise NoSuchBulkValue(path)
    vr = vr_of(element, inherited)
    if element.fragments is not None:
        return b"".join(data_set.data[begin : begin + length] for begin, length in element.fragments[1:]), vr
    value = data_set.value(element)
    return _little_endian(value, vr) if data_set.byte_order == ">" else value, vr


def _little_endian(value: bytes, vr: str) -> bytes:
    """A big endian value in little endian; a part of a word at its end stays as it is."""
    size = WORD_BYTES.get(vr, 1)
    if size == 1:
        return value
    whole = len(value) - len(value) % size
    words = array(_ARRAY_CODES[size], value[:whole])
    words.byteswap()
    return words.tobytes() + value[whole:]


def _data_set_of(data: bytes, limits: DicomFileLimits) -> DataSet:
    meta = FileMetaReader(data, limits=limits).advance(is_last=True)
    if meta is None:
        raise DicomFileError("The bytes are not those of a stored file.")
    plain = data[meta.data_set_offset :]
    if meta.is_deflated:
        try:
            plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(plain, limits.max_inflated_bytes)
        except zlib.error as error:
            raise DicomFileError("The deflated data set cannot be inflated.") from error
    encoding = meta.encoding
    if len(plain) >= 8:
        encoding = Encoding(is_implicit_vr(plain, 0), encoding.byte_order)
    walker = ElementWalker(plain, 0, encoding, limits=limits)
    walker.advance(is_last=True)
    return DataSet(walker.elements, plain, encoding.byte_order)


def _find(data_set: DataSet, elements: Sequence[Element], tag: str, inherited: Inherited) -> tuple[Element, Inherited]:
    number = int(tag, 16)
    for element in reversed(elements):  # the last one counts, as in the metadata
        if element.tag == number:
            return element, inherited.by(data_set, elements)
    raise NoSuchBulkValue(tag)
