"""Reads the bulk value that a BulkDataURI names from the data set of a stored file."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
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
    ((_, value, vr),) = find_bulk_values(data_set, [path], limits=limits)
    return value, vr


def find_bulk_values(
    data_set: Dataset, paths: Iterable[str], *, limits: DicomFileLimits = _DEFAULT_LIMITS
) -> Iterator[tuple[str, bytes, str]]:
    """Each of the paths, in the order of metadata, with its value and VR, as `find_bulk_value` gives them.

    Each sequence is read once for all paths in it that follow each other. Raises as `find_bulk_value` does.
    """
    wanted = []
    for path in paths:
        if not is_path(path):
            raise NoSuchBulkValue(path)
        wanted.append((path.split("/"), path))
    return _find(data_set, wanted, NOTHING_INHERITED, NestedReader(limits))


def _find(
    data_set: Dataset, wanted: Iterable[tuple[Sequence[str], str]], inherited: Inherited, nested: NestedReader
) -> Iterator[tuple[str, bytes, str]]:
    """The values of paths, each given as what is left of it in this data set, and whole."""
    inherited = inherited.by(data_set)
    for tag, named in groupby(wanted, key=lambda path: path[0][0]):
        paths = list(named)
        element = element_of(data_set, int(tag, 16))
        if element is None or not element.value:
            raise NoSuchBulkValue(tag)
        vr = inherited.vr(element, data_set)
        if vr == "SQ":
            try:
                with nested.items(element) as items:
                    yield from _find_in_items(items, paths, inherited, nested)
                    continue
            except Malformed:
                vr = "UN"
        for left, path in paths:
            if len(left) > 1 or not isinstance(element, RawDataElement):
                raise NoSuchBulkValue(path)
            yield path, *_value(element, vr)


def _find_in_items(
    items: Sequence[Dataset], paths: Sequence[tuple[Sequence[str], str]], inherited: Inherited, nested: NestedReader
) -> Iterator[tuple[str, bytes, str]]:
    for number, named in groupby(paths, key=lambda path: path[0][1] if len(path[0]) > 1 else "0"):
        if not 0 < int(number) <= len(items):
            raise NoSuchBulkValue(number)
        yield from _find(items[int(number) - 1], [(left[2:], path) for left, path in named], inherited, nested)


def _value(element: RawDataElement, vr: str) -> tuple[bytes, str]:
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
