"""`dicomweb operations` against a served app, and against a stand-in for Microsoft's service."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar

import httpx
import pytest
from azure.storage.blob import ContainerClient

from local.azurite import connection_string
from tests.conftest import Server, serving
from tests.support.command_line import Cli, run
from tests.support.served_instances import dataset, new_uid, part10

STUDY = new_uid()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app with a study."""
    with serving(tmp_path_factory.mktemp("server") / "log") as running:
        content, headers = part10(dataset(StudyInstanceUID=STUDY)), {"Content-Type": "application/dicom"}
        assert httpx.post(f"{running.base_url}/v2/studies", content=content, headers=headers).status_code == 200
        yield running


@pytest.fixture
def cli(server: Server) -> Cli:
    return lambda *arguments, **options: run("operations", *arguments, url=f"{server.base_url}/v2", **options)


def test_a_whole_archive_is_found_in_order(cli: Cli) -> None:
    done = cli("verify", "--digests", "--wait", "--every", 1)
    assert "succeeded: studies 1, instances 1, blobs 1, postings" in done.output
    assert done.output.rstrip().endswith("differenceCount 0")
    operation = cli("list", "--limit", 1).stdout.split()[0]
    assert done.stderr.startswith(f"Operation {operation}\n")  # to be had again after Ctrl-C
    assert operation not in done.stdout


def test_what_differs_is_printed_and_told_by_the_status(cli: Cli, server: Server) -> None:
    storage = connection_string(int(server.base_url.rpartition(":")[2]) + 1)
    names = [f"{STUDY}/{number:04}.txt" for number in range(1100)]
    with ContainerClient.from_connection_string(storage, "dicom") as container:
        for name in names:
            container.upload_blob(name, b"mine")
        operation = cli("verify", STUDY).stdout.strip()
        done = cli("wait", operation, "--every", 1, code=1)
        for start in range(0, len(names), 200):
            container.delete_blobs(*names[start : start + 200])
    lines = [line for line in done.output.splitlines() if line.startswith(f"foreign blob: study {STUDY}: ")]
    assert [line.split(": ")[2] for line in lines] == names
    state = json.loads(cli("wait", operation, "--json", code=1).stdout)
    assert (state["results"]["differenceCount"], len(state["results"]["differences"])) == (1100, 1000)
    assert f"operationId: {operation}" in cli("show", operation).output
    assert json.loads(cli("show", operation, "--json").stdout) == state


def test_operations_are_listed_and_canceled(cli: Cli) -> None:
    operations = [cli("verify", new_uid()).stdout.strip() for _ in range(3)]
    for operation in operations:
        cli("wait", operation, "--every", 1)
    lines = cli("list", "--limit", 2, "--status", "succeeded", "--type", "verify").stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [[one, "verify", "succeeded"] for one in operations[:0:-1]]
    assert [json.loads(line)["operationId"] for line in cli("list", "--limit", 3, "--json").stdout.splitlines()] == [
        *reversed(operations)
    ]
    assert "It had ended before: succeeded." in cli("cancel", operations[0], code=1).output


def test_what_the_server_does_not_know_or_allow_is_said(cli: Cli) -> None:
    assert "404" in cli("show", "0" * 32, code=1).output
    assert "400" in cli("list", "--status", "done", code=1).output
    cli("show", "x", code=2)
    cli("verify", "1.x", code=2)


class Microsofts(BaseHTTPRequestHandler):
    """Answers for one operation as Microsoft's service does, first that it is running."""

    answers: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        answer = self.answers.pop(0)
        self.send_response(202 if answer["status"] == "running" else 200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("succeeded", 0), ("failed", 1), ("canceled", 1)])
def test_microsofts_service_is_awaited(status: str, code: int) -> None:
    with HTTPServer(("127.0.0.1", 0), Microsofts) as microsofts:
        thread = Thread(target=microsofts.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{microsofts.server_port}/v1"
        state = {"operationId": "1" * 32, "type": "export", "results": {"exported": 3, "skipped": 0}}
        Microsofts.answers[:] = [{**state, "status": one} for one in ("running", status)]
        done = run("operations", "wait", "1" * 32, "--every", 1, url=url, code=code)
        Microsofts.answers[:] = [{**state, "status": status}]
        shown = run("operations", "show", "11111111-1111-1111-1111-111111111111", url=url)
        microsofts.shutdown()
        thread.join()
    assert f"{status}: exported 3, skipped 0" in done.output
    assert f"status: {status}" in shown.output
