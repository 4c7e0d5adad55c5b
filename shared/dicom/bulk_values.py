"""Reads the bulk value that a BulkDataURI names from the data set of a stored file."""

from collections.abc import Sequence
from typing import Final

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments

from shared.dicom.bulk_data_uris import is_path
from shared.dicom.byte_order import swapped
from shared.dicom.element_values import NOTHING_INHERITED, Inherited
from shared.dicom.items import UNDEFINED_LENGTH
from shared.dicom.parsing import DicomFileLimits, Malformed, element_of
from shared.dicom.sequences import NestedReader

_DEFAULT_LIMITS: Final = DicomFileLimits()


class NoSuchBulkValue(KeyError):
    """There is no attribute with a value at that path."""


def find_bulk_value(data_set: Dataset, path: str, *, limits: DicomFileLimits = _DEFAULT_LIMITS) -> tuple[bytes, str]:
    """The value at `path`, and its VR.

    `data_set` is a stored file's without its Pixel Data, as `read_header` returns it. `path` is the path of a
    BulkDataURI.

    The value is its bytes as stored, words in little endian (PS3.18 8.7.3). For an encapsulated value, such as an
    icon, it is the fragments joined, without the offset table. Any attribute but a sequence has one.

    Raises NoSuchBulkValue when there is none, and DicomFileError when sequences exceed the limits.
    """
    if not is_path(path):
        raise NoSuchBulkValue(path)
    return _find(data_set, path.split("/"), NOTHING_INHERITED, NestedReader(limits))


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
    return value if element.is_little_endian else swapped(value, vr), vr


def _joined(value: bytes, endianness: str) -> bytes:
    """The joined fragments of an encapsulated value (PS3.5 A.4); the value as it stands where it has none."""
    try:
        _, *fragments = generate_fragments(value, endianness=endianness)
    except ValueError:
        return value
    return b"".join(fragments)
