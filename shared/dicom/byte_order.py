"""Byte order (PS3.5 7.3): turns a value that was encoded in big endian into little endian."""

from array import array
from typing import Final

from shared.dicom.element_values import NUMBER_BYTES

WORD_BYTES: Final = {**NUMBER_BYTES, "AT": 2, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2}
"""The VRs whose values are words, with the length of a word in bytes; all others are single bytes."""

_ARRAY_CODES: Final = {2: "H", 4: "I", 8: "Q"}


def swapped(value: bytes, vr: str) -> bytes:
    """Reverse the bytes of each word in a value of this VR; a partial word at its end stays as it is."""
    size = WORD_BYTES.get(vr, 1)
    if size == 1:
        return value
    whole = len(value) - len(value) % size
    words = array(_ARRAY_CODES[size], value[:whole])
    words.byteswap()
    return words.tobytes() + value[whole:]
