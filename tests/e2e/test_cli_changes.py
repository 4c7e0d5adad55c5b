"""`dicomweb changes` against a served app: what it prints of stores and deletes, and that nothing is ever missing."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from local.azurite import ROOT, Azurite, running
from local.ports import free_ports
from tests.support.app_process import AppProcess, app_process
from tests.support.command_line import Cli, run
from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.served_instances import dataset, new_uid, part10

SECONDS = 60
KILLS = 5


@contextmanager
def serving(port: int, azurite: Azurite, log: Path) -> Iterator[AppProcess]:
    with app_process(port, azurite.connection_string, log) as process:
        # With its own factory, the runner leaves the loop of the coroutine tests in place.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(process.wait_until_healthy())
        yield process


@pytest.fixture(scope="module")
def own_azurite() -> Iterator[Azurite]:
    with running(free_ports(3), None) as azurite:
        yield azurite


@pytest.fixture(scope="module")
def service(own_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a served app, without a version."""
    with serving(free_ports(1), own_azurite, tmp_path_factory.mktemp("changes") / "log") as process:
        yield process.base_url.removesuffix("/v2")


@pytest.fixture
def cli(service: str) -> Cli:
    return lambda *arguments, **options: run("changes", *arguments, url=f"{service}/v2", **options)


def store(service: str, *images: Dataset) -> list[str]:
    """Store images; return their UIDs."""
    headers = {"Content-Type": MULTIPART_DICOM}
    answer = httpx.post(f"{service}/v2/studies", content=multipart(map(part10, images)), headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return [image.SOPInstanceUID for image in images]


def images(count: int) -> list[Dataset]:
    """So many images of a new series."""
    uids = {"StudyInstanceUID": new_uid(), "SeriesInstanceUID": new_uid()}
    return [dataset(**uids) for _ in range(count)]


def end(service: str) -> str:
    """The latest sequence number."""
    latest = httpx.get(f"{service}/v2/changefeed/latest?includeMetadata=false").json()
    return str(latest["sequence"] if latest else 0)


def entries(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def uids(lines: str) -> list[str]:
    return [entry["sopInstanceUid"] for entry in entries(lines)]


def test_stores_and_deletes_are_printed_in_order(service: str, cli: Cli) -> None:
    start = end(service)
    first, second = images(3), images(2)
    stored = [*store(service, *first), *store(service, *second)]
    assert httpx.delete(f"{service}/v2/studies/{first[0].StudyInstanceUID}").status_code == 204
    found = entries(cli("--since", start, "--format", "json").stdout)
    # Changes of several studies may come in any order.
    of_first = [entry for entry in found if entry["studyInstanceUid"] == first[0].StudyInstanceUID]
    assert [entry["action"] for entry in of_first] == ["create"] * 3 + ["delete"] * 3
    assert sorted(entry["sopInstanceUid"] for entry in found) == sorted([*stored, *stored[:3]])
    sequences = [entry["sequence"] for entry in found]
    assert sequences == sorted(set(sequences))
    for version in ("/v1", "/v2", ""):
        printed = run("changes", "--since", start, "--format", "json", url=f"{service}{version}").stdout
        assert [entry["sequence"] for entry in entries(printed)] == sequences
    table = cli("--since", start)
    assert table.stderr == "Changes: 8\n"
    heading, *lines = table.stdout.splitlines()
    assert heading.startswith("Sequence  Time (UTC)")
    assert [line.split()[0] for line in lines] == list(map(str, sequences))
    assert all(entry["sopInstanceUid"] in line for line, entry in zip(lines, found, strict=True))


def test_filters_and_starts(service: str, cli: Cli) -> None:
    start = end(service)
    (before,), middle = store(service, *images(1)), time.time()
    time.sleep(0.01)
    other, ct = images(1)[0], dataset(SOPClassUID=CTImageStorage, Modality="CT")
    after = store(service, other, ct)
    httpx.delete(f"{service}/v2/studies/{ct.StudyInstanceUID}")
    since, as_json = ("--since", start), ("--format", "json")
    for version in ("/v1", "/v2"):

        def found(*options: str, version: str = version) -> list[str]:
            return uids(run("changes", *as_json, *options, url=f"{service}{version}").stdout)

        assert found(*since, "--action", "delete") == [ct.SOPInstanceUID]
        assert found(*since, "--sop-class", CTImageStorage) == [ct.SOPInstanceUID] * 2
        assert found(*since, "--sop-class", CTImageStorage, "--action", "create") == [ct.SOPInstanceUID]
        assert found("--since", "now") == found("--since", end(service)) == []
    shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(middle)) + f"{middle % 1:.6f}"[1:] + "Z"
    assert set(after) <= set(uids(cli("--since", shown, *as_json).stdout))
    hour_ago = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(middle - 3600))
    assert {before, *after} <= set(uids(cli("--since", hour_ago, *as_json).stdout))
    hour_ahead = time.strftime("%Y-%m-%dT%H:%M:%S-05:00", time.gmtime(middle - 4 * 3600))
    assert uids(cli("--since", hour_ahead, *as_json).stdout) == []


