"""What holds for every message: it comes back as sent, however it is cut, and bad bytes are only refused."""

from collections.abc import Callable, Iterator
from typing import Any, SupportsIndex

import pytest
from dicomweb_client.web import DICOMwebClient
from hypothesis import assume, example, given
from hypothesis import strategies as st

from shared.multipart import (
    Headers,
    MessageEnd,
    MultipartDecoder,
    MultipartEncoder,
    MultipartLimits,
    MultipartTruncated,
)
from tests.support.decoded_messages import bytewise, outcome
from tests.support.foreign_decoders import decoded_by_dicomweb_client, decoded_by_email, decoded_by_toolbelt
from tests.support.multipart_parts import Part, decode_parts, encode_parts

pytestmark = pytest.mark.property

BOUNDARY = "b-b"
TIGHT = MultipartLimits(
    max_parts=3, max_part_bytes=9, max_total_bytes=90, max_header_bytes=24, max_headers=2, max_preamble_bytes=5
)

boundaries = st.text("0123456789abcxyzABC'+_.-", min_size=1, max_size=70)
names = st.text("!#$%&'*+.^_`|~-AaBbZz09", min_size=1, max_size=12)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=20).map(
    lambda value: value.strip(" ")
)
reserved = {"content-length", "content-transfer-encoding"}  # these describe the body
headers = st.dictionaries(names, values, max_size=4).map(Headers).filter(lambda given: not reserved & set(given))


def hostile(boundary: str) -> st.SearchStrategy[bytes]:
    """Bytes made of the pieces of delimiters."""
    fragments = [
        b"\r",
        b"\n",
        b"-",
        b"\r\n",
        b"\r\n\r\n",
        b"\r\n--",
        b"--",
        b"\n--" + boundary.encode(),
        b" ",
        b":",
        b"A: b",
    ]
    prefixes = st.integers(0, len(boundary)).map(lambda end: b"\r\n--" + boundary[:end].encode())
    return st.lists(st.sampled_from(fragments) | prefixes | st.binary(max_size=3), max_size=30).map(b"".join)


