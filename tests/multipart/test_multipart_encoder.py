"""The encoder: the decoder's table of messages in reverse; what it refuses; what other decoders make of its output."""

from collections.abc import Callable

import pytest

from shared.multipart import (
    Event,
    Headers,
    MessageEnd,
    MultipartDecoder,
    MultipartEncoder,
    MultipartMisuse,
    PartBegin,
    PartData,
    PartEnd,
    new_boundary,
)
from tests.support.foreign_decoders import decoded_by_dicomweb_client, decoded_by_email, decoded_by_toolbelt
from tests.support.multipart_messages import MESSAGES, Message, bare, dicom
from tests.support.multipart_parts import decode_parts, encode_parts

BEGIN = PartBegin(Headers())
DATA = PartData(b"DICM")


def encoder(boundary: str = "b", *, type: str = "application/dicom") -> MultipartEncoder:
    return MultipartEncoder(boundary, type=type)


def sent(*events: Event) -> MultipartEncoder:
    """An encoder that has sent the events."""
    result = encoder()
    for event in events:
        result.send(event)
    return result


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_parts_are_encoded_in_canonical_form(message: Message) -> None:
    assert b"".join(encode_parts(message.parts, encoder())) == message.canonical


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_decoded_events_are_encoded_back(message: Message) -> None:
    for data in (message.canonical, *message.variants.values()):
        decoder, again = MultipartDecoder("b"), encoder()
        for chunk in (data, b""):
            decoder.receive_data(chunk)
        assert b"".join(again.send(event) for event in decoder.events()) == message.canonical


def test_first_delimiter_is_at_the_first_byte() -> None:
    assert [encoder().send(event) for event in (BEGIN, MessageEnd())] == [b"--b\r\n\r\n", b"--b--\r\n"]


def test_line_end_after_a_body_belongs_to_the_delimiter() -> None:
    events = (BEGIN, DATA, DATA, PartEnd(), BEGIN, PartEnd(), MessageEnd())
    stream = encoder()
    assert [stream.send(event) for event in events] == [
        b"--b\r\n\r\n",
        b"DICM",
        b"DICM",
        b"",
        b"\r\n--b\r\n\r\n",
        b"",
        b"\r\n--b--\r\n",
    ]


def test_data_is_not_copied() -> None:
    assert sent(BEGIN).send(DATA) is DATA.data


# Order


@pytest.mark.parametrize(
    ("before", "event"),
    [
        ([], DATA),
        ([], PartEnd()),
        ([BEGIN], BEGIN),
        ([BEGIN], MessageEnd()),
        ([BEGIN, DATA], BEGIN),
        ([BEGIN, DATA], MessageEnd()),
        ([BEGIN, PartEnd()], DATA),
        ([BEGIN, PartEnd()], PartEnd()),
        ([MessageEnd()], BEGIN),
        ([MessageEnd()], DATA),
        ([MessageEnd()], PartEnd()),
        ([MessageEnd()], MessageEnd()),
    ],
)
def test_event_out_of_turn_is_misuse(before: list[Event], event: Event) -> None:
    with pytest.raises(MultipartMisuse, match=rf"^{type(event).__name__} out of turn$"):
        sent(*before).send(event)


def test_encoder_is_unchanged_after_misuse() -> None:
    stream = sent(BEGIN)
    with pytest.raises(MultipartMisuse):
        stream.send(BEGIN)
    assert stream.send(PartEnd()) == b""
    with pytest.raises(MultipartMisuse):
        stream.send(PartBegin(Headers({"A": "\n"})))
    assert stream.send(MessageEnd()) == b"\r\n--b--\r\n"


# Headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Location", "a\r\nContent-Type: text/html"),
        ("Content-Location", "a\r\n\r\nbody"),
        ("Content-Location", "a\n"),
        ("Content-Location", "a\r"),
        ("Content-Location", "a\0"),
        ("Content-Location", "\u0119"),  # not Latin-1
        ("", "a"),
        ("A:", "a"),
        ("A B", "a"),
        ("A\r\nB", "a"),
        ("Ä", "a"),
    ],
)
def test_header_that_would_break_the_block_is_misuse(name: str, value: str) -> None:
    with pytest.raises(MultipartMisuse, match="header"):
        encoder().send(PartBegin(Headers({name: value})))


# The boundary and the Content-Type of the message


def test_content_type_names_the_type_in_quotes_and_the_boundary_without() -> None:
    assert encoder("0a").content_type == 'multipart/related; type="application/dicom"; boundary=0a'


def test_content_type_has_further_parameters_in_quotes() -> None:
    stream = MultipartEncoder("0a", type="application/dicom", parameters={"start": "<1@x>", "transfer-syntax": "*"})
    assert stream.content_type == (
        'multipart/related; type="application/dicom"; start="<1@x>"; transfer-syntax="*"; boundary=0a'
    )


@pytest.mark.parametrize("value", ['a"b', "a\\b", "a\r\nb", "a\nb", "a\0", "ü"])
def test_parameter_that_would_need_escapes_is_misuse(value: str) -> None:
    with pytest.raises(MultipartMisuse, match=r"^The parameter 'type' cannot be quoted$"):
        encoder(type=value)
    with pytest.raises(MultipartMisuse, match=r"^The parameter 'start' cannot be quoted$"):
        MultipartEncoder("b", type="a/b", parameters={"start": value})


@pytest.mark.parametrize("boundary", ["0", "b" * 70, "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1", "_.-+'"])
def test_boundary_that_needs_no_quotes_is_emitted(boundary: str) -> None:
    body = b"".join(encode_parts([bare(b"A")], encoder(boundary)))
    assert decode_parts(body, MultipartDecoder(boundary)) == [bare(b"A")]


@pytest.mark.parametrize("boundary", ["", "b" * 71, "a b", "a;b", "a=b", "a/b", "a:b", 'a"b', "a\r\n", "b\n", "ü"])
def test_boundary_that_needs_quotes_or_is_long_is_misuse(boundary: str) -> None:
    with pytest.raises(MultipartMisuse, match="boundary"):
        encoder(boundary)


def test_new_boundaries_differ_and_can_be_emitted() -> None:
    boundaries = {new_boundary() for _ in range(100)}
    assert len(boundaries) == 100
    assert {len(boundary) for boundary in boundaries} == {32}
    assert all(encoder(boundary).content_type.endswith(f"boundary={boundary}") for boundary in boundaries)


# What other decoders make of our messages

BODIES = [
    pytest.param([b"DICM"], id="one"),
    pytest.param([b"DICM", b"", b"\r\n\r\nA\r\n"], id="three"),
    pytest.param([bytes(range(256)) * 300] * 3, id="binary"),
]


@pytest.mark.parametrize("decoded", [decoded_by_toolbelt, decoded_by_dicomweb_client, decoded_by_email])
@pytest.mark.parametrize("bodies", BODIES)
def test_other_decoders_agree(decoded: Callable[[bytes, str], list[bytes]], bodies: list[bytes]) -> None:
    stream = encoder(new_boundary())
    data = b"".join(encode_parts(map(dicom, bodies), stream))
    assert decoded(data, stream.content_type) == bodies
