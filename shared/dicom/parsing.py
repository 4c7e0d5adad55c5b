"""What parsing by pydicom has in common, kept safe for untrusted bytes that are still arriving: its limits and errors.

pydicom takes the end of the bytes for the end of an item or of a data set, whatever was announced; takes the memory
that it is asked for; and warns about and logs what it finds odd, with values. Here it never sees a false end,
its work is bounded, it is silent, and whatever it raises becomes a DicomFileError:

    DicomFileError          the bytes cannot be read, or exceed a limit
     +- Malformed           what is wrong is the structure: a sequence of defined length can be carried unread
         +- Incomplete      more bytes may follow
"""

import logging
import warnings
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

from shared.dicom.items import ITEM_HEAD_BYTES

# Values of a patient must not get into the log. For the whole process, as filters and loggers are: silencing pydicom
# around each call instead (catch_warnings) would also affect other threads.
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
logging.getLogger("pydicom").propagate = False

HEAD_BYTES: Final = ITEM_HEAD_BYTES  # also of an element, as pydicom reads them
LONG_HEAD_BYTES: Final = 12  # PS3.5 7.1.2

Element = RawDataElement | DataElement
"""An element as pydicom's reader returns it: raw, except a sequence of undefined length, whose items it has read."""


class DicomFileError(Exception):
    """The bytes are not a DICOM file that can be kept; the message says why, never with a value of the data set."""


class Malformed(DicomFileError):
    """The structure of the data set is broken."""


class Incomplete(Malformed):
    """The bytes end too early: `needed` of them are required, or more if `is_least`."""

    def __init__(self, needed: int, *, is_least: bool = False) -> None:
        super().__init__("The data set is shorter than its content.")
        self.needed = needed
        self.is_least = is_least


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomFileLimits:
    """How much of a file is held or noted in memory; each limit counters a way to exhaust it."""

    max_header_bytes: int = 64 * 1024**2
    """Bytes before Pixel Data, held until they are parsed; the same limit applies separately to those after it."""

    max_inflated_bytes: int = 1024**3
    """Bytes that a deflated data set (PS3.5 A.5) may inflate to: deflate shrinks zeros a thousandfold."""

    max_sequence_depth: int = 64
    """Sequences within sequences. The deepest in use, the content trees of reports, stay below 20."""

    max_elements: int = 1_000_000
    """Elements and items outside Pixel Data: at the top and in sequences of undefined length, and separately in those
    of defined length. Delimiters count, as do values of eight bytes. An item of eight bytes takes 700 when parsed."""

    max_elements_at_once: int = 1_000_000
    """Those of them that are objects at the same time: short ones at the top, and what is in one item of a long
    sequence. Each takes 900 bytes."""

    max_short_bytes: int = 24 * 1024**2
    """Bytes of short elements at the top, which are held, in several forms. What is long in real files, sequences and
    bulk values, is not."""

    max_values: int = 4_000_000
    """Values in the metadata: one attribute of "\\\\\\\\\\\\" has four in three bytes."""

    max_fragments: int = 1_000_000
    """Items in encapsulated Pixel Data; an empty one takes 8 bytes. The largest slides have some 400,000 tiles."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a data set is encoded: PS3.5 A."""

    is_implicit_vr: bool = False
    is_little_endian: bool = True


class Head(NamedTuple):
    """The beginning of an element: tag, VR as encoded (None if it has none), length, and where its value begins."""

    tag: int
    vr: str | None
    length: int
    offset: int


class HeadCount:
    """How many elements and items have been read under one limit, and what had to be assumed of them, in words."""

    def __init__(self, limits: DicomFileLimits) -> None:
        self._max_elements = limits.max_elements
        self._max_at_once = limits.max_elements_at_once
        self._released = 0
        self.count = 0
        self.assumptions: set[str] = set()

    def add(self) -> None:
        """Count one more. Raises DicomFileError when it is one too many."""
        self.count += 1
        if self.count > self._max_elements:
            raise DicomFileError(f"The data set has more than {self._max_elements} elements and items.")
        if self.count - self._released > self._max_at_once:
            raise DicomFileError(
                f"The data set has more than {self._max_at_once} elements and items besides its long sequences, "
                "or within one item of these."
            )

    def release_since(self, count: int) -> None:
        """Note that those read since there were `count` are no longer held."""
        self._released += self.count - count


def element_of(data_set: Dataset, tag: int) -> Element | None:
    """The element with this tag, unconverted, even an empty one, which pydicom would otherwise convert.

    A value of VR UN is in little endian, whatever surrounds it (PS3.5 6.2.2).
    """
    element = cast("Element | None", data_set.get_item(tag, keep_deferred=True))
    if isinstance(element, RawDataElement) and element.VR == "UN" and not element.is_little_endian:
        return element._replace(is_little_endian=True)
    return element


def is_malformed(error: Exception) -> bool:
    """Whether pydicom fails because what it reads is no data set, or not all of one."""
    cause = _known_cause(error)
    return cause is None or isinstance(cause, Malformed)


def refusal(error: Exception, limits: DicomFileLimits) -> BaseException:
    """What to raise, from None, when pydicom fails: unforeseen bytes can make it raise errors of any kind.

    It is our DicomFileError as it was raised, Malformed, or a MemoryError, which says nothing about the file. The error
    itself may hold values.
    """
    cause = _known_cause(error)
    if isinstance(cause, RecursionError):
        return too_deep(limits)
    return cause or Malformed("The data set cannot be parsed.")


def _known_cause(error: Exception) -> BaseException | None:
    hidden = error.__context__  # pydicom turns any error at the head of an item into an OSError
    known = (cause for cause in (error, hidden) if isinstance(cause, (DicomFileError, MemoryError, RecursionError)))
    return next(known, None)


def too_large(limits: DicomFileLimits) -> DicomFileError:
    """The refusal of a header over its limit."""
    return DicomFileError(f"The data set is larger than {limits.max_header_bytes} bytes besides its Pixel Data.")


def too_long(head: Head, limits: DicomFileLimits) -> DicomFileError:
    """The refusal of an element with which a header is over its limit, by the length that its head has."""
    return DicomFileError(
        f"Element {head.tag >> 16:04X},{head.tag & 0xFFFF:04X} is said to have {head.length} bytes: the data set would "
        f"be larger than {limits.max_header_bytes} bytes besides its Pixel Data."
    )


def too_deep(limits: DicomFileLimits) -> DicomFileError:
    """The refusal of sequences nested too deep."""
    return DicomFileError(f"Sequences are nested deeper than {limits.max_sequence_depth} levels.")
