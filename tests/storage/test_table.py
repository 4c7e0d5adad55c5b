"""The client of tables beside the SDK's own, on Azurite: same rows, same errors, every way to sign in."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from azure.core import MatchConditions
from azure.core.credentials import AccessToken, AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ServiceRequestError,
)
from azure.data.tables import (
    AccountSasPermissions,
    EdmType,
    EntityProperty,
    ResourceTypes,
    UpdateMode,
    generate_account_sas,
)
from azure.data.tables.aio import TableClient, TableServiceClient

from shared.storage.availability import is_unavailable, was_refused
from shared.storage.table import Table, Tables
from shared.storage.transport import WatchedTransport
from tests.conftest import Azurite
from tests.support.cut_storage import Cut, cut_storage
from tests.support.table_calls import BATCH, GET, UPSERT, Call, options, row, said

NOW = datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC)
VALUES = {
    "text": "Äpfel & 'Birnen' \"\\\n𝄞",
    "empty": "",
    "number": -7,
    "is_so": False,
    "time": NOW,
    "whole_second": NOW.replace(microsecond=0),
    "data": bytes(range(256)),
    "long": EntityProperty(-(2**63), EdmType.INT64),
}
ODD_KEYS = ("it's", "a'%27b", "~tilde~", "100%", "a+b c", "é語𝄞", "q=1&r:2,(3)!*", 'say "so"', "")


@dataclass(frozen=True)
class Both:
    """A table, by our client and by the SDK's."""

    ours: Table
    sdk: TableClient


@pytest_asyncio.fixture(scope="module")
async def both(azurite: Azurite) -> AsyncIterator[Both]:
    tables = Tables.of(azurite.connection_string, options())
    ours = tables.table(f"t{uuid4().hex}")
    async with TableClient.from_connection_string(azurite.connection_string, ours.table_name) as sdk:
        await ours.create_table()
        yield Both(ours, sdk)
        await ours.delete_table()
    await tables.close()


