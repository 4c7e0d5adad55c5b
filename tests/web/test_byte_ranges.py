import pytest

from shared.web.byte_ranges import ByteRange, RangeNotSatisfiable, requested_range


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=0-1000", 0, 100),
        ("bytes=10-", 10, 100),
        ("bytes=-10", 90, 100),
        ("bytes=-1000", 0, 100),
        ("bytes=99-99", 99, 100),
        ("Bytes = 5 - 6", 5, 7),
    ],
)
def test_a_range(header: str, start: int, end: int) -> None:
    assert requested_range(header, 100) == ByteRange(start, end, 100)


def test_says_in_content_range_what_is_sent() -> None:
    assert ByteRange(0, 10, 100).content_range == "bytes 0-9/100"


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,5-6", "items=0-1", "bytes=a-b", "bytes=1", "0-1"],
)
def test_anything_but_a_single_range_gives_the_whole(header: str | None) -> None:
    assert requested_range(header, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_without_a_byte_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        requested_range(header, 100)


def test_an_empty_representation_has_no_range() -> None:
    with pytest.raises(RangeNotSatisfiable):
        requested_range("bytes=0-", 0)
