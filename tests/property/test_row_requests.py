"""Requests on rows: whatever is written or asked for, they say what the SDK's own say, and are signed as those are."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from azure.core import MatchConditions
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import HttpRequest
from azure.data.tables import EdmType, EntityProperty, UpdateMode
from azure.data.tables.aio import TableClient
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from shared.storage.table import Table, Tables
from tests.support.storage_messages import Request, batched_requests

pytestmark = pytest.mark.property

ACCOUNT = (
    "DefaultEndpointsProtocol=https;AccountName=account;AccountKey=a2V5;"
    "TableEndpoint=https://account.table.core.windows.net"
)
SAID = ("If-Match", "DataServiceVersion")


class Sent(Exception):
    """A request as it would go out."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__()
        self.request = request


class Recorder(AsyncHttpTransport[HttpRequest, Any]):
    """Sends nothing."""

    async def send(self, request: HttpRequest, **_: Any) -> Any:
        raise Sent(request)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


OPTIONS = {"transport": Recorder(), "retry_total": 0}
OURS: Table = Tables.of(ACCOUNT, OPTIONS).table("catalog")
SDK = TableClient.from_connection_string(ACCOUNT, "catalog", **OPTIONS)


def sent(call: Any) -> HttpRequest:
    """What a call sends first."""
    with pytest.raises(Sent) as raised:
        asyncio.run(call)
    return raised.value.request


# Neither lone surrogates, which have no UTF-8, nor what storage refuses in keys; all else.
keys = st.text(
    st.one_of(st.sampled_from("'\"~%+&=#?$()*!@: ;,.é語𝄞"), st.characters(exclude_categories=["Cs", "Cc"])), max_size=20
)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31), 2**31 - 1),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.binary(max_size=20),
    st.datetimes(datetime(1601, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: EntityProperty(number, EdmType.INT64)),
)
names = st.text("abcxyz_0", min_size=1, max_size=5).filter(lambda name: not name[0].isdigit())
rows = st.builds(
    lambda partition, row, properties: {**properties, "PartitionKey": partition, "RowKey": row},
    *(keys, keys, st.dictionaries(names, values, max_size=5)),
)
modes = st.sampled_from(list(UpdateMode))
conditions: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.text("datetime'%3A0", max_size=9).map(
        lambda text: {"etag": f'W/"{text}"', "match_condition": MatchConditions.IfNotModified}
    ),
)
operations = st.one_of(
    st.tuples(st.just("create"), rows, st.just({})),
    st.tuples(st.just("upsert"), rows, modes.map(lambda mode: {"mode": mode})),
    st.tuples(st.just("update"), rows, st.builds(lambda mode, under: {"mode": mode, **under}, modes, conditions)),
    st.tuples(st.just("delete"), rows, conditions),
)


def properties_of(content: bytes) -> dict[str, Any]:
    """The properties of a row in JSON, each with its value and its type."""
    found = json.loads(content)
    types = {name.removesuffix("@odata.type"): kind for name, kind in found.items() if name.endswith("@odata.type")}
    untyped = {name: value for name, value in found.items() if "@" not in name}
    return {name: (types.get(name, _type_of(value)), value) for name, value in untyped.items()}


def _type_of(value: Any) -> str | None:
    return "Edm.String" if isinstance(value, str) else None


def meaning(method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[Any, ...]:
    """What storage makes of a request, but for how it answers."""
    said = {name: headers.get(name) for name in SAID}
    said["Content-Type"] = headers.get("Content-Type", "").partition(";")[0]
    parts = urlsplit(url)
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    return method, unquote(parts.path), query, said, properties_of(body) if body else None


def of_request(request: HttpRequest) -> tuple[Any, ...]:
    content = request.content
    body = content.encode() if isinstance(content, str) else bytes(content or b"")
    return meaning(request.method, str(URL(request.url)), request.headers, body)


@given(operations)
def test_a_row_is_written_as_the_sdk_writes_it(operation: tuple[str, dict[str, Any], dict[str, Any]]) -> None:
    kind, row, options = operation
    ours, theirs = (sent(getattr(table, f"{kind}_entity")(row, **options)) for table in (OURS, SDK))
    assert of_request(ours) == of_request(theirs)


@given(st.lists(operations, min_size=1, max_size=5), keys)
def test_a_batch_is_the_sdks(some: list[tuple[str, dict[str, Any], dict[str, Any]]], partition: str) -> None:
    batch = [(kind, {**row, "PartitionKey": partition}, options) for kind, row, options in some]
    found = []
    for table in (OURS, SDK):
        request = sent(table.submit_transaction(batch))
        body = request.content
        content = body.encode() if isinstance(body, str) else bytes(body or b"")
        outer = Request.of(request.method, request.url, request.headers, content)
        found.append(
            (
                outer.method,
                outer.path,
                [meaning(one.method, one.path, one.headers, one.body) for one in batched_requests(outer)],
            )
        )
    assert found[0] == found[1]


@given(keys, keys, st.one_of(st.none(), st.lists(names, min_size=1, max_size=3)))
def test_a_row_is_asked_for_as_the_sdk_does(partition: str, row: str, select: list[str] | None) -> None:
    ours, theirs = (sent(table.get_entity(partition, row, select=select)) for table in (OURS, SDK))
    assert of_request(ours) == of_request(theirs)


@given(
    st.dictionaries(
        st.sampled_from(["a", "b"]),
        st.one_of(keys, st.datetimes(datetime(1601, 1, 1), timezones=st.just(UTC))),
    ),
    st.one_of(st.none(), st.lists(names, min_size=1, max_size=3)),
    st.one_of(st.none(), st.integers(1, 1000)),
)
def test_rows_are_asked_for_as_the_sdk_does(
    parameters: dict[str, Any], select: list[str] | None, top: int | None
) -> None:
    query = " and ".join(["PartitionKey eq 'p'", *(f"{name} ge @{name}" for name in parameters)])
    page = {"select": select, "results_per_page": top}
    asked = {"parameters": parameters, **page}
    for method, given_so in (("query_entities", ((query,), asked)), ("list_entities", ((), page))):
        arguments, options = given_so
        ours, theirs = (sent(anext(getattr(table, method)(*arguments, **options))) for table in (OURS, SDK))
        assert of_request(ours) == of_request(theirs)