def under(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


async def test_rows_are_read_as_the_sdk_reads_them(both: Both) -> None:
    for writer in (both.sdk, both.ours):
        await writer.upsert_entity(row("all", **VALUES), mode=UpdateMode.REPLACE)
        theirs, ours = await both.sdk.get_entity("p", "all"), await both.ours.get_entity("p", "all")
        assert dict(ours) == dict(theirs) == row("all", **VALUES)
        assert ours.metadata["etag"] == theirs.metadata["etag"]
        assert ours.metadata["timestamp"] == theirs.metadata["timestamp"]
    part = await both.ours.get_entity("p", "all", select=["RowKey", "text", "missing"])
    assert dict(part) == {"RowKey": "all", "text": VALUES["text"]}
    assert part.metadata == {"etag": ours.metadata["etag"], "timestamp": None}


async def test_pages_go_on_where_the_last_one_ended(both: Both) -> None:
    await both.ours.submit_transaction([("create", {"PartitionKey": "pages", "RowKey": f"{n}"}) for n in range(5)])
    query, parameters = "PartitionKey eq @partition and RowKey gt @first", {"partition": "pages", "first": "0"}
    found = both.ours.query_entities(query, parameters=parameters, results_per_page=3)
    assert [[one["RowKey"] async for one in page] async for page in found.by_page()] == [["1", "2", "3"], ["4"]]
    listed = both.ours.list_entities(select=["PartitionKey", "RowKey"], results_per_page=2)
    assert {f"{n}" for n in range(5)} <= {one["RowKey"] async for one in listed}


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_any_key_names_its_row(both: Both, key: str) -> None:
    partition = f"{key}."
    entity = {"PartitionKey": partition, "RowKey": key, "n": 1}
    created = await both.ours.create_entity(entity)
    assert dict(await both.sdk.get_entity(partition, key)) == dict(await both.ours.get_entity(partition, key)) == entity
    merged = await both.ours.update_entity({**entity, "m": 2}, **under(created["etag"]))
    (replaced,) = await both.ours.submit_transaction(
        [("update", {**entity, "n": 3}, {"mode": UpdateMode.REPLACE, **under(merged["etag"])})]
    )
    found = both.ours.query_entities(
        "PartitionKey eq @partition and RowKey eq @row", parameters={"partition": partition, "row": key}
    )
    assert [(dict(one), one.metadata["etag"]) async for one in found] == [({**entity, "n": 3}, replaced["etag"])]
    await both.ours.delete_entity(partition, key, **under(replaced["etag"]))
    await both.ours.delete_entity(entity)  # which has gone
    assert await said(both.sdk, lambda table: table.get_entity(partition, key)) is not None


async def test_a_batch_returns_the_etags_of_its_rows(both: Both) -> None:
    await both.ours.submit_transaction([("create", row("gone")), ("create", row("old", n=1))])
    results = await both.ours.submit_transaction(
        [("upsert", row("new")), ("delete", row("gone")), ("update", row("old", m=2)), ("create", row("born"))]
    )
    names = ("new", "gone", "old", "born")
    read = {one["RowKey"]: one.metadata["etag"] async for one in both.sdk.list_entities()}
    assert [one.get("etag") for one in results] == [read.get(name) for name in names]
    assert results[1] == {}
    assert dict(await both.ours.get_entity("p", "old")) == row("old", n=1, m=2)
    assert await both.ours.submit_transaction([]) == []


STALE = "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""
REFUSED: Mapping[str, tuple[Call, int]] = {
    "insert of a row that is there": (lambda table: table.create_entity(row("there")), 409),
    "update of a row that is missing": (lambda table: table.update_entity(row("missing")), 404),
    "update of a row that has changed": (lambda table: table.update_entity(row("there"), **under(STALE)), 412),
    "removal of a row that has changed": (lambda table: table.delete_entity(row("there"), **under(STALE)), 412),
    "get of a row that is missing": (lambda table: table.get_entity("p", "missing"), 404),
    "text that is too long": (lambda table: table.upsert_entity(row("x", text="x" * 32_769)), 400),
    "bytes that are too long": (lambda table: table.upsert_entity(row("x", data=bytes(65_537))), 400),
    "filter that is none": (lambda table: anext(table.query_entities("PartitionKey eq")), 400),
    "batch: the row is there": (
        lambda table: table.submit_transaction([("upsert", row("x")), ("create", row("there")), ("upsert", row("y"))]),
        409,
    ),
    "batch: the row is missing": (
        lambda table: table.submit_transaction([("upsert", row("x")), ("update", row("missing"))]),
        404,
    ),
    "batch: the row to be removed is missing": (
        lambda table: table.submit_transaction([("upsert", row("x")), ("delete", row("missing"))]),
        404,
    ),
    "batch: the row has changed": (
        lambda table: table.submit_transaction([("upsert", row("x")), ("update", row("there"), under(STALE))]),
        412,
    ),
    "batch: the same row twice": (
        lambda table: table.submit_transaction([("upsert", row("x")), ("upsert", row("x"))]),
        400,
    ),
    "batch: text that is too long": (
        lambda table: table.submit_transaction([("upsert", row("x")), ("upsert", row("y", text="x" * 32_769))]),
        400,
    ),
    "batch: too large": (
        lambda table: table.submit_transaction(
            [("upsert", row(f"{n}", **{f"d{i}": bytes(60_000) for i in range(2)})) for n in range(40)]
        ),
        413,
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refusal_is_the_sdks_error(both: Both, what: str) -> None:
    call, status = REFUSED[what]
    await both.ours.upsert_entity(row("there"))
    ours, theirs = await said(both.ours, call), await said(both.sdk, call)
    assert ours is not None
    assert theirs is not None
    assert ours[1] == status
    assert ours == (*theirs[:2], theirs[2] or ours[2], theirs[3])  # of an insert, the SDK does not give the code


async def test_a_table_that_is_missing_is_not_found(azurite: Azurite) -> None:
    tables = Tables.of(azurite.connection_string, options())
    missing = tables.table("missing")
    async with TableClient.from_connection_string(azurite.connection_string, "missing") as sdk:
        calls: list[Call] = [
            lambda table: table.create_entity(row("x")),
            lambda table: table.upsert_entity(row("x")),
            lambda table: table.get_entity("p", "x"),
            lambda table: anext(table.query_entities("PartitionKey eq 'p'")),
            lambda table: table.submit_transaction([("create", row("x")), ("create", row("y"))]),
        ]
        for call in calls:
            ours, theirs = await said(missing, call), await said(sdk, call)
            assert ours is not None
            assert theirs is not None
            assert ours[1:3] == (404, "TableNotFound")
            assert ours == (*theirs[:2], theirs[2] or ours[2], theirs[3])
    await tables.close()


@pytest.mark.parametrize("key", ["bm90IHRoZSBrZXk=", "nokeyhere"])
async def test_another_key_is_refused_as_the_sdks_is(azurite: Azurite, both: Both, key: str) -> None:
    credential, given = AzureNamedKeyCredential("devstoreaccount1", key), options()
    async with TableServiceClient(_endpoint(azurite), credential=credential, **given) as service:
        ours, theirs = (
            Tables(service, given).table(both.ours.table_name),
            service.get_table_client(both.ours.table_name),
        )
        for call in (GET, UPSERT, BATCH):
            with pytest.raises(HttpResponseError) as expected:
                await call(theirs)
            with pytest.raises(HttpResponseError) as raised:
                await call(ours)
            assert isinstance(expected.value, type(raised.value))
            assert raised.value.status_code == expected.value.status_code
            assert key not in str(raised.value)


def _endpoint(azurite: Azurite) -> str:
    return f"http://127.0.0.1:{azurite.port + 2}/devstoreaccount1"


@pytest.mark.parametrize("kind", ["URL", "credential"])
async def test_a_shared_access_signature_signs(azurite: Azurite, both: Both, kind: str) -> None:
    key = AzureNamedKeyCredential("devstoreaccount1", _key_of(azurite))
    signature = generate_account_sas(
        key,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(read=True, write=True, add=True, update=True, delete=True, list=True),
        datetime.now(UTC) + timedelta(hours=1),
    )
    given = options()
    service = (
        TableServiceClient(f"{_endpoint(azurite)}?{signature}", **given)
        if kind == "URL"
        else TableServiceClient(_endpoint(azurite), credential=AzureSasCredential(signature), **given)
    )
    async with service:
        table = Tables(service, given).table(both.ours.table_name)
        await table.submit_transaction([("upsert", row("signed", n=1)), ("upsert", row("too"))])
        await table.update_entity(row("signed", n=2))
        assert (await table.get_entity("p", "signed", select=["n"]))["n"] == 2
        found = table.query_entities("RowKey eq @row", parameters={"row": "signed"}, results_per_page=1)
        assert [one["n"] async for one in found] == [2]
        await table.delete_entity("p", "too")


def _key_of(azurite: Azurite) -> str:
    return dict(part.split("=", 1) for part in azurite.connection_string.split(";") if part)["AccountKey"]


class Identity:
    """Gives tokens away."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes == ("https://storage.azure.com/.default",)
        return AccessToken("token", int(datetime.now(UTC).timestamp()) + 3600)

    async def close(self) -> None: ...

    async def __aenter__(self) -> "Identity":
        return self

    async def __aexit__(self, *_: object) -> None: ...


async def test_tokens_go_over_https_alone() -> None:
    with pytest.raises(ValueError, match="HTTPS"):
        Tables.at("http://127.0.0.1/account", Identity(), options())

    seen: list[Any] = []

    class Answering(WatchedTransport):
        async def send(self, request: Any, **_: Any) -> Any:
            seen.append(request)
            raise ServiceRequestError("It is not there.")

    tables = Tables.at("https://account.table.core.windows.net", Identity(), options(transport=Answering()))
    for call in (BATCH, GET):
        with pytest.raises(ServiceRequestError):
            await call(tables.table("catalog"))
    for request in seen:
        assert request.headers["Authorization"] == "Bearer token"
        assert request.headers["x-ms-version"] >= "2017-11-09"  # since when storage takes tokens
        assert request.headers["x-ms-date"].endswith("GMT")
    assert [request.url for request in seen] == [
        "https://account.table.core.windows.net/$batch",
        "https://account.table.core.windows.net/catalog(PartitionKey='p',RowKey='x')",
    ]


@pytest.mark.parametrize("cut", Cut)
async def test_an_answer_that_breaks_off_is_none(azurite: Azurite, both: Both, cut: Cut) -> None:
    async with cut_storage(azurite.port, lambda: cut) as connection_string:
        tables = Tables.of(connection_string, options())
        table = tables.table(both.ours.table_name)
        calls: Mapping[str, Call] = {
            "batch": lambda table: table.submit_transaction([("upsert", row("x")), ("upsert", row("y"))]),
            "get": lambda table: table.get_entity("p", "x"),
            "query": lambda table: anext(table.query_entities("PartitionKey eq 'p'")),
            "write": lambda table: table.upsert_entity(row("x")),
        }
        await both.ours.upsert_entity(row("x"))
        for name, call in calls.items():
            if name == "write" and cut in (Cut.BODY, Cut.UNFRAMED):
                continue  # it has no body
            with pytest.raises(AzureError) as raised:
                await call(table)
            assert is_unavailable(raised.value), name
            assert not was_refused(raised.value), name
        await tables.close()


async def test_operations_that_there_are_not_are_refused(both: Both) -> None:
    for operation in (
        ("insert", row("x")),
        ("create", row("x"), {"mode": UpdateMode.REPLACE}),
        ("delete", row("x"), {"mode": UpdateMode.REPLACE}),
        ("upsert", row("x"), under(STALE)),
        ("update", row("x"), {"etag": STALE}),
        ("update", row("x"), {"match_condition": MatchConditions.IfNotModified}),
    ):
        with pytest.raises(ValueError, match=r"operation|condition|option"):
            await both.ours.submit_transaction([operation])
    for value in (0.5, 2**31, EntityProperty(2**63, EdmType.INT64), [], object()):
        with pytest.raises(TypeError):
            await both.ours.upsert_entity(row("x", n=value))
