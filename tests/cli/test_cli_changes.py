"""What `dicomweb changes` prints, where it begins, and how it waits for a server."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from dicomweb_cli.change_feed import Filters
from dicomweb_cli.changes import Reading, Start, print_changes, start_of
from dicomweb_cli.connection import CannotGoOn, Unavailable
from dicomweb_cli.feed_cursor import FeedCursor
from dicomweb_cli.options import FeedForm
from tests.support.command_line import run
from tests.support.feed_servers import FeedServer, entry

BUSY = httpx.Response(503, headers={"Retry-After": "0"}, json={"detail": "The feed is being filled."})
GIVEN_UP = 6  # after so many attempts


def reading(
    start: Start = 0, *, form: FeedForm = FeedForm.JSON, cursor: Path | None = None, every: float | None = None
) -> Reading:
    return Reading(start=start, filters=Filters(), form=form, cursor_file=cursor, every=every)


def printed(capsys: pytest.CaptureFixture[str]) -> list[int]:
    """The sequence numbers that were printed since the last call, as JSON Lines."""
    return [json.loads(line)["sequence"] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("0", 0),
        ("4711", 4711),
        ("now", None),
        ("2026-11-30T08:00:00Z", datetime(2026, 11, 30, 8, tzinfo=UTC)),
        ("2026-11-30T09:00+01:00", datetime(2026, 11, 30, 8, tzinfo=UTC)),
    ],
)
def test_a_start_is_a_number_a_time_or_now(text: str, start: Start) -> None:
    assert start_of(text) == start


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-11-30T08:00:00", "has no time zone: add Z for UTC"),
        ("2026-11-30", "has no time zone"),
        ("yesterday", "neither a sequence number, nor a time such as 2026-11-30T08:00:00Z, nor now"),
        ("-1", "neither a sequence number"),
        ("", "neither a sequence number"),
        ("٣", "neither a sequence number"),
    ],
)
def test_another_start_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        start_of(text)
    assert said in run("changes", "--since", text, url="http://127.0.0.1:1/v2", code=2).stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sop-class", "CT"), "'CT' is not a UID"),
        (("--every", "0"), "--every"),
        (("--action", "store"), "'store' is not one of 'create', 'delete', 'update'"),
        (("--format", "csv"), "'csv' is not one of 'table', 'json'"),
        (("--cursor", "/"), "'/' is a directory"),
    ],
)
def test_other_mistakes_of_usage_are_refused(options: tuple[str, str], said: str) -> None:
    assert said in run("changes", *options, url="http://127.0.0.1:1/v2", code=2).stderr


async def test_json_is_what_the_server_sent_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    entries = [entry(1), {**entry(2), "ours": {"later": ["\x1b[2J", "é"]}}]
    await print_changes(FeedServer("v2", entries).connection, reading())
    lines = capsys.readouterr().out.splitlines()
    assert list(map(json.loads, lines)) == entries
    assert all(line.isascii() and line.isprintable() for line in lines)


async def test_a_table_has_a_line_for_each_whole_and_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    uid = "1." + 62 * "2"
    odd = {"sequence": 10_000_000, "action": "\x1b[2Jx", "timestamp": 5, "modality": None}
    server = FeedServer("v2", [{**entry(9, "Delete"), "studyInstanceUid": uid}, odd])
    await print_changes(server.connection, reading(form=FeedForm.TABLE))
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "Sequence  Time (UTC)           Action  Modality  Study, series and instance UID",
        f"9         2026-11-01 12:00:00  delete  CT        {uid}  1.2.3.4  1.2.3.4.9",
        "10000000  -                     [2jx   -         -  -  -",
    ]
    assert captured.err == "Changes: 2\n"


async def test_an_empty_feed_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for form, said in ((FeedForm.TABLE, "Changes: 0\n"), (FeedForm.JSON, "")):
        await print_changes(FeedServer("v1").connection, reading(form=form))
        assert tuple(capsys.readouterr()) == ("", said)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (0, list(range(1, 301))),
        (290, list(range(291, 301))),
        (300, []),
        (None, []),
        (datetime(2026, 11, 3, tzinfo=UTC), list(range(200, 301))),
    ],
)
async def test_it_begins_at_the_start(start: Start, expected: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    server = FeedServer("v2", [entry(number, day=1 + number // 100) for number in range(1, 301)])
    await print_changes(server.connection, reading(start))
    assert printed(capsys) == expected


async def test_what_the_server_has_not_all_yet_is_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    """A server that says that changes may be missing has them later, but may also say so for ever."""
    server = FeedServer("v2", map(entry, range(1, 4)))
    server.warning = '299 https://dicom.example.org/v2 "Changes may be missing"'

    def grow() -> None:
        if len(server.entries) < 6:
            server.entries.append(entry(len(server.entries) + 1))

    server.after_page = grow
    await print_changes(server.connection, reading())
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 6
    assert captured.err == f"The server warns: {server.warning}\n"
    assert len(server.requests) == 9


async def test_a_cursor_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server, cursor = FeedServer("v2", map(entry, range(1, 301))), tmp_path / "cursor"
    for since, added, expected in ((250, 0, range(251, 301)), (0, 10, range(301, 311)), (None, 10, range(311, 321))):
        server.entries += map(entry, range(len(server.entries) + 1, len(server.entries) + 1 + added))
        await print_changes(server.connection, reading(since, cursor=cursor))
        assert printed(capsys) == list(expected)


async def test_now_is_kept_though_nothing_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server, cursor = FeedServer("v1", map(entry, range(1, 6))), tmp_path / "cursor"
    await print_changes(server.connection, reading(None, cursor=cursor))
    server.entries.append(entry(6))
    await print_changes(server.connection, reading(None, cursor=cursor))
    assert printed(capsys) == [6]


async def test_a_position_beyond_the_feed_is_refused(tmp_path: Path) -> None:
    server, cursor = FeedServer("v2", [entry(1)]), tmp_path / "cursor"
    FeedCursor(cursor, server.url).save(4711)
    for how in (reading(cursor=cursor), reading(4711, cursor=tmp_path / "new"), reading(4711, every=0.01)):
        with pytest.raises(CannotGoOn, match="ends at 1, before 4711: it is not the feed"):
            await print_changes(server.connection, how)
    assert FeedCursor(cursor, server.url).position == 4711
    assert FeedCursor(tmp_path / "new", server.url).position is None


@pytest.mark.parametrize("fails", ["to print", "to save"])
async def test_a_run_that_dies_repeats_and_omits_nothing(
    fails: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, cursor = FeedServer("v2", map(entry, range(1, 501))), tmp_path / "cursor"

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    target = "dicomweb_cli.changes._line" if fails == "to print" else "os.replace"
    await print_changes(server.connection, reading(150, cursor=tmp_path / "other"))
    capsys.readouterr()
    FeedCursor(cursor, server.url).save(150)
    with monkeypatch.context() as patched:
        patched.setattr(target, die)
        with pytest.raises(KeyboardInterrupt):
            await print_changes(server.connection, reading(cursor=cursor, form=FeedForm.TABLE))
    first = len(capsys.readouterr().out.splitlines())
    assert first == (0 if fails == "to print" else 201)  # a heading and a page
    await print_changes(server.connection, reading(cursor=cursor))
    assert printed(capsys) == list(range(151, 501))


@asynccontextmanager
async def following(server: FeedServer, how: Reading) -> AsyncIterator[Callable[[Callable[[], bool]], Awaitable[None]]]:
    """Follow the feed; yields what waits until something holds."""
    task = asyncio.create_task(print_changes(server.connection, how))

    async def until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                assert not task.done(), task.exception()
                await asyncio.sleep(0.005)

    try:
        yield until
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_following_goes_on_with_what_comes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server, cursor = FeedServer("v2", [entry(1)]), tmp_path / "cursor"
    async with following(server, reading(cursor=cursor, every=0.01)) as until:
        for number in range(1, 6):
            await until(lambda: FeedCursor(cursor, server.url).position == len(server.entries))
            assert printed(capsys) == [number]
            server.entries.append(entry(number + 1))


async def test_a_full_page_is_followed_at_once() -> None:
    server = FeedServer("v1", map(entry, range(1, 1001)))
    async with following(server, reading(every=3600)) as until:
        await until(lambda: len(server.pages) == 10)
    assert len(server.requests) == 11


async def test_a_server_that_is_away_is_waited_for_and_this_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dicomweb_cli.connection._FIRST_WAIT_SECONDS", 0)
    monkeypatch.setattr("dicomweb_cli.changes._FIRST_WAIT_SECONDS", 0.01)
    server = FeedServer("v2", [entry(1)])
    away = [httpx.ConnectError("refused")] * (2 * GIVEN_UP + 3)

    def leave() -> None:
        server.entries.append(entry(2))
        server.faults = [*away]
        server.after_page = lambda: None

    server.after_page = leave
    async with following(server, reading(every=0.01)) as until:
        await until(lambda: len(server.pages) == 2)
    captured = capsys.readouterr()
    assert [json.loads(line)["sequence"] for line in captured.out.splitlines()] == [1, 2]
    assert captured.err == (
        f"The connection to {server.url} failed: refused (given up at attempt 6 of 6). Waiting for it.\n"
        "The server answers again.\n"
    )


async def test_pauses_grow_while_a_server_is_busy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []

    async def paused(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("dicomweb_cli.changes.asyncio.sleep", paused)
    server = FeedServer("v2", [entry(1)])
    server.faults = [*[BUSY] * (7 * GIVEN_UP), httpx.Response(400, text="no more")]
    with pytest.raises(Exception, match="400 no more"):
        await print_changes(server.connection, reading(every=10))
    assert [pause for pause in pauses if pause] == [5, 10, 20, 40, 60, 60, 60]
    assert capsys.readouterr().err.count("The feed is being filled. (given up") == 1


async def test_without_follow_nobody_waits_long() -> None:
    server = FeedServer("v2", [entry(1)])
    server.faults = [BUSY] * GIVEN_UP
    with pytest.raises(Unavailable, match="being filled"):
        await print_changes(server.connection, reading())


@pytest.mark.parametrize(("status", "said"), [(401, "requires a sign-in"), (403, "may not"), (400, "400")])
async def test_what_waiting_does_not_mend_ends_it(status: int, said: str) -> None:
    server = FeedServer("v2", [entry(1)])
    server.after_page = lambda: server.faults.append(httpx.Response(status, json={"detail": "No."}))
    with pytest.raises(Exception, match=said):
        await asyncio.wait_for(print_changes(server.connection, reading(every=0.01)), 20)


async def test_a_server_that_never_answered_is_not_waited_for() -> None:
    server = FeedServer("v2")
    server.faults = [httpx.ConnectError("refused")]
    with pytest.raises(CannotGoOn, match="refused"):
        await print_changes(server.connection, reading(every=0.01))
    assert len(server.requests) == 1
