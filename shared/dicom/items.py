"""Items of sequences and of encapsulated Pixel Data, and how they are encoded (PS3.5 7.5 and A.4)."""

from struct import pack, unpack_from
from typing import Final

ITEM: Final = 0xFFFEE000
ITEM_DELIMITATION: Final = 0xFFFEE00D
SEQUENCE_DELIMITATION: Final = 0xFFFEE0DD

ITEM_TAGS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
"""The tag of an item, encoded in little and in big endian."""

ITEM_HEAD_BYTES: Final = 8
"""What precedes the value of an item: its tag and length. A delimiter is as long."""

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
"""The encoded length of an element or item that ends with a delimiter."""


def encoded_item(value: bytes) -> bytes:
    """An item of defined length, in little endian; a value of odd length is padded with a null."""
    padding = b"\0" * (len(value) % 2)
    return ITEM_TAGS[0] + pack("<L", len(value) + len(padding)) + value + padding


def sequence_delimitation(*, is_little_endian: bool = True) -> bytes:
    """The delimiter that ends a sequence of undefined length."""
    return _delimiter(SEQUENCE_DELIMITATION, is_little_endian)


def item_delimitation(*, is_little_endian: bool = True) -> bytes:
    """The delimiter that ends an item of undefined length."""
    return _delimiter(ITEM_DELIMITATION, is_little_endian)


def _delimiter(tag: int, is_little_endian: bool) -> bytes:
    return pack("<HHL" if is_little_endian else ">HHL", *divmod(tag, 1 << 16), 0)


def tag_and_length(data: bytes | bytearray, begin: int = 0, *, is_little_endian: bool = True) -> tuple[int, int]:
    """The tag and length of the item or delimiter whose head begins at `begin`."""
    group, number, length = unpack_from("<HHL" if is_little_endian else ">HHL", data, begin)
    return group << 16 | number, length
