"""Targets that read what messages are made of besides files: multipart messages, headers and queries."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qsl

from shared.archive.terms import Term, has_beginnings, is_posted, lists_of
from shared.dicom.attributes import SEARCHABLE, Level
from shared.dicom.comparable_values import comparable
from shared.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from shared.errors import BadRequest, NotAcceptable
from shared.multipart import MultipartEncoder, MultipartLimits
from shared.search.lookups import lookup_of
from shared.search.matching import satisfies
from shared.search.query import SearchQuery, parse_search
from shared.settings import Settings
from shared.storage.batch_messages import MalformedAnswer, Refusal, answer_to_batch
from shared.storage.row_requests import row_request
from shared.web.byte_ranges import RangeNotSatisfiable, requested_range
from shared.web.content_negotiation import accept_of, negotiate
from shared.web.entity_tags import entity_tag, names_tag
from shared.web.media_types import boundary_of, format_media_type, parse_media_type
from shared.web.offers import METADATA, PICTURES, frame_offers, instance_offers, rendered_offers, several_offers
from shared.web.rendering_parameters import MAX_VIEWPORT_PIXELS, RenderingParameters, parse, parse_uri
from shared.web.uri_request import parse_uri_request
from tests.fuzzing.target import cut
from tests.support.decoded_messages import outcome
from tests.support.multipart_messages import MESSAGES
from tests.support.multipart_parts import encode_parts

MULTIPART_TOKENS: Final = (
    b"--b",
    b"\r\n--b",
    b"\r\n--b\r\n",
    b"\r\n--b--",
    b"\r\n\r\n",
    b"Content-Type: application/dicom\r\n",
    b"Content-Length: 1\r\n",
    b"Content-Transfer-Encoding: 8bit\r\n",
    b" \t",
)
_TIGHT: Final = MultipartLimits(
    max_parts=3, max_part_bytes=20, max_total_bytes=200, max_header_bytes=64, max_headers=2, max_preamble_bytes=10
)


def check_multipart(data: bytes) -> None:
    """However a message is cut, it has the same parts or the same error; the parts come back as they are sent."""
    for limits in (MultipartLimits(), _TIGHT):
        parts = outcome([data], limits=limits)
        assert outcome(cut(data), limits=limits) == parts
        assert outcome(cut(data), limits=limits, drain=False) == parts
        if isinstance(parts, list):
            encoded = b"".join(encode_parts(parts, MultipartEncoder("b", type="application/dicom")))
            assert outcome(cut(encoded)) == parts


def multipart_seeds() -> Iterator[bytes]:
    """Messages that are valid."""
    for message in MESSAGES.values():
        yield message.canonical
        yield from message.variants.values()


BATCH_TOKENS: Final = (
    *(b"--b", b"\r\n--b\r\n", b"\r\n--b--\r\n", b"--c", b"\r\n--c\r\n", b"\r\n--c--\r\n", b"\r\n\r\n"),
    *(b"Content-Type: multipart/mixed; boundary=c\r\n\r\n", b"Content-Type: application/http\r\n\r\n"),
    *(b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 409 Conflict\r\n", b'ETag: W/"e"\r\n', b'{"odata.error":{"code":'),
)
_TABLE: Final = "https://account.table.core.windows.net/catalog"
_BATCH: Final = [row_request(_TABLE, kind, {"PartitionKey": "p", "RowKey": kind}) for kind in ("create", "delete")]


def check_batch_answer(data: bytes) -> None:
    """An answer to a batch has an ETag of each row that was written, or says why none was, or is none."""
    with suppress(MalformedAnswer):
        answer = answer_to_batch(_BATCH, "multipart/mixed; boundary=b", data)
        if isinstance(answer, Refusal):
            assert not 200 <= answer.status < 300
            assert answer.index >= 0
        else:
            assert answer[0]
            assert answer[1:] == [None]


def batch_answer_seeds() -> Iterator[bytes]:
    """Answers as storage makes them."""
    head = b"Content-Type: application/http\r\n\r\n"
    written, gone = b'HTTP/1.1 204 No Content\r\nETag: W/"e"\r\n\r\n', b"HTTP/1.1 204 No Content\r\n\r\n"
    error = (
        b'HTTP/1.1 409 Conflict\r\n\r\n{"odata.error":{"code":"EntityAlreadyExists","message":{"value":"1:There."}}}'
    )
    for answers in ((written, gone), (error,)):
        parts = b"".join(b"--c\r\n" + head + answer + b"\r\n" for answer in answers)
        yield b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" + parts + b"--c--\r\n\r\n--b--\r\n"
    yield b"--b\r\n" + head + error + b"\r\n--b--\r\n"


HEADER_TOKENS: Final = tuple(
    token.encode("latin-1")
    for token in (
        *("application/dicom", "application/dicom+json", "application/octet-stream", "multipart/related", "*/*"),
        *("image/*", "image/jpeg", "image/png", "video/mp4", "application/zip", "application/json"),
        *('; type="application/dicom"', "; type=", "; transfer-syntax=*", "; boundary=", ";q=0.5", ";q=0", ", ", '"'),
        *('\\"', "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80", "W/", "bytes=", "*"),
    )
)
_OFFERS: Final = (
    METADATA,
    instance_offers("1.2.840.10008.1.2.4.80"),
    several_offers(frozenset({"1.2.840.10008.1.2.4.80", EXPLICIT_VR_LITTLE_ENDIAN})),
    frame_offers("1.2.840.10008.1.2.4.50", are_several=True),
    rendered_offers(None),
)


def check_media_type(data: bytes) -> None:
    """Any Content-Type is a media type that can be written and parsed again, or a bad request."""
    with suppress(BadRequest):
        media_type = parse_media_type(data.decode("latin-1"))
        assert media_type.name == media_type.name.lower()
        if all(media_type.parameters):
            written = format_media_type(media_type.name, media_type.parameters)
            assert parse_media_type(written).parameters == media_type.parameters
        assert boundary_of(media_type)


def check_accept(data: bytes) -> None:
    """Any Accept header, and any in a query, chooses an offer, or none is acceptable."""
    header, *query = data.decode("latin-1").split("\0")
    with suppress(BadRequest):
        accept = accept_of(header, query)
        assert all(0 <= accepted.q <= 1 for accepted in accept)
        for offers in _OFFERS:
            try:
                chosen = negotiate(accept, offers)
            except NotAcceptable:
                continue
            assert chosen in offers


def accept_seeds() -> Iterator[bytes]:
    """Headers of viewers, scripts and browsers."""
    yield b'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    yield b"multipart/related; type=image/jls; q=0.9, */*;q=0.1"
    yield b"application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    yield b"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8\0application/dicom json"
    yield f"{PICTURES[0]}, image/*;q=.2".encode()


def check_conditions(data: bytes) -> None:
    """A range lies within the representation; a list of entity tags names what stands in it."""
    header = data.decode("latin-1")
    for size_bytes in (0, 1, 1000, 2**40):
        with suppress(RangeNotSatisfiable):
            found = requested_range(header, size_bytes)
            assert found is None or 0 <= found.start < found.end <= found.size_bytes == size_bytes
    tag = entity_tag(header)
    assert names_tag(f"{tag}, {header}", tag)
    assert header.strip() == "*" or tag in header or not names_tag(header, tag)


def condition_seeds() -> Iterator[bytes]:
    """Values of Range and If-None-Match."""
    yield from (b"bytes=0-99", b"bytes=-5", b"bytes = 5 -", b"bytes=0-1,5-6", b"*", b'W/"a", "b"', b'"a')


RENDERING_TOKENS: Final = tuple(
    token.encode()
    for token in (
        *("quality=", "viewport=", "window=", "annotation=", "iccprofile=", "rows=", "columns=", "region="),
        *(
            "windowCenter=",
            "windowWidth=",
            "imageQuality=",
            "requestType=WADO",
            "studyUID=",
            "seriesUID=",
            "objectUID=",
        ),
        *("contentType=", "transferSyntax=", "frameNumber=", "&", ",", "linear", "linear-exact", "sigmoid", "patient"),
        *("srgb", "-1", "0.5", "1e99", "1e-99", "8192", "1.2.3"),
    )
)


def check_rendering_parameters(data: bytes) -> None:
    """Any query of a rendered resource or of the URI Service says how to render, within bounds, or is a bad request."""
    query = parse_qsl(data.decode("latin-1"), keep_blank_values=True)
    for parse_query in (parse, parse_uri):
        with suppress(BadRequest):
            _check_rendering(parse_query(query))
    with suppress(BadRequest):
        request = parse_uri_request("Microsoft.Default", query)
        assert request.frame_number is None or request.frame_number > 0
        accept_of(None, request.content_types)


def _check_rendering(parameters: RenderingParameters) -> None:
    assert 1 <= parameters.quality <= 100
    assert all(1 <= side <= MAX_VIEWPORT_PIXELS for side in parameters.viewport or ())
    assert parameters.window is None or parameters.window.width > 0
    for columns, rows in ((1, 1), (512, 300), (65535, 65535)):
        with suppress(BadRequest):
            left, top, right, bottom = parameters.region.box(columns, rows)
            assert 0 <= left < right <= columns
            assert 0 <= top < bottom <= rows


def rendering_seeds() -> Iterator[bytes]:
    """Queries of both kinds."""
    yield b"quality=80&viewport=100,200,1,2,-30,40&window=40,400,linear&annotation=patient,technique&iccprofile=srgb"
    yield b"requestType=WADO&studyUID=1.2&seriesUID=1.3&objectUID=1.4&contentType=image/jpeg&frameNumber=2&rows=10"
    yield b"columns=10&region=0.1,0.2,0.3,1&windowCenter=40&windowWidth=400.5&imageQuality=7"


_SETTINGS: Final = Settings()

SEARCH_TOKENS: Final = tuple(
    token.encode()
    for token in (
        *(f"{key.keyword}=" for key in SEARCHABLE),
        *("limit=", "offset=", "fuzzymatching=true", "emptyvaluematching=true", "multiplevaluematching=true", "true"),
        *(
            "includefield=",
            "all",
            "00080020=",
            "0040A730.00080100=",
            "00091001=",
            "&",
            "%5C",
            "*",
            "?",
            "-",
            ",",
            "=",
            "^",
        ),
        *('""', "20260105", "20260105-20260301", "103015.5", "20260131120000+0100", "1.2.3", "+1e5", "%C3%A9", "\0"),
    )
)


def check_search(data: bytes) -> None:
    """Any query is matched or a bad request, at every level; the index holds whatever value matches.

    After a zero byte stands a value to match.
    """
    query_string, _, value = data.decode("latin-1").partition("\0")
    for level in Level:
        for is_within_study in (False, True):
            try:
                query = parse_search(query_string, level, _SETTINGS, is_within_study=is_within_study)
            except BadRequest:
                continue
            _check_matching(query, value)


def _check_matching(query: SearchQuery, value: str) -> None:
    for requirements in query.requirements.values():
        for vr in ("LO", "DT", "UN", "DS", "PN"):
            values = [{"Alphabetic": value}] if vr == "PN" else [value]
            satisfies({tag: {"vr": vr, "Value": values} for tag in requirements}, requirements)
            satisfies({tag: {"vr": "SQ", "Value": [{tag: {"vr": vr}}, None]} for tag in requirements}, requirements)
    for key, matcher in query.keys.items():
        lookup = lookup_of(key, matcher)
        form = comparable(key.vr, value)
        if lookup is None or not form or not lookup.accepts(form):
            continue
        if not lookup.is_exact:
            assert has_beginnings(key.keyword)
        if is_posted(key):
            assert not set(lookup.lists).isdisjoint(lists_of(Term(key.keyword, form))), key.keyword
        assert not lookup.spans or any(
            span.first <= form and (not span.last or form <= span.last or form.startswith(span.last))
            for span in lookup.spans
        )


def search_seeds() -> Iterator[bytes]:
    """Queries of every key, in each form that it takes, and values that match."""
    for key in SEARCHABLE:
        for text, value in _SEARCHED.get(key.vr, _SEARCHED["LO"]):
            yield f"{key.keyword}={text}\0{value}".encode("latin-1")
    yield b"PatientName=jo+smi&fuzzymatching=true&limit=5&offset=1&includefield=all,00081030\0Smith^John"
    yield b"00091001=*5-&emptyvaluematching=true\0005"
    yield b"StudyDate=20260101-20260301&StudyTime=10-12&multiplevaluematching=true\00020260105"


_SEARCHED: Final = {
    "DA": (("20260105", "20260105"), ("20200201-20241231", "20220101"), ("-2026", "")),
    "TM": (("1030", "103000"), ("10-1130", "110000")),
    "DT": (("2026", "20260105"), ("2025-2026%2B0100", "20260105103015.25")),
    "IS": (("5", "5"), ("%2B5e0", "5")),
    "UI": (("1.2,1.3", "1.3"),),
    "PN": (("smi*^j?", "Smith^John"), ("A=*=c", "A")),
    "LO": (("ab*c?", "abxcd"), ("CT%5CMR", "CT")),
}
