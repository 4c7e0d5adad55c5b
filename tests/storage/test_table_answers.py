"""What the client of tables makes of answers that storage, or something on the way, gives: retries and errors."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import AzureError, HttpResponseError, ResourceModifiedError, ServiceResponseError
from azure.data.tables import TableTransactionError
from azure.data.tables.aio import TableServiceClient

from shared.storage.availability import is_unavailable, was_refused
from shared.storage.table import Table, Tables
from tests.support.http_server import http_server
from tests.support.table_calls import BATCH, GET, INSERT, UPSERT, Call, options, row, said

Answer = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def storage(
    answers: Sequence[Callable[[], web.Response] | None], **changed: Any
) -> AsyncIterator[tuple[Table, list[str]]]:
    """A table whose requests are answered so, one after the other; None: by a connection that is closed."""
    left, received = list(answers), list[str]()

    async def answer(request: web.Request) -> web.Response:
        received.append(f"{request.method} {request.headers['Authorization']}")
        await request.read()
        found = left.pop(0)
        if found is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return found()

    async with http_server("/{path:.*}", answer) as url:
        credential = AzureNamedKeyCredential("account", "a2V5")
        given = options(**changed)
        async with TableServiceClient(f"{url}/account", credential=credential, **given) as service:
            yield Tables(service, given).table("catalog"), received


def busy(status: int) -> Callable[[], web.Response]:
    error = {"odata.error": {"code": "ServerBusy", "message": {"lang": "en-US", "value": "Busy."}}}
    return lambda: web.json_response(error, status=status)


def written() -> web.Response:
    return web.Response(status=204, headers={"ETag": "W/\"datetime'2026'\""})


def found() -> web.Response:
    return web.json_response(row("x"))


def batch_answer(*parts: bytes) -> web.Response:
    body = b"".join(
        b"--c\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n" + part + b"\r\n"
        for part in parts
    )
    body = b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" + body + b"--c--\r\n--b--\r\n"
    return web.Response(status=202, body=body, headers={"Content-Type": "multipart/mixed; boundary=b"})


CREATED = b"HTTP/1.1 204 No Content\r\nETag: W/\"datetime'2026'\"\r\n\r\n"


@pytest.mark.parametrize("status", [500, 503])
async def test_storage_that_is_busy_is_asked_again(status: int) -> None:
    answers = {BATCH: lambda: batch_answer(CREATED), INSERT: written, UPSERT: written, GET: found}
    for call, answer in answers.items():
        async with storage([busy(status), busy(status), answer], retry_total=3) as (table, received):
            await call(table)
            assert len(received) == 3


@pytest.mark.parametrize("call", [BATCH, INSERT, UPSERT, GET])
@pytest.mark.parametrize("status", [429, 503])
async def test_without_retries_it_is_asked_once(call: Call, status: int) -> None:
    async with storage([busy(status)]) as (table, received):
        with pytest.raises(HttpResponseError) as raised:
            await call(table)
        assert len(received) == 1
        assert was_refused(raised.value)
        assert raised.value.status_code == status


async def test_a_batch_may_be_sent_without_the_clients_retries() -> None:
    async with storage([busy(503)], retry_total=3) as (table, received):
        with pytest.raises(HttpResponseError):
            await table.submit_transaction([("upsert", row("x"))], retry_total=0)
        assert len(received) == 1


async def test_only_what_may_be_repeated_is_sent_again_without_an_answer() -> None:
    async with storage([None, written], retry_total=3) as (table, received):
        await UPSERT(table)
        assert len(received) == 2
    async with storage([None, found], retry_total=3) as (table, received):
        await GET(table)
        assert len(received) == 2
    for call in (BATCH, INSERT):
        async with storage([None], retry_total=3) as (table, received):
            with pytest.raises(AzureError) as raised:
                await call(table)
            assert is_unavailable(raised.value)
            assert not was_refused(raised.value)
            assert len(received) == 1


UNREADABLE: Mapping[str, tuple[Call, Callable[[], web.Response]]] = {
    "batch: not multipart": (BATCH, lambda: web.Response(status=202, body=b"?")),
    "batch: another status": (BATCH, lambda: web.Response(status=200, body=b"")),
    "batch: an answer too few": (BATCH, lambda: batch_answer()),
    "batch: an answer too many": (BATCH, lambda: batch_answer(CREATED, CREATED)),
    "batch: without an ETag": (BATCH, lambda: batch_answer(b"HTTP/1.1 204 No Content\r\n\r\n")),
    "batch: not HTTP": (BATCH, lambda: batch_answer(b"?")),
    "write without an ETag": (UPSERT, lambda: web.Response(status=204)),
    "row that is no JSON": (GET, lambda: web.Response(body=b"{")),
    "row that is no object": (GET, lambda: web.json_response([1])),
    "row with bytes that are none": (GET, lambda: web.json_response({"a@odata.type": "Edm.Binary", "a": "é"})),
    "row with a time that is none": (GET, lambda: web.json_response({"a@odata.type": "Edm.DateTime", "a": "?"})),
    "row with a number that is none": (GET, lambda: web.json_response({"a@odata.type": "Edm.Int64", "a": {}})),
    "row of a type that is none": (GET, lambda: web.json_response({"a@odata.type": "Edm.Other", "a": "1"})),
    "page without rows": (lambda table: anext(table.query_entities("RowKey eq 'x'")), lambda: web.json_response({})),
    "page that is a list": (lambda table: anext(table.list_entities()), lambda: web.json_response([])),
    "rows that are deep": (lambda table: anext(table.list_entities()), lambda: web.Response(body=b"[" * 100_000)),
}


@pytest.mark.parametrize("what", UNREADABLE)
async def test_an_answer_that_cannot_be_read_is_none(what: str) -> None:
    call, answer = UNREADABLE[what]
    async with storage([answer]) as (table, _):
        with pytest.raises(ServiceResponseError) as raised:
            await call(table)
        assert is_unavailable(raised.value)
        assert not was_refused(raised.value)


async def test_an_error_without_words_has_its_status() -> None:
    for body in (b"", b"<Error><Code>x</Code></Error>", b"[]", b'{"odata.error": 1}', b"[" * 100_000):
        async with storage([partial(web.Response, status=412, body=body)]) as (table, _):
            assert await said(table, UPSERT) == (ResourceModifiedError, 412, "", None)


async def test_an_index_beyond_the_batch_blames_the_first() -> None:
    error = json.dumps({"odata.error": {"code": "InvalidInput", "message": {"value": "7:Bad."}}}).encode()
    refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n" + error
    async with storage([lambda: batch_answer(refusal)]) as (table, _):
        with pytest.raises(TableTransactionError) as raised:
            await BATCH(table)
        assert (raised.value.index, raised.value.status_code) == (0, 400)
