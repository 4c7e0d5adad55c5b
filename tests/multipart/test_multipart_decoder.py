"""The decoder: one table of messages, read in every way they can be cut; then what is refused, and where."""

import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from dicomweb_client.web import DICOMwebClient

from shared.errors import BadRequest, PayloadTooLarge
from shared.multipart import (
    NEED_DATA,
    Event,
    Headers,
    MessageEnd,
    MultipartDecoder,
    MultipartError,
    MultipartLimitExceeded,
    MultipartLimits,
    MultipartMisuse,
    MultipartTruncated,
    PartBegin,
    PartData,
    PartEnd,
    decode_events,
)
from tests.support.decoded_messages import bytewise, feed, outcome, outcomes, parts_of, splits
from tests.support.garbage import left_in_cycles
from tests.support.multipart_messages import MESSAGES, Message, bare, dicom, wire
from tests.support.multipart_parts import Part, decode_parts

WIRE_EXAMPLES = [
    pytest.param(message.parts, data, id=f"{name}: {variant}")
    for name, message in MESSAGES.items()
    for variant, data in {"canonical": message.canonical, **message.variants}.items()
]
LIMITED = MultipartLimits(max_parts=4, max_header_bytes=200)  # small, to show what the examples stay within


@pytest.mark.parametrize(("parts", "data"), WIRE_EXAMPLES)
def test_message_is_decoded_the_same_however_it_is_cut(parts: list[Part], data: bytes) -> None:
    assert outcomes(data, LIMITED) == [parts]


@pytest.mark.parametrize(("parts", "data"), WIRE_EXAMPLES)
async def test_conveniences_decode_the_same(parts: list[Part], data: bytes) -> None:
    async def arriving() -> AsyncIterator[bytes]:
        for chunk in bytewise(data):
            yield chunk
            yield b""  # an empty chunk from a stream is not its end

    assert decode_parts(data, MultipartDecoder("b")) == parts
    assert parts_of([event async for event in decode_events(arriving(), MultipartDecoder("b"))]) == parts


@pytest.mark.parametrize("bodies", [[], [b"DICM"], [b"\r\n", b"", b"\n--b"]])
def test_what_dicomweb_client_sends_is_decoded(bodies: list[bytes]) -> None:
    content_type = 'multipart/related; type="application/dicom"; boundary="b"'
    message = DICOMwebClient._encode_multipart_message(bodies, content_type)
    assert decode_parts(message, MultipartDecoder("b")) == [dicom(body) for body in bodies]


# What is refused: the error is the same, down to the offset, however the message is cut


def with_headers(block: bytes) -> bytes:
    return b"--b\r\n" + block + b"\r\n\r\nDICM\r\n--b--\r\n"


