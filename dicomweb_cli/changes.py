"""Prints the change feed, up to now or for as long as nobody interrupts, and remembers up to where."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from dicomweb_cli.change_feed import ChangeFeed, Entry, Filters, action_of, change_feed, sequence_of, time_of
from dicomweb_cli.connection import CannotGoOn, Connection, Unavailable
from dicomweb_cli.feed_cursor import FeedCursor
from dicomweb_cli.options import FeedForm
from dicomweb_cli.terminal import ERR, plain, sentence

Start = int | datetime | None
"""After this sequence number, from this time on, or from now on."""

_FIRST_WAIT_SECONDS: Final = 5  # then twice as long each time
_LONGEST_WAIT_SECONDS: Final = 60
_HEADING: Final = "Sequence  Time (UTC)           Action  Modality  Study, series and instance UID"

Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How to read the feed: `every` is the seconds between looks for more, None to end where the feed does."""

    start: Start
    filters: Filters
    form: FeedForm
    cursor_file: Path | None
    every: float | None


def start_of(text: str) -> Start:
    """Where to start, as a user says it. Raises ValueError, with a message for the user."""
    if text == "now":
        return None
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a sequence number, nor a time such as 2026-11-30T08:00:00Z, nor now."
        ) from None
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: add Z for UTC, or an offset such as +01:00, to a date and time.")
    return time


async def print_changes(connection: Connection, reading: Reading) -> None:
    """Print the entries after the cursor, or else after the start. Raises Refused and CannotGoOn.

    The cursor moves once entries are written out, so a run that dies may repeat some, and omits none.
    """
    ask = _at_once if reading.every is None else once_available
    feed = await ask(partial(change_feed, connection, reading.filters))
    cursor = FeedCursor(reading.cursor_file, connection.url) if reading.cursor_file else None
    latest = await ask(feed.latest)
    position = await ask(partial(_first_position, feed, cursor, reading, latest.sequence))
    count = 0
    while True:
        begin, end = position, latest.sequence
        if end < begin:
            raise CannotGoOn(
                f"The feed of {connection.url} ends at {end}, before {begin}: it is not the feed that this number is "
                "from."
            )
        if cursor:
            cursor.save(position)  # also where nothing follows
        while position < end:
            page = await ask(partial(feed.page, position, end))
            _write(page.entries, reading.form, is_first=not count)
            count += len(page.entries)
            position = page.position
            if cursor:
                cursor.save(position)
        may_have_more = latest.warning and position > begin
        if not may_have_more:
            if reading.every is None:
                break
            await asyncio.sleep(reading.every)
        latest = await ask(feed.latest)
    if latest.warning:
        ERR.print(f"The server warns: {latest.warning}", soft_wrap=True)
    if reading.form is FeedForm.TABLE:
        ERR.print(f"Changes: {count}")


async def _first_position(feed: ChangeFeed, cursor: FeedCursor | None, reading: Reading, latest: int) -> int:
    """Where to begin: where the cursor is, else at the start."""
    if cursor and cursor.position is not None:
        return cursor.position
    position = latest if reading.start is None else reading.start
    return await feed.position_before(position, latest) if isinstance(position, datetime) else position


async def _at_once(ask: Callable[[], Awaitable[Asked]]) -> Asked:
    return await ask()


async def once_available(ask: Callable[[], Awaitable[Asked]]) -> Asked:
    """The answer, however long the server cannot be reached or is busy, which is said once, as is its return."""
    wait = _FIRST_WAIT_SECONDS
    while True:
        try:
            answer = await ask()
        except Unavailable as error:
            if wait == _FIRST_WAIT_SECONDS:
                ERR.print(f"{sentence(str(error))} Waiting for it.", soft_wrap=True)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
            continue
        if wait > _FIRST_WAIT_SECONDS:
            ERR.print("The server answers again.")
        return answer


def _write(entries: list[Entry], form: FeedForm, *, is_first: bool) -> None:
    """Write entries out, at once, and a heading before the first ones; see them leave this process."""
    lines = [json.dumps(entry) if form is FeedForm.JSON else _line(entry) for entry in entries]
    if form is FeedForm.TABLE and is_first and lines:
        lines.insert(0, _HEADING)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _line(entry: Entry) -> str:
    """An entry for people. Its UIDs are last and whole: a terminal wraps them."""
    time = time_of(entry)
    shown = f"{time:%Y-%m-%d %H:%M:%S}" if time else "-"
    uids = (str(entry.get(f"{level}InstanceUid", "-")) for level in ("study", "series", "sop"))
    modality = str(entry.get("modality") or "-")
    return plain(f"{sequence_of(entry):<8}  {shown:<19}  {action_of(entry):<6}  {modality:<8}  {'  '.join(uids)}")
