"""Files whose attributes take far more memory than their bytes."""

from tests.support.served_instances import dataset, part10

PIXEL_DATA = b"\xe0\x7f\x10\x00"
_ELEMENTS = 0xE000  # of one private group


def large_header(size_bytes: int, value_bytes: int = 8, **attributes: object) -> bytes:
    """A Part 10 file with about `size_bytes` of private attributes that have `value_bytes` each."""
    file = part10(dataset(**attributes))
    start = file.index(PIXEL_DATA)
    value = b"LO" + value_bytes.to_bytes(2, "little") + b"x" * value_bytes
    count = size_bytes // (4 + len(value))
    private = b"".join(
        (0x2001 + 2 * (number // _ELEMENTS)).to_bytes(2, "little")
        + (0x1000 + number % _ELEMENTS).to_bytes(2, "little")
        + value
        for number in range(count)
    )
    return file[:start] + private + file[start:]
