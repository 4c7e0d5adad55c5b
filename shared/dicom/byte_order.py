"""Byte order (PS3.5 7.3): the bytes of a value that was encoded in big endian, as they stand in little endian."""

from array import array
from typing import Final

from shared.dicom.element_values import NUMBER_BYTES

WORD_BYTES: Final = {**NUMBER_BYTES, "AT": 2, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2}
"""The VRs of values that are words, with the length of a word; the values of all others are single bytes."""

_ARRAY_CODES: Final = {2: "H", 4: "I", 8: "Q"}


def swapped(value: bytes, vr: str) -> bytes:
    """A value of this VR with the bytes of each word turned round; a part of a word at its end stays as it is."""
    size = WORD_BYTES.get(vr, 1)
    if size == 1:
        return value
    whole = len(value) - len(value) % size
    words = array(_ARRAY_CODES[size], value[:whole])
    words.byteswap()
    return words.tobytes() + value[whole:]
