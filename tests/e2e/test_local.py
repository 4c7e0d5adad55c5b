"""`python -m local` as a user runs it: it starts, says what is wrong, and leaves no process behind."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from local import azurite
from local.azurite import ROOT, LocalError
from local.ports import free_ports, is_taken
from tests.support.served_instances import dataset, part10, path_of

STOP_SECONDS = 20


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + STOP_SECONDS
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def nothing_listens(first_port: int, count: int) -> bool:
    return not any(map(is_taken, range(first_port, first_port + count)))


@contextmanager
def started(*arguments: str, port: int, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """`python -m local` on four ports from `port` on, the last three Azurite's."""
    ports = {"PORT": str(port), "AZURITE_PORT": str(port + 1), "DATA": "memory"}
    process = subprocess.Popen(  # noqa: S603 -- our own arguments
        [sys.executable, "-m", "local", *arguments],
        cwd=ROOT,
        env={**os.environ, **ports, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def next_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline()


def run(*arguments: str, port: int, **environment: str) -> tuple[int, str]:
    """The exit status and error output of a run that ends by itself."""
    with started(*arguments, port=port, **environment) as process:
        _, errors = process.communicate(timeout=STOP_SECONDS)
        return process.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_azurite(number: signal.Signals) -> None:
    port = free_ports(4)
    with started(port=port) as process:
        assert next_line(process).startswith(f"Serving http://localhost:{port}/v2 (Ctrl-C stops). Try: curl ")
        assert next_line(process) == f"To store something to look at, in a second window: make samples PORT={port}\n"
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
        process.send_signal(number)
        assert process.wait(STOP_SECONDS) == 0
        assert nothing_listens(port, 4)
        _, errors = process.communicate()
        assert not re.search(r"Traceback|Unclosed", errors)


def test_a_folder_of_data_belongs_to_one_azurite(tmp_path: Path) -> None:
    port = free_ports(4)
    with started(port=port, DATA=str(tmp_path)) as process:
        next_line(process)
        status, errors = run(port=free_ports(4), DATA=str(tmp_path))
        assert status == 1
        assert errors == (
            f"Another Azurite keeps its data in {tmp_path}: name its first port with AZURITE_PORT, or another folder "
            "with DATA.\n"
        )
    with started(port=port, DATA=str(tmp_path)) as process:
        assert next_line(process).startswith("Serving")


def test_only_clients_on_this_machine_are_served() -> None:
    port = free_ports(4)
    with started(port=port) as process:
        next_line(process)
        assert httpx.get(f"http://127.0.0.1:{port}/v2/studies").status_code == 204
        for number in range(port, port + 4):
            # Also an address of this machine, at which a server on all addresses would answer.
            with socket.socket() as other:
                assert other.connect_ex(("127.0.0.2", number)) != 0


def test_a_killed_server_takes_azurite_down_with_it() -> None:
    port = free_ports(4)
    with started(port=port) as process:
        next_line(process)
        process.kill()
    wait_until(lambda: nothing_listens(port, 4))


def test_what_is_stored_when_the_server_is_killed_is_there_when_it_starts_again(tmp_path: Path) -> None:
    port, images = free_ports(4), [dataset() for _ in range(3)]
    with (
        started(port=port, DATA=str(tmp_path)) as process,
        httpx.Client(base_url=f"http://localhost:{port}/v2") as client,
    ):
        next_line(process)
        for image in images:
            stored = client.post("/studies", content=part10(image), headers={"Content-Type": "application/dicom"})
            assert stored.status_code == 200
        process.kill()
    wait_until(lambda: nothing_listens(port, 4))
    with (
        started(port=port, DATA=str(tmp_path)) as process,
        httpx.Client(base_url=f"http://localhost:{port}/v2") as client,
    ):
        next_line(process)
        for image in images:
            accept = {"Accept": "application/dicom; transfer-syntax=*"}
            assert client.get(path_of(image), headers=accept).content == part10(image)


def test_pages_of_this_machine_may_use_the_service() -> None:
    port = free_ports(4)
    with started(port=port) as process, httpx.Client(base_url=f"http://localhost:{port}") as client:
        next_line(process)
        for origin, is_allowed in (
            ("http://localhost:3000", True),
            ("http://localhost:1", True),
            ("http://localhost.example.org:3000", False),
            ("http://example.org", False),
        ):
            answer = client.get("/v2/studies", headers={"Origin": origin})
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if is_allowed else None)


def test_the_viewer_is_served_beside_a_running_server(tmp_path: Path) -> None:
    port, viewer_port = free_ports(4), free_ports(1)
    environment = {**os.environ, "PORT": str(port), "VIEWER_PORT": str(viewer_port)}
    with started(port=port) as process, (tmp_path / "said").open("w+") as said:
        next_line(process)
        viewer = subprocess.Popen([sys.executable, "-m", "local.viewer"], cwd=ROOT, env=environment, stdout=said)
        try:
            wait_until(lambda: is_taken(viewer_port))
            assert "html" in httpx.get(f"http://localhost:{viewer_port}/").text
            wait_until(lambda: f"Viewer: http://localhost:{viewer_port} " in (tmp_path / "said").read_text())
        finally:
            viewer.send_signal(signal.SIGINT)
            assert viewer.wait(STOP_SECONDS) == 0
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200


@pytest.mark.parametrize("arguments", [(), ("azurite",)])
def test_a_dead_azurite_ends_the_server_and_is_named(arguments: tuple[str, ...]) -> None:
    port = free_ports(4)
    with started(*arguments, port=port) as process:
        next_line(process)
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)
        _, errors = process.communicate(timeout=STOP_SECONDS)
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith("Azurite has ended by itself: ")
    assert nothing_listens(port, 4)


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)  # noqa: S607
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid]