REFUSED = {
    "no bytes at all": (b"", MultipartTruncated, 0),
    "another boundary": (b"--c\r\n\r\nA\r\n--c--\r\n", MultipartTruncated, 17),
    "delimiter not at the start of a line": (b" --b--\r\n", MultipartTruncated, 8),
    "only LF ends lines": (wire(b"A").replace(b"\r\n", b"\n"), MultipartError, 0),
    "only CR ends lines": (wire(b"A").replace(b"\r\n", b"\r"), MultipartError, 0),
    "no close delimiter": (b"--b\r\n\r\nA\r\n--b\r\n", MultipartTruncated, 15),
    "first line goes on": (b"--bX\r\n\r\nA\r\n--b--\r\n", MultipartError, 0),
    "delimiter goes on": (b"--b\r\n\r\nA\r\n--bX\r\n--b--\r\n", MultipartError, 10),
    "delimiter goes on after padding": (b"--b\r\n\r\nA\r\n--b X\r\n--b--\r\n", MultipartError, 10),
    "delimiter goes on after one dash": (b"--b\r\n\r\nA\r\n--b-X\r\n--b--\r\n", MultipartError, 10),
    "delimiter goes on after padding and dashes": (b"--b\r\n\r\nA\r\n--b --\r\n", MultipartError, 10),
    "delimiter goes on after CR": (b"--b\r\n\r\nA\r\n--b\rX\r\n--b--\r\n", MultipartError, 10),
    "close delimiter goes on": (b"--b\r\n\r\nA\r\n--b--X\r\n", MultipartError, 10),
    "close delimiter goes on after CR": (b"--b\r\n\r\nA\r\n--b--\rX", MultipartError, 10),
    "delimiter with LF": (b"--b\r\n\r\nA\r\n--b\n\r\n--b--\r\n", MultipartError, 10),
    "body that begins with a longer delimiter": (b"--b\r\n\r\n--bX\r\n--b--\r\n", MultipartError, 7),
    "padding without end": (b"--b" + b" " * 129 + b"\r\n\r\nA\r\n--b--\r\n", MultipartError, 0),
    "delimiter directly after a delimiter": (b"--b\r\n--b--\r\n\r\nA", MultipartError, 5),
    "delimiter in the headers": (with_headers(b"A: b\r\n--b--"), MultipartError, 11),
    "header without colon": (with_headers(b"A: b\r\nC"), MultipartError, 11),
    "header without name": (with_headers(b": b"), MultipartError, 5),
    "space before the colon": (with_headers(b"A : b"), MultipartError, 5),
    "first header folded": (with_headers(b" A: b"), MultipartError, 5),
    "LF in a header": (with_headers(b"A: b\nC: d"), MultipartError, 5),
    "CR in a header": (with_headers(b"A: b\rC: d"), MultipartError, 5),
    "NUL in a header": (with_headers(b"A: \0"), MultipartError, 5),
    "name that is no token": (with_headers(b"\xc4: b"), MultipartError, 5),
    "Content-Type twice": (with_headers(b"Content-Type: a/b\r\ncontent-type: a/b"), MultipartError, 43),
    "base64": (with_headers(b"Content-Transfer-Encoding: base64"), MultipartError, 40),
    "quoted-printable": (with_headers(b"Content-Transfer-Encoding: Quoted-Printable"), MultipartError, 50),
}


@pytest.mark.parametrize(("data", "kind", "offset"), REFUSED.values(), ids=REFUSED.keys())
def test_broken_message_is_refused_the_same_however_it_is_cut(
    data: bytes, kind: type[MultipartError], offset: int
) -> None:
    with pytest.raises(MultipartError) as caught:
        decode_parts(data, MultipartDecoder("b"))
    assert (caught.type, caught.value.offset) == (kind, offset)
    assert len(outcomes(data)) == 1


@pytest.mark.parametrize("data", [case[0] for case in REFUSED.values()], ids=REFUSED.keys())
def test_an_error_leaves_no_cycle(data: bytes) -> None:
    with left_in_cycles() as left:
        for chunks in ([data], bytewise(data)):
            decoder = MultipartDecoder("b")
            with suppress(MultipartError):
                list(feed(decoder, chunks))
            with suppress(MultipartError):
                decoder.next_event()
    assert left == []


def test_error_says_what_and_where() -> None:
    with pytest.raises(BadRequest, match=r"^Delimiter-like line in part \(at byte 10 of the multipart message\)$"):
        decode_parts(b"--b\r\n\r\nA\r\n--bX", MultipartDecoder("b"))


def test_refused_part_never_ends() -> None:
    events = feed(MultipartDecoder("b"), [b"--b\r\n\r\nA\r\n--bX\r\n"])
    assert [type(next(events)), type(next(events))] == [PartBegin, PartData]
    with pytest.raises(MultipartError, match="Delimiter-like"):
        next(events)


@pytest.mark.parametrize("length", [b"5", b"3", b"0", b"-4", b"4" * 500, b""])
def test_the_boundary_ends_a_part_whatever_its_content_length_says(length: bytes) -> None:
    data = with_headers(b"content-length: " + length)
    assert [part.body for part in decode_parts(data, MultipartDecoder("b"))] == [b"DICM"]
    assert len(outcomes(data)) == 1


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_message_cut_anywhere_before_its_end_is_truncated(message: Message) -> None:
    for end in range(len(message.canonical.removesuffix(b"\r\n"))):
        cut = message.canonical[:end]
        for chunks in ([cut], bytewise(cut)):
            events: list[Event] = []
            with pytest.raises(MultipartTruncated) as caught:
                events.extend(feed(MultipartDecoder("b"), chunks))
            assert caught.value.offset == end
            assert MessageEnd() not in events
            assert events.count(PartEnd()) <= max(len(message.parts) - 1, 0)


