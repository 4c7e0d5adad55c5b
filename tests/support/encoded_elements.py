"""Elements, items and sequences encoded by hand, also such as no library writes; tags are 32-bit numbers."""

import struct

UNDEFINED = 0xFFFFFFFF
LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})


def head(tag: int, vr: str, length: int, order: str = "<", *, is_long: bool | None = None) -> bytes:
    """The head of an element in Explicit VR, with a length of 32 bits where its VR has one, or `is_long` says."""
    group, number = divmod(tag, 1 << 16)
    if (vr in LONG_VRS) if is_long is None else is_long:
        return struct.pack(f"{order}HH2s2xL", group, number, vr.encode("latin-1"), length)
    return struct.pack(f"{order}HH2sH", group, number, vr.encode("latin-1"), length)


def element(tag: int, vr: str, value: bytes, order: str = "<", *, is_long: bool | None = None) -> bytes:
    """An element in Explicit VR."""
    return head(tag, vr, len(value), order, is_long=is_long) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    """An element in Implicit VR Little Endian."""
    return struct.pack("<HHL", *divmod(tag, 1 << 16), len(value) if length is None else length) + value


def item(content: bytes, order: str = "<", *, is_undefined: bool = False, is_ended: bool = True) -> bytes:
    """An item; of undefined length, it ends with its delimiter unless not `is_ended`."""
    begin = struct.pack(f"{order}HHL", 0xFFFE, 0xE000, UNDEFINED if is_undefined else len(content))
    return begin + content + (struct.pack(f"{order}HHL", 0xFFFE, 0xE00D, 0) if is_undefined and is_ended else b"")


def sequence_end(order: str = "<") -> bytes:
    """The delimiter of a sequence of undefined length."""
    return struct.pack(f"{order}HHL", 0xFFFE, 0xE0DD, 0)


def sequence(tag: int, items: bytes, order: str = "<", *, vr: str = "SQ", is_undefined: bool = False) -> bytes:
    """A sequence of encoded items."""
    if is_undefined:
        return head(tag, vr, UNDEFINED, order) + items + sequence_end(order)
    return head(tag, vr, len(items), order) + items