def test_azurite_alone() -> None:
    port = free_ports(4)
    with started("azurite", port=port) as process:
        assert next_line(process).startswith(f"Azurite listens on ports {port + 1} to {port + 3}")
        assert not is_taken(port)
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_SECONDS) == 0
    assert nothing_listens(port, 4)


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (0, "Port {} is taken: choose another with PORT=<number>.\n"),
        (1, "Port {} is taken: choose three free ones for Azurite with AZURITE_PORT=<the first>.\n"),
        (3, "Port {} is taken: choose three free ones for Azurite with AZURITE_PORT=<the first>.\n"),
    ],
)
def test_a_taken_port_is_named_with_the_variable_to_set(offset: int, message: str) -> None:
    port = free_ports(4)
    with socket.create_server(("127.0.0.1", port + offset)):
        assert run(port=port) == (1, message.format(port + offset))
    assert nothing_listens(port, 4)


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("PORT", "0"), ("AZURITE_PORT", "65535")])
def test_an_invalid_port(name: str, value: str) -> None:
    assert run(port=free_ports(4), **{name: value}) == (1, f"{name} must be a port number, not {value!r}.\n")


def test_an_unknown_word() -> None:
    assert run("serve", port=free_ports(4)) == (1, "Run `python -m local` or `python -m local azurite`.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_another_server_gets_the_port_and_the_settings_and_ends_with_us(number: signal.Signals) -> None:
    port = free_ports(4)
    code = (
        "import os, runpy, sys;"
        "print(os.environ['STORAGE_CONNECTION_STRING'], os.environ['PUBLIC_BASE_URL'], flush=True);"
        "sys.argv.append('--bind=127.0.0.1'); runpy.run_module('http.server', run_name='__main__')"
    )
    with started(port=port, SERVED_BY=shlex.join([sys.executable, "-c", code, "{port}"])) as process:
        assert next_line(process) == f"{azurite.connection_string(port + 1)} http://localhost:{port}\n"
        wait_until(lambda: is_taken(port))
        process.send_signal(number)
        assert process.wait(STOP_SECONDS) == 0
    assert nothing_listens(port, 4)


def test_another_server_that_ends_or_does_not_exist_ends_the_rest() -> None:
    port = free_ports(4)
    assert run(port=port, SERVED_BY=f"{shlex.quote(sys.executable)} -c pass") == (1, "")
    status, errors = run(port=port, SERVED_BY="./no-such-server {port}")
    assert (status, errors) == (1, "SERVED_BY: [Errno 2] No such file or directory: './no-such-server'\n")
    assert nothing_listens(port, 4)


def test_azurite_keeps_its_data_in_the_folder(tmp_path: Path) -> None:
    with azurite.running(free_ports(3), tmp_path) as first, blobs(first) as client:
        client.create_container("kept")
    assert not first.is_running
    with azurite.running(free_ports(3), tmp_path) as second, blobs(second) as client:
        assert [container.name for container in client.list_containers()] == ["kept"]


def blobs(storage: azurite.Azurite) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(storage.connection_string)


def test_azurite_that_does_not_start_says_why() -> None:
    options = ("--cert", "no-such-file", "--key", "no-such-file")
    with (
        pytest.raises(LocalError, match=r"^Azurite ended while starting: ."),
        azurite.running(free_ports(3), None, *options),
    ):
        pass


def test_data_needs_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(LocalError, match="no folder that can be written to"), azurite.running(free_ports(3), file):
        pass