def delimited(boundary: str) -> st.SearchStrategy[bytes]:
    """Bytes that are often a message, or nearly one."""
    dashes = b"--" + boundary.encode()
    pieces = [
        dashes,
        b"\r\n" + dashes,
        b"\r\n" + dashes + b"\r\n",
        b"\r\n" + dashes + b"--",
        b"\r\n",
        b"\r\n\r\n",
        b"A: b\r\n",
    ]
    lengths = [b"Content-Length: 1\r\n", b"Content-Transfer-Encoding: 8bit\r\n"]
    return st.lists(st.sampled_from(pieces + lengths) | hostile(boundary), max_size=12).map(b"".join)


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The data in chunks of these sizes, the last of which repeats."""
    at = 0
    while at < len(data):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        yield data[at : at + size]
        at += size


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=8)


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, list[Part]]:
    boundary = draw(boundaries)
    parts = draw(st.lists(st.builds(Part, headers, hostile(boundary) | st.binary(max_size=80)), max_size=4))
    # A delimiter may also begin at the blank line before the body
    assume(all(f"\r\n--{boundary}".encode() not in b"\r\n" + part.body for part in parts))
    return boundary, parts


@given(messages(), sizes)
def test_parts_come_back_as_they_were_sent(message: tuple[str, list[Part]], sizes: list[int]) -> None:
    boundary, parts = message
    data = b"".join(encode_parts(parts, MultipartEncoder(boundary, type="application/dicom")))
    assert outcome(cut(data, sizes), boundary=boundary) == parts


@given(st.data(), sizes, st.sampled_from([MultipartLimits(), TIGHT]))
def test_any_bytes_are_parts_or_one_error_however_they_are_cut(
    data: st.DataObject, sizes: list[int], limits: MultipartLimits
) -> None:
    body = data.draw(st.binary(max_size=100) | hostile(BOUNDARY) | delimited(BOUNDARY))
    expected = outcome([body], boundary=BOUNDARY, limits=limits)
    assert outcome(cut(body, sizes), boundary=BOUNDARY, limits=limits) == expected
    assert outcome(bytewise(body), boundary=BOUNDARY, limits=limits) == expected


@given(messages(), st.data())
def test_message_cut_short_is_never_taken_for_whole(message: tuple[str, list[Part]], data: st.DataObject) -> None:
    boundary, parts = message
    whole = b"".join(encode_parts(parts, MultipartEncoder(boundary, type="application/dicom")))
    end = data.draw(st.integers(0, len(whole) - len("\r\n") - 1))
    with pytest.raises(MultipartTruncated):
        decode_parts(whole[:end], MultipartDecoder(boundary))


@given(st.lists(hostile(BOUNDARY), max_size=4), sizes)
@example(bodies=[b"\r\n"], sizes=[1])
def test_what_dicomweb_client_sends_comes_back(bodies: list[bytes], sizes: list[int]) -> None:
    assume(not any(f"\r\n--{BOUNDARY}".encode() in b"\r\n" + body for body in bodies))
    content_type = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
    data = DICOMwebClient._encode_multipart_message(bodies, content_type)
    parts = [Part(Headers({"Content-Type": "application/dicom"}), body) for body in bodies]
    assert outcome(cut(data, sizes), boundary=BOUNDARY) == parts


@pytest.mark.parametrize("decoded", [decoded_by_toolbelt, decoded_by_dicomweb_client])
@given(bodies=st.lists(hostile(BOUNDARY), min_size=1, max_size=4))
def test_what_we_send_other_decoders_understand(
    decoded: Callable[[bytes, str], list[bytes]], bodies: list[bytes]
) -> None:
    assume(not any(f"\r\n--{BOUNDARY}".encode() in b"\r\n" + body for body in bodies))
    encoder = MultipartEncoder(BOUNDARY, type="application/dicom")
    parts = [Part(Headers({"Content-Type": "application/dicom"}), body) for body in bodies]
    assert decoded(b"".join(encode_parts(parts, encoder)), encoder.content_type) == bodies


@given(st.lists(st.binary(min_size=1), min_size=1, max_size=4))
def test_what_we_send_the_standard_library_understands(bodies: list[bytes]) -> None:
    assume(not any(f"--{BOUNDARY}".encode() in body for body in bodies))  # it takes a lone LF as a line end
    encoder = MultipartEncoder(BOUNDARY, type="application/dicom")
    parts = [Part(Headers({"Content-Type": "application/dicom"}), body) for body in bodies]
    assert decoded_by_email(b"".join(encode_parts(parts, encoder)), encoder.content_type) == bodies


# Linear time, by counting the bytes that the decoder's searches, slices and concatenations touch


class Counted(bytes):
    """Bytes that count how many of them are searched and copied, as do bytes sliced from them and joined to them."""

    searched = 0
    copied = 0

    def find(self, sub: Any, start: SupportsIndex | None = 0, end: SupportsIndex | None = None, /) -> int:
        found = super().find(sub, start, end)
        stop = len(self) if end is None else min(len(self), int(end))
        Counted.searched += (stop if found < 0 else found + len(sub)) - int(start or 0)
        return found

    def rfind(self, sub: Any, start: SupportsIndex | None = 0, end: SupportsIndex | None = None, /) -> int:
        found = super().rfind(sub, start, end)
        Counted.searched += len(self) - max(found, int(start or 0))
        return found

    def __getitem__(self, key: Any) -> Any:
        piece = Counted(super().__getitem__(key))
        Counted.copied += len(piece)
        return piece

    def __add__(self, other: Any) -> bytes:
        Counted.copied += len(self) + len(other)
        return Counted(super().__add__(other))


def touched_per_byte(message: bytes, chunk_bytes: int, *, drain: bool) -> float:
    Counted.searched = Counted.copied = 0
    size = len(message)
    limits = MultipartLimits(max_parts=size, max_header_bytes=size, max_preamble_bytes=size)
    decoder = MultipartDecoder(BOUNDARY, limits=limits)
    for at in range(0, size, chunk_bytes):
        decoder.receive_data(Counted(message[at : at + chunk_bytes]))
        if drain:
            list(decoder.events())
    decoder.receive_data(b"")
    assert list(decoder.events())[-1] == MessageEnd()
    return (Counted.searched + Counted.copied) / size


FRAGMENTS = (b"\0", b"\r", b"\r\n", b"-", b"\r\n--", b"\r\n--b-", b"\n--b-b\r\n", b"\r\r\n--b")
FRAMES = {
    "body": (b"--b-b\r\n\r\n", b"\r\n--b-b--"),
    "preamble": (b" ", b"\r\n--b-b--"),
    "epilogue": (b"--b-b--\r\n", b""),
}
REPEATED: dict[str, tuple[bytes, bytes, bytes]] = {
    **{f"{name} of {piece!r}": (head, piece, tail) for name, (head, tail) in FRAMES.items() for piece in FRAGMENTS},
    "tiny parts": (b"", b"--b-b\r\n\r\nA\r\n", b"--b-b--"),
    "missing parts": (b"", b"--b-b\r\n\r\n", b"--b-b--"),
    "long headers": (b"", b"--b-b\r\nA:" + b" " * 487 + b"\r\n\r\n\r\n", b"--b-b--"),
}


@pytest.mark.parametrize("drain", [True, False], ids=["drained", "asked for at the end"])
@pytest.mark.parametrize("chunk_bytes", [1, 100, 1000, 1_000_000])
@pytest.mark.parametrize(("head", "piece", "tail"), REPEATED.values(), ids=REPEATED.keys())
def test_a_byte_costs_no_more_in_a_message_eight_times_as_long(
    head: bytes, piece: bytes, tail: bytes, chunk_bytes: int, drain: bool
) -> None:
    size = 2000 if chunk_bytes == 1 else 20_000
    short, long = (head + piece * (length // len(piece)) + tail for length in (size, 8 * size))
    assert touched_per_byte(long, chunk_bytes, drain=drain) < 1.5 * touched_per_byte(short, chunk_bytes, drain=drain)


def test_a_header_block_is_searched_once() -> None:
    message = b"--b-b\r\nA: " + b"\r\n A" * 5000 + b"\r\n\r\n\r\n--b-b--"
    touched_per_byte(message, 10, drain=True)
    assert Counted.searched < 2 * len(message)
