"""What requests say of extended query tags, right and wrong."""

import json
from typing import Any

import pytest

from shared.dicom.attributes import Level
from shared.errors import BadRequest
from shared.web.extended_query_tag_request import (
    TagPage,
    TagRequest,
    errors_url,
    parse_errors,
    parse_page,
    parse_private_creator,
    parse_query_status,
    parse_tags,
    tag_url,
)

URL = "https://dicom.example.org/v2"
AGE = TagRequest("00101010", "AS", "", Level.STUDY)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"path": "00101010", "vr": "AS", "level": "Study"}, AGE),
        ({"Path": " 00101010 ", "VR": "as", "PrivateCreator": None, "Level": "STUDY"}, AGE),
        ({"path": "PatientAge", "level": "series"}, TagRequest("PatientAge", "", "", Level.SERIES)),
        (
            {"path": "00991001", "vr": "LO", "level": "Instance", "privateCreator": " X "},
            TagRequest("00991001", "LO", "X", Level.INSTANCE),
        ),
        # As a tag is shown: who adds it elsewhere need not take it apart.
        (
            {
                "path": "00101010",
                "vr": "AS",
                "level": "Study",
                "status": "Ready",
                "queryStatus": "Enabled",
                "errors": {"count": 1, "href": URL},
                "operation": None,
            },
            AGE,
        ),
    ],
)
def test_a_tag_that_is_asked_for(item: Any, expected: TagRequest) -> None:
    assert parse_tags(json.dumps([item]).encode()) == [expected]


def test_tags_keep_their_order_and_the_json_is_lenient() -> None:
    body = b'\xef\xbb\xbf[{"path": "b", "level": "study"}, /* and */ {"path": "a", "level": "study",},]'
    assert [one.path for one in parse_tags(body)] == ["b", "a"]


REQUIRED = "must be specified and must not be null, empty or whitespace"
LEVELS = "to be one of the following values: ['Instance', 'Series', 'Study']"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "The body is not JSON: Expecting value in line 1."),
        (b"{}", "The body must be a JSON array."),
        (b"null", "The body must be a JSON array."),
        (b"[]", "The extended query tags are missing: the body must be an array of at least one."),
        (b"[null]", "Item [0] of the body must be a JSON object."),
        (b'[{"path":"a","Path":"b"}]', "Item [0] of the body has the member path twice."),
        (
            b'[{"path":"00101010"}]',
            f"The field '[0].Level' in request body is invalid: The Dicom Tag Property Level {REQUIRED}",
        ),
        (
            b'[{"path":"00101010","level":" "}]',
            f"The field '[0].Level' in request body is invalid: The Dicom Tag Property Level {REQUIRED}",
        ),
        (
            b'[{"Path":"00101010","Level":"Study"},{"Path":"00101010","Level":"Studys"}]',
            f"The field '$[1].Level' in request body is invalid: Expected value 'Studys' {LEVELS}",
        ),
        (
            b'[{"path":"00101010","level":1}]',
            f"The field '$[0].Level' in request body is invalid: Expected value '1' {LEVELS}",
        ),
        (
            b'[{"path":"00101010","level":"a\\u0007"}]',
            f"The field '$[0].Level' in request body is invalid: Expected value '…' {LEVELS}",
        ),
        (
            b'[{"path":"00101010","level":"' + b"x" * 100 + b'"}]',
            f"The field '$[0].Level' in request body is invalid: Expected value '{'x' * 40}' {LEVELS}",
        ),
        (
            b'[{"path":"","level":"Study"}]',
            f"The field '[0].Path' in request body is invalid: The Dicom Tag Property Path {REQUIRED}",
        ),
        (
            b'[{"level":"Study"}]',
            f"The field '[0].Path' in request body is invalid: The Dicom Tag Property Path {REQUIRED}",
        ),
        (b'[{"path":7,"level":"Study"}]', "The field '[0].Path' in request body is invalid: It must be text."),
        (
            b'[{"path":"a","level":"Study","vr":["LO"]}]',
            "The field '[0].VR' in request body is invalid: It must be text.",
        ),
        (
            b'[{"path":"a","level":"Study","privateCreator":1}]',
            "The field '[0].PrivateCreator' in request body is invalid: It must be text.",
        ),
    ],
)
def test_tags_that_are_asked_for_wrongly(body: bytes, said: str) -> None:
    with pytest.raises(BadRequest) as raised:
        parse_tags(body)
    assert str(raised.value) == said


@pytest.mark.parametrize(
    "body", ['{"queryStatus":"Enabled"}', '{"QueryStatus":"enabled"}', '{"QUERYSTATUS": "ENABLED",}']
)
def test_whether_searches_may_use_a_tag(body: str) -> None:
    assert parse_query_status(body.encode()) == "Enabled"
    assert parse_query_status(body.lower().replace("enabled", "Disabled").encode()) == "Disabled"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{}", f"The field 'QueryStatus' in request body is invalid: The Dicom Tag Property QueryStatus {REQUIRED}"),
        ('{"queryStatus":null}', f"The Dicom Tag Property QueryStatus {REQUIRED}"),
        (
            '{"queryStatus":"on"}',
            "The field '$.QueryStatus' in request body is invalid: Expected value 'on' to be one of the following "
            "values: ['Disabled', 'Enabled']",
        ),
        ('{"queryStatus":true}', "Expected value 'True'"),
        ('{"queryStatus":"Enabled","status":"Ready"}', "unknown member: its members are queryStatus"),
        ('[{"queryStatus":"Enabled"}]', "The body must be a JSON object."),
    ],
)
def test_a_status_that_is_wrong(body: str, said: str) -> None:
    with pytest.raises(BadRequest) as raised:
        parse_query_status(body.encode())
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", TagPage(100, 0)),
        ("limit=200&offset=0", TagPage(200, 0)),
        ("LIMIT=1&Offset=2147483647", TagPage(1, 2**31 - 1)),
    ],
)
def test_part_of_a_list(query: str, expected: TagPage) -> None:
    assert parse_page(query) == expected
    assert parse_errors(f"{query}&privateCreator=ACME%201") == ("ACME 1", expected)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit must be a whole number from 1 to 200"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("offset=-1", "offset must be a whole number from 0"),
        ("offset=2147483648", "offset"),
        ("offset=0&offset=1", "offset is given twice"),
        ("page=1", "parameters are"),
    ],
)
def test_part_of_a_list_that_is_asked_for_wrongly(query: str, named: str) -> None:
    for parse in (parse_page, parse_errors):
        with pytest.raises(BadRequest, match=named):
            parse(query)


def test_which_private_creator_is_meant() -> None:
    assert parse_private_creator("") is None
    assert parse_private_creator("PRIVATECREATOR=%20ACME%20") == "ACME"
    assert parse_private_creator("privateCreator=") is None
    with pytest.raises(BadRequest, match="parameters are privateCreator"):
        parse_private_creator("limit=1")


def test_urls_lead_back_to_their_tags() -> None:
    assert tag_url(URL, ("00101010",), "") == f"{URL}/extendedquerytags/00101010"
    assert errors_url(URL, ("00400275", "00401001"), "") == f"{URL}/extendedquerytags/00400275.00401001/errors"
    assert tag_url(URL, ("00991001",), "ACME & Ö") == f"{URL}/extendedquerytags/00991001?privateCreator=ACME+%26+%C3%96"
    url = errors_url(URL, ("00991001",), "ACME & Ö")
    assert url.startswith(f"{URL}/extendedquerytags/00991001/errors?")
    assert parse_private_creator(url.partition("?")[2]) == "ACME & Ö"
