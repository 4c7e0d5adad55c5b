"""`dicomweb doctor` against a served app: what it finds where all is well, and where something is not."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from dicomweb_cli.connection import Connection
from dicomweb_cli.doctor import examine
from shared.version import VERSION
from tests.support.command_line import Cli, run
from tests.support.refused_tokens import REFUSED
from tests.support.token_issuer import OWNER, READER, token
from tests.support.watched_server import WatchedServer, watched_with_sign_in

ALL_IS_WELL = f"""\
service    ok       DICOMweb on Azure Functions, version {VERSION}, healthy.
sign-in    ok       Accepted, with the app role Dicom.Owner.
clock      ok       It agrees with the server's.
round trip ok       An instance was stored, found, retrieved as it was, and deleted.
"""
SIGNED_IN = {"Authorization": f"Bearer {token(**OWNER)}"}
Alter = Callable[[httpx.Request, httpx.Response], httpx.Response]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServer]:
    with watched_with_sign_in(tmp_path_factory.mktemp("doctor") / "log") as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_left(server: WatchedServer) -> Iterator[None]:
    yield
    assert server.check() == {}


@pytest.fixture
def doctor(server: WatchedServer) -> Cli:
    return lambda *arguments, **options: run("doctor", *arguments, url=f"{server.base_url}/v2", **options)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_all_is_well(server: WatchedServer, version: str) -> None:
    url = f"{server.base_url}/{version}"
    for arguments in ([url], ["--url", url], []):
        assert run("doctor", *arguments, url=url).stdout == f"URL        ok       {url} answers.\n{ALL_IS_WELL}"


def test_who_may_only_read_stores_nothing(doctor: Cli) -> None:
    output = doctor("--token", token(**READER)).stdout
    assert "round trip skipped  The sign-in permits only reading, so nothing is stored." in output


def test_a_sign_in_that_is_missing_says_how(doctor: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.command_line.SIGNED_IN", {})
    output = doctor(code=1).stdout
    assert "sign-in    wrong    The service requires it. Run `az login`, then give --scope api://<client id>" in output
    assert "round trip skipped" in output


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in ("nothing", "not ASCII")])
def test_a_refused_token_is_explained_and_not_shown(doctor: Cli, name: str) -> None:
    text, refusal = REFUSED[name]
    refusal = "is longer than" if name == "deep" else refusal
    result = doctor("--token", text, code=1)
    assert "sign-in    wrong    The token is refused: " in result.stdout
    assert refusal in result.stdout
    if len(text) > 10:
        assert not any(part in result.output for part in text.split(".") if len(part) > 10)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        (
            {"iss": "https://sts.windows.net/x/", "ver": "1.0", **OWNER},
            "another issuer than the service accepts. It is of version 1 (its issuer is https://sts.windows.net/x/), "
            "and the service's AUTHORITY is another. Have the app registration issue version 2",
        ),
        (
            {"aud": "an-id", **OWNER},
            "another audience than this service. It is for an-id, which the service's AUDIENCE",
        ),
        ({}, "It has neither an app role nor a scope. Have an app role assigned, Dicom.Reader or Dicom.Owner (Entra:"),
        ({"roles": ["DICOM Data Owner"]}, "It has the app role DICOM Data Owner. Have an app role assigned"),
        (
            {"scp": "user_impersonation", **OWNER},
            "needs the scope Dicom.Read or Dicom.ReadWrite: infra/hooks/register.py",
        ),
    ],
)
def test_a_token_of_a_registration_that_is_not_complete_is_explained(
    doctor: Cli, claims: dict[str, Any], said: str
) -> None:
    output = doctor("--token", token(**claims), code=1).stdout
    assert "sign-in    wrong    The token is refused: " in output
    assert said in output


def test_what_entra_says_instead_of_a_token_is_explained(
    doctor: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    az = tmp_path / "az"
    az.write_text("#!/bin/sh\necho 'ERROR: AADSTS50105: The user is not assigned to a role for it.' >&2\nexit 1\n")
    az.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    monkeypatch.setattr("tests.support.command_line.SIGNED_IN", {})
    output = doctor("--scope", "api://dicom/.default", code=1).stdout
    assert "There is no sign-in for api://dicom/.default: ERROR: AADSTS50105: The user is not assigned" in output
    assert "Have an app role assigned, Dicom.Reader or Dicom.Owner (Entra:" in output


@pytest.mark.parametrize("text", ["é.é.é", f"Bearer {token()}", f'"{token()}"'])
def test_what_cannot_be_a_token_is_a_usage_error_that_does_not_show_it(doctor: Cli, text: str) -> None:
    result = doctor("--token", text, code=2)
    assert "not a bearer token" in result.stderr
    assert text[-9:-1] not in result.output


@pytest.mark.parametrize("end", ["", "/v9", "/v2/studies", "/v2/v2"])
def test_another_url_is_suggested(server: WatchedServer, end: str) -> None:
    output = run("doctor", f"{server.base_url}{end}", url="", code=1).stdout
    assert output.startswith("URL        wrong")
    assert f"Did you mean {server.base_url}/v2?" in output


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/v2", "no firewall"),
        ("http://nowhere.invalid/v2", "."),
        ("https://{host}/v2", "It does not speak TLS there"),
    ],
)
def test_no_connection_is_told(server: WatchedServer, url: str, words: str) -> None:
    output = run("doctor", url.format(host=server.base_url.partition("//")[2]), url="", code=1).stdout
    assert output.startswith(f"URL        wrong    The connection to {url[:5]}")
    assert words in output
    assert len(output.splitlines()) == 1


def examined(
    server: WatchedServer, capsys: pytest.CaptureFixture[str], alter: Alter, *, url: str | None = None
) -> tuple[bool, str]:
    """Whether all is well, and what is printed, where the server's answers are altered."""

    class Altered(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.headers["Accept-Encoding"] = "identity"
            answer = await super().handle_async_request(request)
            content = await answer.aread()
            await answer.aclose()
            return alter(request, httpx.Response(answer.status_code, headers=answer.headers, content=content))

    async def run() -> bool:
        async with httpx.AsyncClient(transport=Altered(), auth=_sign, timeout=60) as client:
            return await examine(Connection(client, url or f"{server.base_url}/v2"))

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(run()), capsys.readouterr().out


def _sign(request: httpx.Request) -> httpx.Request:
    request.headers.update(SIGNED_IN)
    return request


@pytest.mark.parametrize(("seconds", "said"), [(-300, "ahead of"), (300, "behind")])
def test_a_clock_that_is_wrong_is_told(
    server: WatchedServer, capsys: pytest.CaptureFixture[str], seconds: int, said: str
) -> None:
    def alter(_: httpx.Request, answer: httpx.Response) -> httpx.Response:
        answer.headers["Date"] = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
        return answer

    is_well, output = examined(server, capsys, alter)
    assert not is_well
    assert f" seconds {said} the server. Set the one that is wrong" in output
    assert "round trip ok" in output


@pytest.mark.parametrize("date", [None, "yesterday", "Sun, 29 Nov 2026 23:53:00"])
def test_a_server_that_does_not_say_the_time_is_no_fault(
    server: WatchedServer, capsys: pytest.CaptureFixture[str], date: str | None
) -> None:
    def alter(_: httpx.Request, answer: httpx.Response) -> httpx.Response:
        answer.headers.pop("Date")
        answer.headers.update({"Date": date} if date else {})
        return answer

    is_well, output = examined(server, capsys, alter)
    assert is_well
    assert "clock      skipped" in output


def _unhealthy(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
    is_health = request.url.path == "/health"
    return httpx.Response(503, json={"status": "unhealthy", "version": "1"}) if is_health else answer


def _redirecting(_: httpx.Request, __: httpx.Response) -> httpx.Response:
    return httpx.Response(301, headers={"Location": "https://elsewhere.example.org/v2"})


def _breaking_when_signed_in(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
    is_signed = "Authorization" in request.headers and request.method == "GET"
    return httpx.Response(503, json={"detail": "The authority does not answer."}) if is_signed else answer


def _losing(part: str, method: str = "GET") -> Alter:
    """The alteration of a server that does not have what a path with this part names."""

    def alter(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        is_lost = part in f"{request.url}/ {request.headers['Accept']}" and request.method == method
        return httpx.Response(404) if is_lost and "Authorization" in request.headers else answer

    return alter


def _corrupting(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
    pixels = bytes(range(16))
    return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content.replace(pixels, bytes(16)))


def _refusing_to_store(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
    return httpx.Response(507, json={"detail": "It is full."}) if request.method == "POST" else answer


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (_unhealthy, "service    wrong    DICOMweb on Azure Functions, version 1, unhealthy. Its storage"),
        (_redirecting, "redirects to https://elsewhere.example.org/v2. Give the URL"),
        (_breaking_when_signed_in, "/v2 answers 503: The authority does not answer. Try again"),
        (_losing("StudyInstanceUID="), "round trip wrong    404 Not Found."),
        (_losing("/metadata"), "round trip wrong    404 Not Found."),
        (_losing("multipart"), "round trip wrong    404 Not Found."),
        (_corrupting, "round trip wrong    The file is not the one that was stored. See"),
        (_refusing_to_store, "round trip wrong    It is not stored: 507 It is full. See"),
    ],
)
def test_what_is_wrong_is_told(
    server: WatchedServer, capsys: pytest.CaptureFixture[str], alter: Alter, said: str
) -> None:
    is_well, output = examined(server, capsys, alter)
    assert not is_well
    assert said in output


def test_a_server_that_does_not_delete_is_given_nothing(
    server: WatchedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def alter(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(405) if request.method == "DELETE" else answer

    is_well, output = examined(server, capsys, alter)
    assert is_well
    assert "round trip skipped  The server does not delete, so nothing is stored." in output
    assert "POST" not in asked


def test_what_may_be_left_is_named(server: WatchedServer, capsys: pytest.CaptureFixture[str]) -> None:
    is_first = True

    def alter(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        nonlocal is_first
        if request.method != "DELETE":
            return answer
        answer, is_first = (answer if is_first else httpx.Response(500, json={"detail": "It failed."})), False
        return answer

    is_well, output = examined(server, capsys, alter)
    assert not is_well
    assert "round trip wrong    The study 2.25." in output
    assert "may be left: 500 It failed." in output


def test_another_kind_of_service_is_no_fault(server: WatchedServer, capsys: pytest.CaptureFixture[str]) -> None:
    def alter(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        return httpx.Response(404) if request.url.path == "/health" else answer

    is_well, output = examined(server, capsys, alter, url=server.base_url)
    assert is_well
    assert "service    ok       It is DICOMweb of another kind" in output


def test_ctrl_c_leaves_nothing(server: WatchedServer) -> None:
    store_is_sent = asyncio.Event()

    class Slow(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                asyncio.get_running_loop().call_later(0.02, store_is_sent.set)
            return await super().handle_async_request(request)

    async def run() -> None:
        async with httpx.AsyncClient(transport=Slow(), auth=_sign, timeout=60) as client:
            task = asyncio.create_task(examine(Connection(client, f"{server.base_url}/v2")))
            await store_is_sent.wait()
            task.cancel()  # as asyncio does at Ctrl-C
            with pytest.raises(asyncio.CancelledError):
                await task

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(run())
    time.sleep(1)  # for what the server may still be carrying out