# Limits: each message is allowed by its limit exactly; then it has one byte or one item too many


@dataclass
class Limited:
    """A message within a limit, one over it, and after how many bytes of the latter it shows."""

    limit: str
    allowed: int
    within: bytes
    over: bytes
    offset: int
    seen_at: int


HEADER_BLOCK = b"Content-Type: application/dicom\r\n\r\n"
LIMITS = {
    "parts": Limited("max_parts", 2, wire(b"A", b"B"), wire(b"A", b"B", b"C"), 91, 91),
    "parts that are not there": Limited(
        "max_parts", 2, b"--b\r\n\r\n" * 2 + b"--b--", b"--b\r\n\r\n" * 2 + b"--b\r\n\r\n--b--", 19, 19
    ),
    "no part at all": Limited("max_parts", 0, b"--b--\r\n", b"--b\r\n\r\nA\r\n--b--\r\n", 5, 5),
    "part": Limited("max_part_bytes", 4, wire(b"DICM"), wire(b"DICM?"), 44, 45),
    "part of line ends": Limited("max_part_bytes", 4, wire(b"\r\n\r\n"), wire(b"\r\n\r\n\n"), 44, 45),
    "part that ends as a delimiter begins": Limited("max_part_bytes", 4, wire(b"DICM"), wire(b"DICM\r"), 44, 46),
    "second part": Limited("max_part_bytes", 1, wire(b"A", b"B"), wire(b"A", b"BC"), 84, 85),
    "any part": Limited("max_part_bytes", 0, wire(b"", b""), wire(b"A"), 40, 41),
    "total": Limited("max_total_bytes", len(wire(b"A")), wire(b"A"), wire(b"A") + b"\n", 50, 51),
    "total within a part": Limited("max_total_bytes", len(wire(b"A")), wire(b"A"), wire(b"x" * 50), 50, 51),
    "total without CRLF at the end": Limited("max_total_bytes", 5, b"--b--", b"--b--\r", 5, 6),
    "total before a fault": Limited("max_total_bytes", 13, b"--b--", b"--b\r\n\r\nA\r\n--bXX--b", 13, 14),
    "header block": Limited(
        "max_header_bytes", len(HEADER_BLOCK), wire(b"A"), with_headers(b"A: " + b"b" * 32), 40, 40
    ),
    "header block without headers": Limited(
        "max_header_bytes", 2, b"--b\r\n\r\nA\r\n--b--", b"--b\r\nA: b\r\n\r\n\r\n--b--", 7, 7
    ),
    "header block without end": Limited("max_header_bytes", 100, wire(b"A"), b"--b\r\nA:" + b"b" * 99, 105, 105),
    "headers": Limited("max_headers", 2, with_headers(b"A: a\r\nB: b"), with_headers(b"A: a\r\nB: b\r\nC: c"), 17, 26),
    "any header": Limited("max_headers", 0, b"--b\r\n\r\nA\r\n--b--", wire(b"A"), 5, 41),
    "preamble": Limited("max_preamble_bytes", 3, b"abc\r\n--b--", b"abcd\r\n--b--", 3, 4),
    "preamble of line ends": Limited("max_preamble_bytes", 2, b"\r\n\r\n--b--", b"\r\n\r\r\n--b--", 2, 4),
    "preamble without end": Limited("max_preamble_bytes", 8, b"\r\n--b--", b"-" * 99, 8, 9),
    "no preamble": Limited("max_preamble_bytes", 0, b"\r\n--b--", b"a\r\n--b--", 0, 1),
    "epilogue": Limited("max_preamble_bytes", 3, wire(b"A") + b"abc", wire(b"A") + b"abcd", 53, 54),
    "no epilogue": Limited("max_preamble_bytes", 0, wire(b"A"), wire(b"A") + b"\r\n", 50, 51),
}


