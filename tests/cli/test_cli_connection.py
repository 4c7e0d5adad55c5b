"""How the command line sends requests: again if the server is busy, and never in vain."""

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError

from dicomweb_cli.connection import CannotGoOn, Connection, Refused, Unavailable, connected, expect, reason_of
from dicomweb_cli.held import HeldInstances
from dicomweb_cli.results import results
from shared.dicom.identifiers import InstanceIdentifiers
from tests.support.default_partition import identifiers_of

URL = "http://dicom.example.org/v2"
NOW = {"Retry-After": "0"}


class Server:
    """Gives its answers in turn, then repeats the last one; `requests` are those it got."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.connection = Connection(httpx.AsyncClient(transport=httpx.MockTransport(self._answer)), URL)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def asked(self, stop: asyncio.Event | None = None) -> httpx.Response:
        return await self.connection.send("GET", "studies", headers={}, stop=stop)


@pytest.mark.parametrize("after", ["0", format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)])
async def test_a_busy_server_is_asked_again_when_it_says(after: str) -> None:
    server = Server(
        httpx.Response(503, headers={"Retry-After": after}), httpx.Response(429, headers=NOW), httpx.Response(204)
    )
    assert (await server.asked()).status_code == 204
    assert len(server.requests) == 3


@pytest.mark.parametrize(("status", "is_open"), [(503, False), (504, True)])
async def test_a_server_that_stays_busy_is_given_up_on(status: int, is_open: bool) -> None:
    server = Server(httpx.Response(status, headers=NOW, text="later"))
    with pytest.raises(Unavailable, match="busy") as caught:
        await server.asked()
    assert len(server.requests) == 6
    assert caught.value.is_open is is_open


async def test_a_server_that_was_never_there_is_not_waited_for() -> None:
    server = Server(httpx.ConnectError("refused"))
    with pytest.raises(CannotGoOn, match="refused") as caught:
        await server.asked()
    assert len(server.requests) == 1
    assert not isinstance(caught.value, Unavailable)
    assert not caught.value.is_open


async def test_a_sign_in_that_cannot_be_reached_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Credential:
        def get_token(self, *_: str, **__: object) -> AccessToken:
            raise ServiceRequestError("Failed to resolve 'login.microsoftonline.com'")

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Credential)
    async with connected(URL, None, "api://dicom/.default") as connection:
        with pytest.raises(
            Unavailable, match=r"signs in for api://dicom/\.default cannot be reached: Failed to resolve"
        ):
            await connection.send("GET", "studies", headers={})


async def test_nothing_is_asked_again_after_a_stop() -> None:
    server, stop = Server(httpx.ReadError("broken")), asyncio.Event()
    stop.set()
    with pytest.raises(CannotGoOn, match="broken") as caught:
        await server.asked(stop)
    assert len(server.requests) == 1
    assert caught.value.is_open


async def test_a_redirect_is_reported_and_not_followed() -> None:
    server = Server(httpx.Response(308, headers={"Location": "https://elsewhere.example.org/v2/studies"}))
    with pytest.raises(CannotGoOn, match=r"redirects to https://elsewhere\.example\.org"):
        await server.asked()


@pytest.mark.parametrize("status", [302, 401, 403, 429, 503])
async def test_what_the_server_says_ends_with_one_full_stop(status: int) -> None:
    server = Server(httpx.Response(status, headers=NOW, json={"detail": "So it is."}))
    with pytest.raises(CannotGoOn) as caught:
        await server.asked()
    assert ".." not in str(caught.value)


@pytest.mark.parametrize(
    ("sent", "challenge", "said"),
    [
        ({}, "Bearer", "requires a sign-in. Run `az login`, then give --scope api://<client id>/.default, or a token"),
        ({"Authorization": "Bearer x"}, "Bearer", "refuses the sign-in: It is old. Run `az login`"),
        ({}, 'Basic realm="Orthanc"', "requires a sign-in. Give name and password in the URL"),
    ],
)
async def test_a_missing_sign_in_is_told_apart_from_a_refused_one(
    sent: dict[str, str], challenge: str, said: str
) -> None:
    server = Server(httpx.Response(401, headers={"WWW-Authenticate": challenge}, json={"detail": "It is old."}))
    with pytest.raises(CannotGoOn) as caught:
        await server.connection.send("GET", "studies", headers=sent)
    assert said in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (httpx.Response(400, json={"title": "Bad", "detail": "The date is none."}), "The date is none."),
        (httpx.Response(400, json={"errorMessage": "No."}), "No."),
        (httpx.Response(400, text="so\x1b[2J so"), "so [2J so"),
        (httpx.Response(400, html="<p>long</p>"), "Bad Request"),
        (httpx.Response(400, json=[]), "Bad Request"),
        (httpx.Response(400, headers={"Content-Type": "application/json"}, content=b"{"), "Bad Request"),
    ],
)
def test_the_reason_is_in_the_servers_words(response: httpx.Response, reason: str) -> None:
    assert reason_of(response) == reason
    with pytest.raises(Refused, match="400"):
        expect(response, 200)


def page(*uids: str) -> httpx.Response:
    return httpx.Response(200, json=[{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids])


async def test_results_end_with_an_empty_page_or_the_same_again() -> None:
    for last in (httpx.Response(204), page(), page("3")):
        server = Server(page("1", "2"), page("3"), last)
        assert len([result async for result in results(server.connection, "instances")]) == 3
        assert [request.url.params["offset"] for request in server.requests] == ["0", "2", "3"]


async def test_an_answer_that_is_not_dicomweb_is_reported() -> None:
    server = Server(httpx.Response(200, html="<p>Welcome</p>"))
    with pytest.raises(CannotGoOn, match="text/html"):
        _ = [result async for result in results(server.connection, "studies")]


def identifiers(study: str, instance: str) -> InstanceIdentifiers:
    return identifiers_of(study, "1.2", instance)


async def test_a_study_is_searched_once() -> None:
    server = Server(page("1.1"), httpx.Response(204), httpx.Response(404))
    held = HeldInstances(server.connection)
    assert await held.has(identifiers("1", "1.1"))
    assert not await held.has(identifiers("1", "1.2"))
    assert not await held.has(identifiers("2", "1.1"))
    assert [request.url.path for request in server.requests] == [f"/v2/studies/{uid}/instances" for uid in "112"]


async def test_the_least_recently_used_studies_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomweb_cli.held._MOST_HELD", 3)
    pages = [answer for _ in range(4) for answer in (page("1.1", "1.2"), httpx.Response(204))]
    server = Server(*pages)
    held = HeldInstances(server.connection)
    for study in ("1", "2", "2", "1"):
        assert await held.has(identifiers(study, "1.1"))
    assert len(server.requests) == 6


async def test_a_server_that_cannot_search_gets_everything(capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(httpx.Response(501))
    held = HeldInstances(server.connection)
    for study in ("1", "2"):
        assert not await held.has(identifiers(study, "1.1"))
    assert len(server.requests) == 1
    assert "everything is sent: 501" in capsys.readouterr().err
