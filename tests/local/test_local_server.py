"""The host's part in a request, with toy functions, over real connections."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import azure.functions as func
import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from local.routing import RouteError
from local.server import Host, route_prefix_of, routes_of, server_of
from tests.support.logged import logged

MAX_BODY_BYTES = 1_000_000
CHUNK = b"x" * 10_000
received: list[int] = []  # sizes of the chunks that /upload saw
swallowed: list[str] = []
closed: list[str] = []

toy = func.FunctionApp()


@toy.function_name("Describe")
@toy.route("describe/{Name}", methods=["GET", "HEAD", "OPTIONS"])
async def describe(request: Request) -> Response:
    answer = {
        "name": request.path_params["Name"],
        "query": request.url.query,
        "headers": [[name.decode(), value.decode()] for name, value in request.headers.raw],
        "method": request.method,
    }
    response = JSONResponse(answer)
    response.headers.append("X-Two", "one")
    response.headers.append("X-Two", "two")
    return response


@toy.function_name("Upload")
@toy.route("upload", methods=["POST"])
async def upload(request: Request) -> Response:
    received.clear()
    received.extend([len(chunk) async for chunk in request.stream()])
    return PlainTextResponse(str(sum(received)))


@toy.function_name("Swallow")
@toy.route("swallow", methods=["POST"])
async def swallow(request: Request) -> Response:
    try:
        await request.body()
    except ClientDisconnect:
        swallowed.append("disconnect")
    return PlainTextResponse("all is well", 201)


@toy.function_name("Download")
@toy.route("download/{count}", methods=["GET"])
async def download(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        try:
            for _ in range(int(request.path_params["count"])):
                yield CHUNK
                await asyncio.sleep(0.001)
        finally:
            closed.append("download")

    return StreamingResponse(chunks(), media_type="application/octet-stream")


@toy.function_name("Break")
@toy.route("break/{how}", methods=["GET"])
async def break_down(request: Request) -> Response | None:
    how = request.path_params["how"]
    if how == "none":
        return None
    if how == "teapot":
        raise HTTPException(418, "short and stout", {"X-Pot": "yes"})
    if how == "late":

        async def chunks() -> AsyncIterator[bytes]:
            yield CHUNK
            raise ZeroDivisionError

        return StreamingResponse(chunks())
    raise ZeroDivisionError("secret")


async def respond(request: Request) -> Response:
    return Response()


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    server = server_of(Host(routes_of(toy.get_functions()), MAX_BODY_BYTES), 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def client(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, timeout=20) as client:
        yield client


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def pieces(count: int) -> Iterator[bytes]:
    """A body of unannounced length."""
    yield from (CHUNK for _ in range(count))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/describe/aBc", "aBc"),
        ("/DESCRIBE/aBc/", "aBc"),
        ("/describe/1%2C2", "1,2"),
        ("/describe/a%2Fb", "a%2Fb"),
        ("/describe/%C3%A9", "é"),
        ("/describe/a+b", "a+b"),
    ],
)
def test_the_handler_gets_the_values_of_the_path(client: httpx.Client, path: str, name: str) -> None:
    assert client.get(path).json()["name"] == name


@pytest.mark.parametrize("path", ["/", "/describe", "/describe/a/b", "//describe/a", "/describe//"])
def test_no_route_is_404_with_an_empty_body(client: httpx.Client, path: str) -> None:
    response = client.get(client.base_url.join(f"//{client.base_url.netloc.decode()}{path}"))
    assert (response.status_code, response.content) == (404, b"")


def test_methods(client: httpx.Client) -> None:
    assert client.post("/describe/a").status_code == 404
    assert client.head("/upload").status_code == 404
    head = client.head("/describe/a")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0
    assert client.options("/describe/a").json()["method"] == "OPTIONS"


def test_repeated_and_empty_query_keys_and_headers_survive(client: httpx.Client) -> None:
    query = "includefield=a&includefield=b&PatientName=&x=%2C"
    response = client.get(f"/describe/a?{query}", headers=[("X-One", "1"), ("X-One", "2")])
    assert response.json()["query"] == query
    assert [value for name, value in response.json()["headers"] if name == "x-one"] == ["1", "2"]
    assert response.headers.get_list("X-Two") == ["one", "two"]
    assert "Server" not in response.headers


def test_host_is_replaced_and_forwarded_headers_are_the_hosts_own(client: httpx.Client) -> None:
    sent = {
        "Host": "dicom.example.org",
        "X-Forwarded-Host": "evil.example.org",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "1.2.3.4",
    }
    headers = client.get("/describe/a", headers=sent).json()["headers"]
    assert dict(headers)["host"] == f"127.0.0.1:{client.base_url.port}"
    forwarded = sorted(header for header in headers if header[0].startswith("x-forwarded"))
    assert forwarded == [
        ["x-forwarded-for", "127.0.0.1"],
        ["x-forwarded-host", "dicom.example.org"],
        ["x-forwarded-proto", "http"],
    ]


def test_an_upload_reaches_the_handler_in_pieces(client: httpx.Client) -> None:
    response = client.post("/upload", content=pieces(90))
    assert response.text == str(90 * len(CHUNK))
    assert len(received) > 1


def test_a_download_reaches_the_client_in_pieces_and_ends_when_it_goes(client: httpx.Client) -> None:
    with client.stream("GET", "/download/20") as response:
        assert "Content-Length" not in response.headers
        assert sum(map(len, response.iter_raw())) == 20 * len(CHUNK)
    closed.clear()
    with client.stream("GET", "/download/1000000") as response:
        next(response.iter_raw())
    wait_until(lambda: closed == ["download"])


@pytest.mark.parametrize("path", ["/upload", "/swallow"])
@pytest.mark.parametrize("is_announced", [True, False])
def test_a_body_over_the_limit_is_500_whatever_the_handler_says(
    client: httpx.Client, path: str, is_announced: bool
) -> None:
    within, over = CHUNK * 100, CHUNK * 100 + b"x"
    status = client.post(path, content=within if is_announced else iter([within])).status_code
    assert status == (201 if path == "/swallow" else 200)
    response = client.post(path, content=over if is_announced else iter([within, b"x"]))
    assert (response.status_code, response.text) == (500, "Internal Server Error")


def test_a_handler_sees_a_body_over_the_limit_break_off(client: httpx.Client) -> None:
    swallowed.clear()
    client.post("/swallow", content=pieces(101))
    assert swallowed == ["disconnect"]


@pytest.mark.parametrize("how", ["none", "error"])
def test_a_failing_handler_is_500_without_the_reason(client: httpx.Client, how: str) -> None:
    response = client.get(f"/break/{how}")
    assert (response.status_code, response.text) == (500, "Internal Server Error")


def test_an_http_exception_is_answered_as_fastapi_does(client: httpx.Client) -> None:
    response = client.get("/break/teapot")
    assert (response.status_code, response.json()) == (418, {"detail": "short and stout"})
    assert response.headers["X-Pot"] == "yes"


def test_a_failure_after_the_head_breaks_the_answer_off(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/break/late")


def test_the_log_has_no_query_and_stays_on_one_line(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "local.server")
    client.get("/describe/a%0Ab?PatientName=Doe")
    wait_until(lambda: bool(logged(caplog, "local.server")))
    (record,) = logged(caplog, "local.server")
    message = record.getMessage()
    assert message.startswith("GET /describe/a%0Ab 200 ")
    assert message.endswith(" ms")


def test_an_absolute_request_target_is_routed_by_its_path(base_url: str) -> None:
    port = httpx.URL(base_url).port
    assert port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {base_url}/describe/a?b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"query":"b"' in answer


def test_routes_of_returns_only_http_functions_in_the_hosts_order() -> None:
    app = func.FunctionApp()
    for name in ("beta", "Alpha", "gamma"):
        app.function_name(name)(app.route(methods=["GET"])(respond))
    app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")(lambda timer: None)
    assert [(route.function_name, route.template) for route in routes_of(app.get_functions(), "api/x")] == [
        ("Alpha", "api/x/Alpha"),
        ("beta", "api/x/beta"),
        ("gamma", "api/x/gamma"),
    ]


def test_what_would_be_served_differently_on_azure_is_refused() -> None:
    def handler(request: Request) -> Response:
        return Response()

    without_methods, not_async, constrained = func.FunctionApp(), func.FunctionApp(), func.FunctionApp()
    without_methods.route("a")(respond)
    not_async.route("a", methods=["GET"])(handler)
    constrained.route("a/{b:int}", methods=["GET"])(respond)
    for app, message in (
        (without_methods, "respond: the methods are not listed"),
        (not_async, "handler: the handler is not an async function"),
        (constrained, "respond: the segment '{b:int}' has an unsupported form"),
    ):
        with pytest.raises(RouteError, match=message):
            routes_of(app.get_functions())


@pytest.mark.parametrize(
    ("settings", "prefix"),
    [({}, "api"), ({"extensions": {"http": {"routePrefix": ""}}}, "")],
)
def test_route_prefix_of(tmp_path: Path, settings: dict[str, object], prefix: str) -> None:
    path = tmp_path / "host.json"
    path.write_text(json.dumps({"version": "2.0", **settings}))
    assert route_prefix_of(path) == prefix
