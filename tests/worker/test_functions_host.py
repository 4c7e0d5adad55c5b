"""What tests/support/functions_host does to a request, as the Functions host does: a toy app on the real worker."""

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from local.azurite import ROOT
from local.ports import free_ports
from tests.support.functions_host.worker_process import IS_INSTALLED
from tests.support.measured_server import MIB, needs_proc, peak_bytes

pytestmark = pytest.mark.skipif(not IS_INSTALLED, reason="Azure's Python worker is not installed: make setup-worker")

TOY = Path(__file__).with_name("toy_app")
UPLOAD_BYTES = 100 * MIB
MAX_BODY_BYTES = UPLOAD_BYTES + MIB
MAX_GROWTH_BYTES = 30 * MIB
SECONDS = 60


@dataclass(frozen=True)
class Host:
    """A host of the toy app, and what it has printed."""

    process: "subprocess.Popen[bytes]"
    client: httpx.Client
    log: Path

    def wait_for(self, line: str) -> None:
        wait_until(lambda: line in self.log.read_text())

    def has_ended(self, how: str) -> bool:
        return how in self.client.get("ended").json()


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def started(folder: Path, port: int, log: Path) -> "subprocess.Popen[bytes]":
    arguments = [sys.executable, "-m", "tests.support.functions_host", str(port), str(folder)]
    environment = os.environ | {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": str(MAX_BODY_BYTES), "MOOD": "good"}
    with log.open("wb") as output:
        return subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603


@contextmanager
def hosting(log: Path) -> Iterator[Host]:
    port = free_ports(1)
    process = started(TOY, port, log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/toy/", timeout=SECONDS) as client:
            host = Host(process, client, log)
            host.wait_for("Listening on port")
            yield host
    finally:
        process.terminate()
        process.wait(SECONDS)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(tmp_path_factory.mktemp("host") / "log") as running:
        yield running


def blocks(size: int) -> Iterator[bytes]:
    for _ in range(size // MIB):
        yield bytes(range(256)) * (MIB // 256)


def test_path_query_and_headers_reach_the_function(host: Host) -> None:
    headers = {"Host": "dicom.example", "X-Forwarded-Host": "evil.example", "X-One": "1", "Connection": "X-One"}
    response = host.client.get("Studies/1%2C2/series/a%2Fb/%C3%A9/x/?f=a&f=b&PatientName=", headers=headers)
    assert response.status_code == 200, response.text
    seen = response.json()
    assert seen["parameters"] == {"study": "1,2", "series": "a%2Fb", "rest": "é/x"}
    assert seen["query"] == [["f", "a"], ["f", "b"], ["PatientName", ""]]
    received = dict(seen["headers"])
    assert received["host"].startswith("127.0.0.1:")
    assert received["host"] != f"127.0.0.1:{host.client.base_url.port}"
    assert received["x-forwarded-host"] == "dicom.example"
    assert received["x-forwarded-proto"] == "http"
    assert received["x-forwarded-for"] == "127.0.0.1"
    assert "x-one" not in received
    assert response.headers["X-Custom"] == "yes"


def test_the_log_has_no_query(host: Host) -> None:
    host.client.get("studies/1/series/2?PatientName=Secret")
    host.wait_for("GET /toy/studies/1/series/2 200 ")
    assert not [line for line in host.log.read_text().splitlines() if "functions_host" in line and "Secret" in line]


def test_head_has_no_body(host: Host) -> None:
    response = host.client.head("studies/1/series/2")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["Content-Length"]) > 0


@pytest.mark.parametrize(("method", "path"), [("DELETE", "fail"), ("OPTIONS", "fail"), ("GET", "/fail"), ("GET", "/")])
def test_what_no_route_takes_is_404(host: Host, method: str, path: str) -> None:
    response = host.client.request(method, host.client.base_url.join(path))
    assert (response.status_code, response.content) == (404, b"")


def test_an_exception_is_500_and_its_reason_in_the_log(host: Host) -> None:
    assert host.client.get("fail").status_code == 500
    host.wait_for("Fail failed: ZeroDivisionError: on purpose")


@needs_proc
@pytest.mark.parametrize("is_announced", [True, False])
def test_an_upload_is_streamed(host: Host, is_announced: bool) -> None:
    (worker,) = psutil.Process(host.process.pid).children()
    before = peak_bytes(Path(f"/proc/{worker.pid}"))
    headers = {"Content-Length": str(UPLOAD_BYTES)} if is_announced else {}
    response = host.client.post("digest", content=blocks(UPLOAD_BYTES), headers=headers)
    sha256 = hashlib.sha256()
    for block in blocks(UPLOAD_BYTES):
        sha256.update(block)
    assert response.json() == [UPLOAD_BYTES, sha256.hexdigest()]
    assert peak_bytes(Path(f"/proc/{worker.pid}")) - before < MAX_GROWTH_BYTES


@needs_proc
def test_a_download_is_streamed(host: Host) -> None:
    (worker,) = psutil.Process(host.process.pid).children()
    before = peak_bytes(Path(f"/proc/{worker.pid}"))
    with host.client.stream("GET", "download/100") as response:
        assert sum(map(len, response.iter_raw())) == 100 * MIB
    assert peak_bytes(Path(f"/proc/{worker.pid}")) - before < MAX_GROWTH_BYTES


def test_a_body_over_the_limit_is_500(host: Host) -> None:
    assert host.client.post("digest", content=blocks(MAX_BODY_BYTES + MIB)).status_code == 500
    host.wait_for("The body exceeds FUNCTIONS_REQUEST_BODY_SIZE_LIMIT.")
    # httpx announces only what it sends.
    with socket.create_connection(("127.0.0.1", host.client.base_url.port or 0), timeout=SECONDS) as connection:
        head = f"POST /toy/digest HTTP/1.1\r\nHost: test\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 500 ")


def test_a_request_is_forwarded_before_any_of_its_body_arrives(host: Host) -> None:
    with socket.create_connection(("127.0.0.1", host.client.base_url.port or 0), timeout=SECONDS) as connection:
        connection.sendall(b"POST /toy/refuse HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_an_answer_that_breaks_off_breaks_off_for_the_client(host: Host) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        host.client.get("download/1?break")


def test_a_function_learns_that_its_client_has_left(host: Host) -> None:
    with host.client.stream("GET", "download/10000") as response:
        next(response.iter_raw())
    wait_until(lambda: host.has_ended("CancelledError"))
    with socket.create_connection(("127.0.0.1", host.client.base_url.port or 0), timeout=SECONDS) as connection:
        connection.sendall(b"POST /toy/digest HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nbegun")
    wait_until(lambda: host.has_ended("ClientDisconnect"))


def test_requests_wait_for_each_other_up_to_what_host_json_allows(host: Host) -> None:
    with ThreadPoolExecutor() as pool:
        answers = sorted(pool.map(lambda _: host.client.get("wait"), range(4)), key=lambda answer: answer.status_code)
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert [answer.text for answer in answers[:2]] == ["1", "1"]


def test_functions_that_are_not_http_are_fired(host: Host) -> None:
    functions = host.client.base_url.join("/admin/functions/")
    assert host.client.post(functions.join("Tick")).status_code == 202
    host.wait_for("Ticked, past due: False, MOOD=good.")
    assert host.client.post(functions.join("Receive"), json={"input": "hello"}).status_code == 202
    host.wait_for("Received 'hello' for the 1. time.")
    assert host.client.post(functions.join("Inspect"), json={"input": '{"unit": 7}'}).status_code == 202
    host.wait_for("Inspected 7: 4, receipt, 1, UTC, UTC, UTC.")
    assert host.client.post(functions.join("Receive")).status_code == 500
    host.wait_for("Receive failed: ZeroDivisionError: nothing received")
    for name in ("Fail", "nothing"):
        assert host.client.post(functions.join(name)).status_code == 404


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("import azure.functions\napp = azure.functions.FunctionApp()", "The worker announced no HttpUri"),
        ("import os\nos._exit(3)", "The worker ended with status 3."),
    ],
)
def test_an_app_that_cannot_be_served_says_why(tmp_path: Path, source: str, reason: str) -> None:
    (tmp_path / "function_app.py").write_text(source)
    process = started(tmp_path, free_ports(1), tmp_path / "log")
    assert process.wait(SECONDS) == 1
    assert reason in (tmp_path / "log").read_text()


def test_it_stops_with_its_worker_and_the_worker_with_it(tmp_path: Path) -> None:
    for end in (psutil.Process.terminate, psutil.Process.kill):
        with hosting(tmp_path / "log") as host:
            (worker,) = psutil.Process(host.process.pid).children()
            end(psutil.Process(host.process.pid))
            assert host.process.wait(SECONDS) == (0 if end == psutil.Process.terminate else -9)
            worker.wait(SECONDS)
    with hosting(tmp_path / "log") as host:
        (worker,) = psutil.Process(host.process.pid).children()
        worker.kill()
        assert host.process.wait(SECONDS) == 1
        assert "The worker ended." in host.log.read_text()
