"""What a data set says of its frames besides their pixels: in its own attributes, or in functional groups.

The values are untrusted: one that cannot be read, or is longer than it can need to be, counts as absent.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from shared.dicom.parsing import DicomFileError, DicomFileLimits, HeadCount
from shared.dicom.sequences import raw_items
from shared.imaging.attribute_values import element_of_keyword, value_of

_LIMITS: Final = DicomFileLimits()
_MAX_WORDS: Final = 4 * 65536  # of a lookup table: 65,536 entries, each from a segment of up to four words
_GROUPS: Final = ("FrameVOILUTSequence", "PixelMeasuresSequence", "PixelValueTransformationSequence")
_LOOKUP_TABLES: Final = ("ModalityLUTSequence", "VOILUTSequence")


@dataclass(frozen=True, slots=True)
class FrameAttributes:
    """A data set and the contents of its sequences, read once for all frames.

    `shared` has the first item of each functional group that all frames share (PS3.3 C.7.6.16), `lookup_tables` the
    first of Modality LUT Sequence and VOI LUT Sequence, by the sequences' keywords. `per_frame` has the frames' groups.
    """

    data_set: Dataset
    shared: Mapping[str, Dataset]
    per_frame: Sequence[Dataset]
    lookup_tables: Mapping[str, Dataset]

    @classmethod
    def of(cls, data_set: Dataset, frame_count: int) -> Self:
        """Read the attributes of `data_set`, for its first `frame_count` frames."""
        groups = next(iter(items_of(data_set, "SharedFunctionalGroupsSequence", 1)), Dataset())
        return cls(
            data_set=data_set,
            shared={group: item for group in _GROUPS for item in items_of(groups, group, 1)},
            per_frame=items_of(data_set, "PerFrameFunctionalGroupsSequence", frame_count),
            lookup_tables={keyword: item for keyword in _LOOKUP_TABLES for item in items_of(data_set, keyword, 1)},
        )

    def of_frame(self, frame_number: int, group: str) -> Iterator[Dataset]:
        """Where the attributes of a functional group may stand for a frame, by its number from 1: nearest first.

        `group` is the keyword of the group's sequence. The last is the data set, which has them where there are none.
        """
        for groups in self.per_frame[frame_number - 1 : frame_number]:
            yield from items_of(groups, group, 1)
        if group in self.shared:
            yield self.shared[group]
        yield self.data_set


def items_of(data_set: Dataset, keyword: str, count: int) -> Sequence[Dataset]:
    """The first `count` items of a sequence, or as many as there are and can be read."""
    element = element_of_keyword(data_set, keyword)
    if isinstance(element, RawDataElement):
        return list(islice(_readable_items(element), count))
    return list(element.value[:count]) if element is not None and element.VR == "SQ" else []


def _readable_items(element: RawDataElement) -> Iterator[Dataset]:
    with suppress(DicomFileError):
        yield from raw_items(element, HeadCount(_LIMITS), _LIMITS)


def text_of(data_set: Dataset, keyword: str) -> str:
    """The first value of a text attribute, in upper case, without padding; empty where there is none."""
    value = value_of(data_set, keyword)
    first = value[:1] if isinstance(value, MultiValue) else [value]
    return "".join(str(text) for text in first if text is not None).strip("\0 ").upper()


def numbers_of(data_set: Dataset, keyword: str) -> tuple[float, ...]:
    """The values of a numeric attribute, up to the first that is invalid or not finite."""
    value = value_of(data_set, keyword)
    numbers = []
    for number in value if isinstance(value, MultiValue | list) else [value]:
        if not isinstance(number, int | float) or not math.isfinite(number):
            break
        numbers.append(float(number))
    return tuple(numbers)


def bytes_of(data_set: Dataset, keyword: str) -> bytes:
    """The value of a binary attribute, as it stands; empty where there is none."""
    element = element_of_keyword(data_set, keyword)
    return element.value if element is not None and isinstance(element.value, bytes) else b""


def words_of(data_set: Dataset, keyword: str) -> NDArray[np.uint16]:
    """The 16-bit words of an attribute, in little endian, whether the VR is US, SS or OW.

    An odd byte at the end makes a word with 0. Empty where there is no value; cut where there are more words than
    any lookup table has.
    """
    element = element_of_keyword(data_set, keyword)
    if element is None or element.value is None:
        return np.empty(0, "<u2")
    if isinstance(element.value, bytes):
        value = element.value[: 2 * _MAX_WORDS]
        value += bytes(len(value) % 2)
        is_little_endian = element.is_little_endian if isinstance(element, RawDataElement) else True
        return np.frombuffer(value, "<u2" if is_little_endian else ">u2").astype("<u2")
    return (np.atleast_1d(np.asarray(element.value)) & 0xFFFF).astype("<u2")
