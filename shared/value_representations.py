"""Which value representation (VR, PS3.5 6.2) an element is read by. The dictionaries are pydicom's."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from pydicom.datadict import dictionary_VR, private_dictionary_VR
from pydicom.valuerep import AMBIGUOUS_VR, EXPLICIT_VR_LENGTH_32, STANDARD_VR

ENCODED_VRS: Final = {vr.value.encode("ascii"): vr.value for vr in STANDARD_VR}
"""The VRs by their two bytes in Explicit VR."""

LONG_VRS: Final = frozenset(vr.value for vr in EXPLICIT_VR_LENGTH_32)
"""The VRs whose length takes 32 bits in Explicit VR: PS3.5 Table 7.1-1."""

BULK_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""The VRs of values without structure, which the DICOM JSON Model can only encode or refer to: PS3.18 F.2.7."""

VALUE_BYTES: Final = {"AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
"""The VRs of binary numbers, with the length of a value: PS3.5 Table 6.2-1."""

WORD_BYTES: Final = {**VALUE_BYTES, "AT": 2, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2}
"""The VRs whose values depend on the byte order, with the length of what it orders: PS3.5 7.3."""

_DICTIONARY_VRS: Final = {str(vr.value): vr.value for vr in STANDARD_VR | AMBIGUOUS_VR}

# Where a dictionary leaves a choice, and neither the encoding nor the pixels decide: words are OW (PS3.5 A.1).
_CHOSEN_VRS: Final = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}


def dictionary_vr(tag: int, private_creators: Mapping[int, str]) -> str:
    """The VR of an attribute by the dictionaries, perhaps an ambiguous one ("US or SS"); UN when they do not know it.

    `private_creators` are the values of the private creator elements before it in its data set, by tag.
    """
    group, number = tag >> 16, tag & 0xFFFF
    if not group & 1:
        return _standard_vr(tag)
    if 0x10 <= number <= 0xFF:
        return "LO"  # a private creator: PS3.5 7.8.1
    creator = private_creators.get(group << 16 | number >> 8)
    return _private_vr(tag, creator) if creator else "UN"


def decided_vr(vr: str, *, length: int = 0, is_signed: bool = False, is_encapsulated: bool = False) -> str:
    """The VR that a value of `length` bytes can have, given one that may be ambiguous.

    Pixel Representation (0028,0103) says whether it `is_signed`. A value whose length no number of values has is UN.
    """
    if vr == "US or SS":
        vr = "SS" if is_signed else "US"
    elif vr == "OB or OW" and is_encapsulated:
        vr = "OB"  # PS3.5 A.4
    else:
        vr = _CHOSEN_VRS.get(vr, vr)
    return "UN" if length % VALUE_BYTES.get(vr, 1) else vr


@lru_cache(maxsize=8192)
def _standard_vr(tag: int) -> str:
    if tag & 0xFFFF == 0:
        return "UL"  # a group length: PS3.5 7.2
    try:
        return _DICTIONARY_VRS.get(dictionary_VR(tag), "UN")
    except KeyError:
        return "UN"


@lru_cache(maxsize=8192)
def _private_vr(tag: int, creator: str) -> str:
    try:
        return _DICTIONARY_VRS.get(private_dictionary_VR(tag, creator), "UN")
    except KeyError:
        return "UN"
