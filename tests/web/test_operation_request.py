"""What requests say of operations, right and wrong."""

import json
from typing import Any

import pytest

from shared.errors import BadRequest, NotFound
from shared.web.operation_request import (
    OperationsQuery,
    ResultsQuery,
    VerifyRequest,
    operation_id_of,
    parse_operations,
    parse_results,
    parse_verify,
)

ID = "0123456789abcdef0123456789abcdef"
TYPES = ["verify"]
STATUSES = ["running", "succeeded", "completed"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"type": "verify"}, VerifyRequest(None, False)),
        ({"Type": "Verify", "Digests": True}, VerifyRequest(None, True)),
        ({"type": "verify", "studies": None}, VerifyRequest(None, False)),
        ({"type": "verify", "studies": ["1.2", "1.3", "1.2"], "digests": False}, VerifyRequest(["1.2", "1.3"], False)),
    ],
)
def test_a_body_that_is_right(body: Any, expected: VerifyRequest) -> None:
    assert parse_verify(json.dumps(body).encode()) == expected


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "type"),
        ({"type": "update"}, "type"),
        ({"type": ["verify"]}, "type"),
        ({"type": "verify", "digests": "true"}, "digests"),
        ({"type": "verify", "digests": 1}, "digests"),
        ({"type": "verify", "studies": []}, "studies"),
        ({"type": "verify", "studies": "1.2"}, "studies"),
        ({"type": "verify", "studies": ["1.2", 3]}, r"studies\[1\]"),
        ({"type": "verify", "studies": ["1.2.x"]}, r"studies\[0\]"),
        ({"type": "verify", "series": ["1.2"]}, "members are type, studies, digests"),
    ],
)
def test_a_body_that_is_wrong(body: Any, named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        parse_verify(json.dumps(body).encode())


@pytest.mark.parametrize(
    "text",
    [ID, ID.upper(), "01234567-89ab-cdef-0123-456789abcdef", f"{{{ID}}}", "(01234567-89AB-CDEF-0123-456789ABCDEF)"],
)
def test_an_id_in_any_form_of_a_guid(text: str) -> None:
    assert operation_id_of(text) == ID


@pytest.mark.parametrize("text", ["", ID[1:], f"{ID}0", "g" * 32, "01234567-89abcdef-0123-456789abcdef", f"{{{ID}"])
def test_what_is_no_id_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        operation_id_of(text)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", OperationsQuery(100, "", None, None)),
        (f"limit=1&after={ID.upper()}", OperationsQuery(1, ID, None, None)),
        ("type=VERIFY&status=Completed&limit=200", OperationsQuery(200, "", "verify", "completed")),
    ],
)
def test_which_operations_are_asked_for(query: str, expected: OperationsQuery) -> None:
    assert parse_operations(query, TYPES, STATUSES) == expected


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("after=1", "after"),
        ("type=export", "type"),
        ("status=done", "status"),
        ("offset=1", "parameters are type, status, limit, after"),
    ],
)
def test_a_list_of_operations_that_is_asked_for_wrongly(query: str, named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        parse_operations(query, TYPES, STATUSES)


def test_which_results_are_asked_for() -> None:
    assert parse_results("") == ResultsQuery(100, "", 0)
    place = "00000001:00000000:000000fa"
    assert parse_results(f"limit=1000&after={place}:17") == ResultsQuery(1000, place, 17)


@pytest.mark.parametrize(("query", "named"), [("limit=1001", "limit"), ("after=", "after"), ("after=1:2", "after")])
def test_results_that_are_asked_for_wrongly(query: str, named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        parse_results(query)