@pytest.mark.parametrize("case", LIMITS.values(), ids=LIMITS.keys())
def test_limit_allows_what_it_says(case: Limited) -> None:
    limits = MultipartLimits(**{case.limit: case.allowed})
    assert outcomes(case.within, limits) == [decode_parts(case.within, MultipartDecoder("b"))]


@pytest.mark.parametrize("case", LIMITS.values(), ids=LIMITS.keys())
def test_limit_exceeded_is_an_error_that_names_it(case: Limited) -> None:
    limits = MultipartLimits(**{case.limit: case.allowed})
    with pytest.raises(
        PayloadTooLarge, match=rf"^Over {case.limit} = {case.allowed} \(at byte {case.offset} "
    ) as caught:
        decode_parts(case.over, MultipartDecoder("b", limits=limits))
    assert isinstance(caught.value, MultipartLimitExceeded)
    assert (caught.value.limit, caught.value.offset) == (case.limit, case.offset)
    assert len(outcomes(case.over, limits)) == 1


@pytest.mark.parametrize("case", LIMITS.values(), ids=LIMITS.keys())
def test_limit_exceeded_shows_at_the_earliest_byte(case: Limited) -> None:
    decoder = MultipartDecoder("b", limits=MultipartLimits(**{case.limit: case.allowed}))
    for chunk in bytewise(case.over[: case.seen_at - 1]):
        decoder.receive_data(chunk)
        list(decoder.events())
    decoder.receive_data(case.over[case.seen_at - 1 : case.seen_at])
    with pytest.raises(MultipartLimitExceeded):
        list(decoder.events())


def test_part_over_its_limit_is_not_handed_out_beyond_it() -> None:
    decoder = MultipartDecoder("b", limits=MultipartLimits(max_part_bytes=4))
    decoder.receive_data(b"--b\r\n\r\nDICM")
    assert list(decoder.events()) == [PartBegin(Headers()), PartData(b"DICM")]
    decoder.receive_data(b"?")
    with pytest.raises(MultipartLimitExceeded):
        decoder.next_event()


def test_default_limits_allow_a_store_with_thousands_of_headers_and_parts() -> None:
    assert len(decode_parts(wire(*[b"A"] * 10_000), MultipartDecoder("b"))) == 10_000


# The boundary


@pytest.mark.parametrize("boundary", ["0", "b" * 256, " a;b=c d", 'a"b\\c', "--", "gc0pJq0M:08jU534c0p", "a.*+?[]"])
def test_boundary_of_printable_characters_is_accepted(boundary: str) -> None:
    message = wire(b"A").replace(b"--b", b"--" + boundary.encode())
    for chunks in splits(message):
        assert outcome(chunks, boundary=boundary) == [dicom(b"A")]


@pytest.mark.parametrize("boundary", ["", "b" * 257, "a\rb", "a\nb", "b\n", "a\0b", "a\tb", "a\x7fb", "ü", "\ud800"])
def test_boundary_of_other_characters_is_refused(boundary: str) -> None:
    with pytest.raises(MultipartError, match=r"^The boundary is not 1 to 256 printable ASCII characters$") as caught:
        MultipartDecoder(boundary)
    assert caught.value.offset is None


def test_boundary_is_case_sensitive() -> None:
    assert outcome([b"--b\r\n\r\n\r\n--B--\r\n\r\n--b--"]) == [bare(b"\r\n--B--\r\n")]


def test_boundary_with_a_colon_is_not_a_header() -> None:
    with pytest.raises(MultipartError, match="header"):
        decode_parts(b"--a:b\r\n--a:b\r\n\r\n\r\n--a:b--", MultipartDecoder("a:b"))


# The contract of the calls