def test_a_number_that_is_not_the_feeds_is_refused(service: str, cli: Cli, tmp_path: Path) -> None:
    cursor = tmp_path / "cursor"
    cursor.write_text(json.dumps({"url": f"{service}/v2", "after": int(end(service)) + 1}))
    assert "it is not the feed that this number is from" in cli("--cursor", cursor, code=2).stderr
    cursor.write_text(json.dumps({"url": "https://dicom.example.org/v2", "after": 1}))
    assert "is the cursor of https://dicom.example.org/v2, not of" in cli("--cursor", cursor, code=2).stderr
    cursor.write_text("notes")
    assert "is not a cursor of a change feed" in cli("--cursor", cursor, code=2).stderr
    assert cursor.read_text() == "notes"
    missing = tmp_path / "no folder/cursor"
    assert f"{missing} cannot be written: No such file or directory" in cli("--cursor", missing, code=2).stderr


class Follower:
    """`dicomweb changes --follow` in a process of its own; what it prints is in the file `out`, unless it is a pipe."""

    def __init__(
        self, service: str, *options: str, out: Path | None = None, version: Literal["v1", "v2"] = "v2"
    ) -> None:
        # What is started in the background of a shell ignores the signal, and so does what that starts.
        heeding = ["env", "--default-signal=INT"]
        command = [*heeding, sys.executable, "-m", "dicomweb_cli", "changes", "--follow", "--every", "1", *options]
        with (out or Path(os.devnull)).open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 -- our own arguments
                [*command, "--url", f"{service}/{version}"],
                cwd=ROOT,
                stdout=output if out else subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, while the process lives."""
        give_up = time.monotonic() + SECONDS
        while not holds():
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            assert time.monotonic() < give_up
            time.sleep(0.02)

    def ended(self) -> tuple[int, str]:
        """Its exit status, and what it said beside the changes."""
        _, said = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, said


@contextmanager
def following(
    service: str, *options: str, out: Path | None = None, version: Literal["v1", "v2"] = "v2"
) -> Iterator[Follower]:
    follower = Follower(service, *options, out=out, version=version)
    try:
        yield follower
    finally:
        follower.process.kill()
        follower.process.communicate()


def test_a_follower_prints_what_comes_until_it_is_interrupted(service: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with following(service, "--since", end(service), out=out) as follower:
        for _ in range(2):
            (uid,) = store(service, *images(1))
            follower.until(lambda uid=uid: uid in out.read_text())  # type: ignore[misc]
        follower.process.send_signal(signal.SIGINT)
        assert follower.ended() == (130, "Interrupted.\n")
    assert len(out.read_text().splitlines()) == 3


def test_a_reader_that_has_enough_ends_it_without_a_word(service: str) -> None:
    start = end(service)
    store(service, *images(1))
    with following(service, "--since", start, "--format", "json") as follower:
        assert follower.process.stdout
        assert len(entries(follower.process.stdout.readline())) == 1
        follower.process.stdout.close()
        store(service, *images(1))
        assert follower.process.wait(SECONDS) == 1
        assert follower.process.stderr
        assert follower.process.stderr.read() == ""


@pytest.mark.parametrize("words", [("changes",), ("changes", "--format", "json"), ("search",), ("search", "--json")])
def test_any_command_without_a_reader_ends_without_a_word(service: str, words: tuple[str, ...]) -> None:
    store(service, *images(1))
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-m", "dicomweb_cli", *words, "--url", f"{service}/v2"]
    with os.fdopen(writes, "wb") as output:
        done = subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.PIPE, text=True)  # noqa: S603 -- ours
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("version", [pytest.param("v1", marks=pytest.mark.long), "v2"])
def test_a_follower_that_is_killed_repeats_and_omits_nothing(
    service: str, tmp_path: Path, version: Literal["v1", "v2"]
) -> None:
    """First in the middle of a page that nobody takes, then anywhere, while more is stored."""
    start, moments = end(service), random.Random(3)
    stored = [uid for _ in range(3) for uid in store(service, *images(130))]
    cursor = tmp_path / "cursor"
    options = ("--since", start, "--cursor", str(cursor), "--format", "json")
    with following(service, *options, version=version) as follower:
        assert follower.process.stdout
        taken = follower.process.stdout.readline()
        assert taken
        follower.process.kill()
        taken += follower.process.stdout.read()
    whole = taken[: taken.rindex("\n") + 1]
    assert 0 < len(uids(whole)) < len(stored)  # a pipe does not hold them all
    out = tmp_path / "out"
    for _ in range(KILLS):
        with following(service, *options, out=out, version=version):
            stored += store(service, *images(20))
            time.sleep(moments.uniform(0.3, 1.5))
    with following(service, *options, out=out, version=version) as follower:
        follower.until(lambda: json.loads(cursor.read_text())["after"] == int(end(service)))
    assert {*uids(whole), *uids(out.read_text())} == set(stored)


def test_a_follower_survives_its_server(own_azurite: Azurite, tmp_path: Path) -> None:
    out, cursor, port = tmp_path / "out", tmp_path / "cursor", free_ports(1)
    with serving(port, own_azurite, tmp_path / "log") as first:
        service = first.base_url.removesuffix("/v2")
        options = ("--since", "now", "--cursor", str(cursor), "--format", "json")
        with following(service, *options, out=out) as follower:
            follower.until(cursor.exists)
            stored = store(service, *images(2))
            follower.until(lambda: len(out.read_text().splitlines()) == 2)
            first.kill()
            time.sleep(3)
            with serving(port, own_azurite, tmp_path / "log"):
                stored += store(service, *images(2))
                follower.until(lambda: len(out.read_text().splitlines()) == 4)
                follower.process.send_signal(signal.SIGINT)
                assert follower.ended() == (130, "Interrupted.\n")
    assert sorted(uids(out.read_text())) == sorted(stored)
