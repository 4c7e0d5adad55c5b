"""What pydicom reads, in the form that readers have in common."""

from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from pydicom import dcmread
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments
from pydicom.filewriter import correct_ambiguous_vr_element
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

from tests.foreign.attributes import Attribute, Attributes, is_compared, name_of, values_of

_PREFIX: Final = b"DICM"
_UNDEFINED_LENGTH: Final = 0xFFFFFFFF
_UNSTRUCTURED: Final = frozenset({"OB", "OB or OW", "OD", "OF", "OL", "OV", "OW", "UN"})
_WORD_BYTES: Final = {
    "AT": 2, "FD": 8, "FL": 4, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2,
    "UV": 8,
}  # fmt: skip


def dataset_of(path: Path) -> Dataset:
    """The data set of a file, also of one without preamble, prefix or file meta group."""
    with path.open("rb") as file:
        if file.read(len(_PREFIX)) == _PREFIX:  # which pydicom expects only after a preamble
            return dcmread(BytesIO(bytes(128) + _PREFIX + file.read()))
    return dcmread(path, force=True)


def of_dataset(dataset: Dataset, *, is_little_endian: bool) -> Attributes:
    """The attributes of a data set that was read from a file in this byte order, and has not been looked at since.

    A value that pydicom refuses is only its octets, and so is UN in big endian, whose values it takes for big endian.
    """
    found = {}
    for number in sorted(dataset.keys()):
        tag = f"{int(number):08X}"
        raw = dataset.get_item(number)
        if raw is not None and is_compared(tag):
            found[tag] = _attribute(raw, dataset, is_little_endian=is_little_endian)
    return found


def _attribute(raw: DataElement | RawDataElement, dataset: Dataset, *, is_little_endian: bool) -> Attribute:
    octets = raw.value or b"" if isinstance(raw, RawDataElement) else None
    if octets is None and isinstance(raw.value, bytes):
        octets = raw.value
    if octets and isinstance(raw, RawDataElement) and raw.length == _UNDEFINED_LENGTH:
        return Attribute(raw.VR or "UN", None, _fragments(octets))
    if raw.VR == "UN" and not is_little_endian:
        return Attribute("UN", None, octets)
    try:
        element = correct_ambiguous_vr_element(dataset[raw.tag], dataset, is_little_endian)
    except Exception:  # noqa: BLE001 -- whatever pydicom makes of a value that is not valid
        return Attribute(raw.VR or "UN", None, octets)
    vr = str(element.VR)
    if octets is not None and not is_little_endian:
        octets = _swapped(octets, _WORD_BYTES.get(vr, 1))
    if vr == "SQ":
        items = cast("Sequence", element.value)
        return Attribute(vr, tuple(of_dataset(item, is_little_endian=_is_little_endian(item)) for item in items))
    if vr in _UNSTRUCTURED or isinstance(element.value, bytes):
        return Attribute(vr, None if octets else (), octets)
    held = element.value
    values = held if isinstance(held, MultiValue | list) else [] if held is None else [held]
    return Attribute(vr, values_of(vr, [_plain(vr, value) for value in values]), octets)


def _is_little_endian(item: Dataset) -> bool:
    return item.original_encoding[1] is not False  # items in UN may be little endian in big endian


def _plain(vr: str, value: Any) -> object:
    if isinstance(value, PersonName):
        return name_of((value.alphabetic, value.ideographic, value.phonetic))
    if vr == "AT":
        return f"{int(value):08X}"
    return value if vr in _WORD_BYTES else str(value)  # IS and DS as they are encoded


def _fragments(encapsulated: bytes) -> bytes:
    """Those of an icon, joined, without the offset table."""
    return b"".join(islice(generate_fragments(encapsulated), 1, None))


def _swapped(octets: bytes, size: int) -> bytes:
    whole = len(octets) - len(octets) % size
    return np.frombuffer(octets[:whole], f">u{size}").astype(f"<u{size}").tobytes() + octets[whole:]
