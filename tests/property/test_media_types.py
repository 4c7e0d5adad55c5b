import contextlib
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BadRequest, NotAcceptable
from shared.web.content_negotiation import Offer, accept_of, negotiate, parse_accept
from shared.web.media_types import boundary_of, format_media_type, parse_media_type

pytestmark = pytest.mark.property

UIDS = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80")
NAMES = ("application/dicom", "application/octet-stream", "image/jls", "application/dicom+json")
OFFERS = (
    Offer("application/dicom", True, frozenset(UIDS)),
    Offer("application/octet-stream", False, frozenset(UIDS[:1])),
    Offer("application/dicom+json", False),
)

latin_1 = st.binary(max_size=200).map(lambda raw: raw.decode("latin-1"))
# Random bytes seldom get past the name: most texts consist of pieces of the grammar.
punctuation = ['"', "\\", ",", ";", "=", "/", "*", " ", "\t", "\r\n", "\x00", "é"]
words = ["q", "type", "transfer-syntax", "boundary", "multipart/related", "a/b", *NAMES, *UIDS, "0.5", "0", "1"]
fragments = st.sampled_from([*punctuation, *words])
texts = st.one_of(latin_1, st.lists(fragments, max_size=40).map("".join))
tokens = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=20)
names = st.builds("{}/{}".format, tokens, tokens)
values = st.text(st.characters(max_codepoint=255), max_size=40)
parameters = st.dictionaries(tokens.map(str.lower), values, max_size=5)
offers = st.builds(Offer, st.sampled_from(NAMES), st.booleans(), st.frozensets(st.sampled_from(UIDS)))
members = st.builds(
    "{}{}{}{}".format,
    st.sampled_from((*NAMES, "*/*", "application/*", "multipart/related", "multipart/*", "image/*")),
    st.sampled_from(("", "; type=*/*", "; type=image/*", *(f'; type="{name}"' for name in NAMES))),
    st.sampled_from(("", "; transfer-syntax=*", *(f"; transfer-syntax={uid}" for uid in UIDS))),
    st.sampled_from(("", ";q=0", ";q=0.5", ";q=1")),
)


@given(texts)
def test_any_content_type_is_parsed_or_a_bad_request(text: str) -> None:
    with contextlib.suppress(BadRequest):
        media_type = parse_media_type(text)
        assert media_type.name == media_type.name.lower()
        assert boundary_of(media_type)


@given(texts, st.lists(texts, max_size=3))
def test_any_accept_chooses_an_offer_or_is_not_acceptable(header: str, query: list[str]) -> None:
    accept = accept_of(header, query)

    assert all(0 <= accepted.q <= 1 for accepted in accept)
    with contextlib.suppress(NotAcceptable):
        assert negotiate(accept, OFFERS) in OFFERS


@given(names, parameters)
def test_what_is_formatted_can_be_parsed(name: str, parameters: dict[str, str]) -> None:
    media_type = parse_media_type(format_media_type(name, parameters))

    assert media_type.name == name.lower()
    assert media_type.parameters == parameters


@given(st.lists(st.tuples(names, parameters), min_size=1, max_size=4))
def test_members_are_parsed_separately(listed: list[tuple[str, dict[str, str]]]) -> None:
    weighted = [(name, {**parameters, "q": "0.5"}) for name, parameters in listed]
    accept = parse_accept(" , ".join(format_media_type(*member) for member in weighted))

    assert [(accepted.name, dict(accepted.parameters), accepted.q) for accepted in accept] == [
        (name.lower(), {key: value for key, value in parameters.items() if key != "q"}, 0.5)
        for name, parameters in weighted
    ]


@given(st.lists(members, min_size=1, max_size=5), st.lists(offers, min_size=1, max_size=5))
def test_the_order_of_ranges_does_not_matter(listed: list[str], offered: list[Offer]) -> None:
    def chosen(accept: list[str]) -> Offer | None:
        try:
            return negotiate(parse_accept(",".join(accept)), offered)
        except NotAcceptable:
            return None

    assert chosen(listed) == chosen(sorted(listed)) == chosen(listed[::-1])


@given(offers)
def test_an_offer_is_chosen_by_its_own_line_in_the_message(offer: Offer) -> None:
    with pytest.raises(NotAcceptable) as raised:
        negotiate((), [offer])
    line = str(raised.value).partition("Available: ")[2].removesuffix(".").partition(" (in")[0]

    assert negotiate(parse_accept(line), [offer]) == offer


HOSTILE_LENGTH = 200_000
MEASURABLE_SECONDS = 0.001


@pytest.mark.parametrize(
    "unit",
    [
        '"',
        '\\"',
        '"\\',
        '""',
        "\\",
        ",",
        ";",
        "=",
        "/",
        " ",
        "a",
        "a/",
        "a/b,",
        "a/b;",
        'a/b;x="',
        'a/b;x="\\"',
        "0",
        ". ",
    ],
)
@pytest.mark.parametrize("head", ["", "a/b;x=", 'a/b;x="', "a/b;q=0."])
def test_hostile_headers_take_linear_time(head: str, unit: str) -> None:
    def seconds(length: int) -> float:
        """The least CPU time of a few runs with a header of this length."""
        text = head + unit * (length // len(unit))
        least = float("inf")
        for _ in range(3):
            started = time.process_time()
            with contextlib.suppress(BadRequest):
                parse_media_type(text)
            with contextlib.suppress(BadRequest, NotAcceptable):
                negotiate(accept_of(None, [text]), OFFERS)
            least = min(least, time.process_time() - started)
        return least

    # Sixteen times the length takes sixteen times as long, or 256 times if time were quadratic; what is too short to
    # measure is not.
    short, long = seconds(HOSTILE_LENGTH // 16), seconds(HOSTILE_LENGTH)
    assert long < max(short, MEASURABLE_SECONDS) * 80