def test_events_come_as_soon_as_they_are_certain() -> None:
    decoder = MultipartDecoder("b")
    steps: list[tuple[bytes, list[Event]]] = [
        (b"--b\r\nContent-Type: application/dicom\r\n\r\n", []),  # a delimiter may follow
        (b"\r\n", [PartBegin(Headers({"Content-Type": "application/dicom"}))]),  # and still may
        (b"-", []),
        (b"DI", [PartData(b"\r\n-DI")]),
        (b"CM\r\n--b", [PartData(b"CM")]),
        (b"\r", []),
        (b"\n", [PartEnd()]),
        (b"\r\nA\r\n--b--", [PartBegin(Headers()), PartData(b"A")]),
        (b"\r\nbye", [PartEnd()]),
        (b"", [MessageEnd()]),
    ]
    for chunk, events in steps:
        decoder.receive_data(chunk)
        assert list(decoder.events()) == events


def test_data_of_a_chunk_within_a_part_is_not_copied() -> None:
    decoder = MultipartDecoder("b")
    decoder.receive_data(b"--b\r\n\r\nA")
    chunk = bytes(1000)
    assert [type(event) for event in decoder.events()] == [PartBegin, PartData]
    decoder.receive_data(chunk)
    event = decoder.next_event()
    assert isinstance(event, PartData)
    assert event.data is chunk


def test_more_data_is_asked_for_until_the_input_ends() -> None:
    decoder = MultipartDecoder("b")
    for chunk in bytewise(wire(b"")):
        assert decoder.next_event() is NEED_DATA
        decoder.receive_data(chunk)
        list(decoder.events())
    assert decoder.next_event() is NEED_DATA


def test_end_of_input_may_be_repeated_and_so_may_the_end_of_the_message() -> None:
    decoder = MultipartDecoder("b")
    for chunk in (wire(), b"", b""):
        decoder.receive_data(chunk)
    assert [decoder.next_event() for _ in range(3)] == [MessageEnd()] * 3
    decoder.receive_data(b"")
    assert decoder.next_event() == MessageEnd()


def test_data_after_the_end_of_the_input_is_misuse() -> None:
    decoder = MultipartDecoder("b")
    decoder.receive_data(b"")
    with pytest.raises(MultipartMisuse, match=r"^Data after the end of the input$"):
        decoder.receive_data(wire(b"A"))


def test_error_is_raised_again_whatever_follows() -> None:
    decoder = MultipartDecoder("b")
    decoder.receive_data(b"--bX")
    with pytest.raises(MultipartError) as first:
        decoder.next_event()
    for chunk in (wire(b"A"), b""):
        decoder.receive_data(chunk)
        with pytest.raises(MultipartError) as again:
            decoder.next_event()
        assert (again.type, str(again.value), again.value.offset) == (first.type, str(first.value), 0)
        assert len(traceback.extract_tb(again.value.__traceback__)) == 2  # it does not grow


def test_truncated_message_cannot_go_on() -> None:
    decoder = MultipartDecoder("b")
    for chunk in (wire(b"A")[:-8], b""):
        decoder.receive_data(chunk)
    with pytest.raises(MultipartTruncated, match=r"before its close delimiter \(at byte 42 "):
        list(decoder.events())
    with pytest.raises(MultipartTruncated):
        decoder.next_event()


# Headers


def test_headers_are_looked_up_in_any_case_and_keep_their_order() -> None:
    headers = Headers([("X-Second", "2"), ("Content-Type", "a/b")])
    assert (headers["content-type"], headers.get("X-SECOND"), headers.get("Content")) == ("a/b", "2", None)
    assert "CONTENT-TYPE" in headers
    assert list(headers.items()) == [("X-Second", "2"), ("Content-Type", "a/b")]
    assert repr(headers) == "Headers({'X-Second': '2', 'Content-Type': 'a/b'})"


def test_headers_are_immutable() -> None:
    with pytest.raises(TypeError):
        Headers()["Content-Type"] = "a/b"  # type: ignore[index]


@pytest.mark.parametrize(("block", "content_type"), [(b"X: y", None), (b"content-TYPE: a/b; c=d", "a/b; c=d")])
def test_content_type_of_a_part_is_its_raw_value_or_none(block: bytes, content_type: str | None) -> None:
    begin = next(feed(MultipartDecoder("b"), [with_headers(block)]))
    assert isinstance(begin, PartBegin)
    assert begin.headers.get("Content-Type") == content_type
