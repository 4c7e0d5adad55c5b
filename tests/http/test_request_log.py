"""The line that each request leaves in the log: what it holds, and what it never does."""

import logging
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from azure.functions.decorators.function_app import Function
from starlette.types import Message

from functions.edge.observation import AnswerCut
from local.server import Host, routes_of
from shared.storage.archive import Archive
from shared.storage.blobs import InstanceBlobs
from tests.support.in_process import app_client
from tests.support.logged import logged
from tests.support.served_instances import dataset, part10, path_of

NAME = "Nirgendwo^Nora"
DICOM = {"Content-Type": "application/dicom"}
STORED = {"Accept": "application/dicom; transfer-syntax=*"}

Lines = Callable[[], list[tuple[int, dict[str, str]]]]


@pytest_asyncio.fixture
async def client(
    functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    async with app_client(functions, archive, monkeypatch) as client:
        yield client


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """The level and the values of each request's line."""
    caplog.set_level(logging.INFO, logger="dicomweb.request")

    def read() -> list[tuple[int, dict[str, str]]]:
        return [
            (record.levelno, {name: text or bare for name, text, bare in _pairs(record.getMessage())})
            for record in logged(caplog, "dicomweb.request")
        ]

    return read


def _pairs(line: str) -> list[tuple[str, str, str]]:
    found = re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', line)
    assert " ".join(re.split(r'\w+=(?:"[^"]*"|\S+)', line)).strip() == ""
    return found


async def test_a_store_and_a_search(client: httpx.AsyncClient, lines: Lines) -> None:
    body = part10(dataset(PatientName=NAME))
    trace = "0af7651916cd43dd8448eb211c80319c"
    await client.post("/studies", content=body, headers=DICOM)
    found = await client.get(
        "/studies", params={"PatientName": NAME}, headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    )
    (level, store), (_, search) = lines()
    assert level == logging.INFO
    assert (store["transaction"], store["method"], store["status"]) == ("StoreInstances", "POST", "200")
    assert store["bytes_in"] == str(len(body))
    assert int(store["storage"]) >= 6
    assert store["retries"] == "0"
    assert store["stall_ms"].isdigit()
    assert "study" not in store
    assert re.fullmatch("[0-9a-f]{32}", store["trace"])
    assert (search["transaction"], search["bytes_out"]) == ("SearchStudies", str(len(found.content)))
    assert search["trace"] == trace


async def test_a_streamed_answer_is_logged_once_it_is_sent(client: httpx.AsyncClient, lines: Lines) -> None:
    image = dataset()
    await client.post("/studies", content=part10(image), headers=DICOM)
    response = await client.get(path_of(image), headers=STORED)
    await client.head(path_of(image), headers=STORED)
    _, (_, got), (_, head) = lines()
    assert got["study"] == image.StudyInstanceUID
    assert (got["bytes_out"], got["storage"], got["end"]) == (str(len(response.content)), "2", "whole")
    assert (head["method"], head["bytes_out"], head["storage"]) == ("HEAD", "0", "1")


async def test_a_mistake_of_the_client_is_not_an_error(client: httpx.AsyncClient, lines: Lines) -> None:
    await client.get("/studies/1.2.3.4/metadata")
    await client.get("/studies", params={"StudyDate": "Nirgendwo"})
    await client.get("/studies/Abwesend^Anna/metadata")
    (level, missing), (_, refused), (_, named) = lines()
    assert (level, missing["status"], missing["study"]) == (logging.INFO, "404", "1.2.3.4")
    assert refused["status"] == named["status"] == "400"
    assert "Abwesend" not in str(named)


async def test_an_error_of_ours_is_logged_without_its_message(
    client: httpx.AsyncClient, lines: Lines, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ValueError(NAME)

    monkeypatch.setattr("functions.search.parse_search", fail)
    assert (await client.get("/studies")).status_code == 500
    ((level, line),) = lines()
    assert (level, line["status"]) == (logging.ERROR, "500")
    told = logged(caplog, "functions.edge.problems")[0].getMessage()
    assert f"search_studies failed, trace={line['trace']}: ValueError at tests/http/" in told
    assert NAME not in caplog.text


@pytest_asyncio.fixture
async def breaking(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a study whose second instance cannot be read."""
    first, second = dataset(PatientName=NAME), dataset()
    second.StudyInstanceUID = first.StudyInstanceUID
    for image in (first, second):
        await client.post("/studies", content=part10(image), headers=DICOM)
    reads = iter((False, True))
    read = InstanceBlobs.read

    async def fails_at_the_second(self: InstanceBlobs, *args: Any) -> AsyncIterator[bytes]:
        if next(reads):
            raise ValueError(NAME)
        async for chunk in read(self, *args):
            yield chunk

    monkeypatch.setattr(InstanceBlobs, "read", fails_at_the_second)
    return f"/studies/{first.StudyInstanceUID}"


async def test_an_answer_that_fails_midway_is_cut_and_logged_as_cut(
    client: httpx.AsyncClient, breaking: str, lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    with pytest.raises(AnswerCut):
        await client.get(breaking, headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'})
    ((level, line),) = lines()
    assert (level, line["status"], line["end"]) == (logging.ERROR, "200", "cut")
    assert line["cause"].startswith("ValueError at tests/http/")
    assert NAME not in caplog.text


async def test_a_client_that_leaves_is_not_an_error(
    client: httpx.AsyncClient, functions: list[Function], lines: Lines
) -> None:
    image = dataset()
    await client.post("/studies", content=part10(image), headers=DICOM)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError

    scope = {
        "type": "http",
        "asgi": {"spec_version": "2.4"},
        "method": "GET",
        "raw_path": f"/v2{path_of(image)}".encode(),
        "path": f"/v2{path_of(image)}",
        "query_string": b"",
        "headers": [(b"accept", STORED["Accept"].encode()), (b"host", b"localhost")],
        "scheme": "http",
        "server": ("localhost", 7071),
        "client": None,
    }
    await Host(routes_of(functions))(scope, receive, send)
    _, (level, line) = lines()
    assert (level, line["status"], line["end"], line["bytes_out"]) == (logging.INFO, "200", "left", "0")
