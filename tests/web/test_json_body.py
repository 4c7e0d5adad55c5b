"""JSON as Microsoft's service reads it, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BadRequest
from shared.web.json_body import MAX_DEPTH, read_object

NAMES = ("url", "events")


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"{}", {}),
        (b'{"URL":"a"}', {"url": "a"}),
        (b'\xef\xbb\xbf{"url":null,"EvEnts":[]}', {"events": []}),
        (b'{"url":"a" /* b */, // c\n "events":[1,2,],}', {"url": "a", "events": [1, 2]}),
        (rb'{"url":"\ud83d\ude00"}', {"url": "\U0001f600"}),
        (rb'{"url":"a//b/*c*/\",]"}', {"url": 'a//b/*c*/",]'}),
        (b'{"events":[{"a":1,/*x*/},\n]}', {"events": [{"a": 1}]}),
    ],
)
def test_what_is_read(body: bytes, read: dict[str, Any]) -> None:
    assert read_object(body, NAMES) == read


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "object"),
        (b'"url"', "object"),
        (b'{"url":"a"', "not JSON"),
        (b'{"url":"a}', "not JSON"),
        (b'{"url":1 /* a', "not JSON"),
        (b'{"url":1}}', "not JSON"),
        (b'{"url":NaN}', "number"),
        (b'{"url":-Infinity}', "number"),
        (b'{"url":' + b"9" * 5000 + b"}", "number"),
        (b'{"url":1,"url":2}', "or a name twice"),
        (b'{"url":1,"URL":2}', "url twice"),
        (b'{"uri":1}', "url, events"),
        (b"\xff", "UTF-8"),
        (rb'{"url":"\ud800"}', "surrogate"),
        (rb'{"events":[{"\udc00":1}]}', "surrogate"),
        (b"[" * 65, f"deeper than {MAX_DEPTH}"),
        (b"[" * 60_000, f"deeper than {MAX_DEPTH}"),
    ],
)
def test_what_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        read_object(body, NAMES)


@given(st.lists(st.sampled_from(['"', "\\", "/", "*", "\n", ",", "]", "}", "{", "[", "a", ":", "1", " "])).map("".join))
def test_anything(text: str) -> None:
    try:
        read_object(text.encode(), NAMES)
    except BadRequest as error:
        assert str(error)  # noqa: PT017 -- nothing else may be raised
