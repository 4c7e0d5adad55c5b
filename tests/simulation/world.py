"""Clients of an archive that several simulated processes serve: what they ask, and what they are told."""

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from shared.dicom.attributes import TAG, Level
from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.errors import NotFound, Unavailable
from shared.search.query import parse_search
from shared.services.backup.backup import BackedUp, OtherArchive, back_up
from shared.services.feed.backfill import prepare
from shared.services.feed.drain import drain
from shared.services.feed.read import read_page
from shared.services.repair.consistency import examine, repair
from shared.services.repair.maintenance import Replay, replay_journal
from shared.services.retrieve.instances import retrieve_instance
from shared.services.retrieve.remembered import answered
from shared.services.search.results import ShortResult
from shared.services.search.search import search
from shared.services.write.announce import announce
from shared.services.write.delete import delete
from shared.storage.availability import unavailable_storage
from shared.storage.backup_lock import BackupUnderWay, LockLost
from shared.storage.feed_rows import FeedEntry
from shared.web.change_feed_query import ChangeFeedQuery
from shared.web.content import Content, Representations, Unread
from shared.web.failure_reasons import Duplicate, FailureReason
from shared.web.store_response import Failed, Outcome, Stored
from tests.simulation.connection import Surroundings
from tests.simulation.feed_readers import SequenceReader, WindowReader, check_fresh
from tests.simulation.history import Delete, Event, Read, Store, Told
from tests.simulation.processes import SETTINGS, Process
from tests.simulation.virtual_clock import START
from tests.support.archive_model import Instance, Uids
from tests.support.default_partition import identifiers_of, resource_of, study_key
from tests.support.old_format import as_before_the_feed
from tests.support.stores import store

Result = TypeVar("Result")

_TOLD = {Duplicate.IDENTICAL: Told.IDENTICAL, Duplicate.DIFFERENT: Told.DIFFERENT}


class Unanswered(Exception):
    """The process died, or storage did not answer: whatever was asked for may have been done."""


@dataclass
class World:
    """Processes on one storage, and the history of their clients' requests; `known` is all that these may store."""

    shared: Surroundings
    known: Sequence[Instance]
    processes: list[Process] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    unanswered: list[list[Store]] = field(default_factory=list)
    """The stores without an answer, what each stores into one study."""
    longest_pause: float = 0
    """For how many seconds clients wait at most before each part that they store."""

    async def start_process(self) -> Process:
        """A process more."""
        process = Process(self.shared, f"process {len(self.processes) + 1}")
        await process.start(process.open(create_storage=not self.processes))
        self.processes.append(process)
        return process

    async def a_process(self) -> Process:
        """One of those that are alive, or a new one where none is."""
        alive = [process for process in self.processes if not process.is_dead]
        return self.shared.schedule.random.choice(alive) if alive else await self.start_process()

    async def ask(self, process: Process, work: Coroutine[Any, Any, Result]) -> Result:
        """What work in a process comes to. Raises Unanswered."""
        asked: asyncio.Task[Result] = process.start(_as_at_the_edge(work))
        either: list[asyncio.Future[Any]] = [asked, process.death]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise Unanswered
        try:
            return asked.result()
        except Unavailable as error:
            raise Unanswered from error

    async def store(self, *instances: Instance) -> None:
        """Store instances by one request."""
        process = await self.a_process()
        began = self._now()
        outcomes: Sequence[Outcome | None] = [None] * len(instances)
        with suppress(Unanswered):
            outcomes = await self.ask(process, store(process.stores, *map(_file, instances), pause=self._pause))
        ended = self._now()
        stored = [
            Store(instance, began, ended, _told(outcome)) for instance, outcome in zip(instances, outcomes, strict=True)
        ]
        self.events += stored
        if None in outcomes:
            self.unanswered += [
                [one for one in stored if one.instance.study == study]
                for study in sorted({instance.study for instance in instances})
            ]
        self._say(f"store of {len(instances)}: {[one.told.value for one in stored]}")

    async def delete(self, *uids: str, answer_seconds: float) -> None:
        """Delete a study, a series or an instance."""
        process = await self.a_process()
        began, told = self._now(), Told.NOTHING
        with suppress(Unanswered):
            try:
                work = delete(process.archive, resource_of(*uids), answer_seconds=answer_seconds)
                await self.ask(process, _within_time(work))
                told = Told.DONE
            except NotFound:
                told = Told.NOT_FOUND
        self.events.append(Delete(uids, began, self._now(), told))
        self._say(f"delete of {uids}: {told.value}")

    async def announce(self, study: str) -> None:
        """Announce a study, if it is not announced."""
        process = await self.a_process()
        with suppress(Unanswered):
            await self.ask(process, announce(process.archive, study_key(study)))
            self._say(f"announcement of {study}")

    async def forget_changes(self, study: str) -> None:
        """Leave a study, which is at rest, as a release before the change feed would have stored it."""
        process = await self.a_process()
        await self.ask(process, as_before_the_feed(process.archive, study_key(study)))

    async def retrieve(self, instance: Instance) -> None:
        """Retrieve an instance's file, and note which of its contents it has."""
        process = await self.a_process()
        began, found = self._now(), b""
        with suppress(Unanswered):
            with suppress(NotFound):
                found = await self.ask(process, _file_of(process, instance.uids))
            seen = self._content(instance.uids, found) if found else None
            self.events.append(Read(instance.uids, began, self._now(), seen is not None, seen))
            self._say(f"retrieve of {instance.uids}: {'there' if seen else 'not there'}")

    async def search(self, query: str, asked: Sequence[Instance]) -> None:
        """Search instances, and note which of those that match by their nature are found."""
        process = await self.a_process()
        began = self._now()
        with suppress(Unanswered):
            found = await self.ask(process, _found(process, query))
            ended = self._now()
            uids = {instance.uids for instance in asked}
            self.events += [Read(one, began, ended, one in found) for one in sorted(uids)]
            self._say(f"search of {query}: {sorted(found & uids)}")

    async def maintain(self) -> Replay | None:
        """Run maintenance; None where it does not end."""
        process = await self.a_process()
        with suppress(Unanswered):
            replay = await self.ask(process, _maintained(process))
            self._say(f"maintenance: {replay}")
            return replay
        return None

    async def follow(self, reader: SequenceReader) -> None:
        """Read the changes after the last one that a reader has seen."""
        process, answered = await self.a_process(), tuple(self.events)
        query = ChangeFeedQuery(self.shared.schedule.random.randint(1, 5), after=reader.last)
        with suppress(Unanswered):
            page = await self.ask(process, read_page(process.archive, query))
            reader.seen += page.entries
            if page.is_complete and page.after is None:
                check_fresh(reader.seen, answered)
            self._say(f"changes after {query.after}: {len(page.entries)}")

    async def read_window(self, reader: WindowReader) -> None:
        """Read the changes of the time since a reader's last window, page by page."""
        chance = self.shared.schedule.random
        until = START + timedelta(seconds=self._now() - chance.choice((0, 0, 3)))
        query = ChangeFeedQuery(chance.randint(1, 5), since=reader.end, until=until)
        if until <= reader.end:
            return
        seen: list[FeedEntry] = []
        with suppress(Unanswered):
            while True:
                process = await self.a_process()
                page = await self.ask(process, read_page(process.archive, query))
                seen += page.entries
                if page.after is None:
                    break
                query = replace(query, **chance.choice(({"offset": len(seen), "after": None}, {"after": page.after})))
            reader.seen, reader.end = [*reader.seen, *seen], until
            self._say(f"changes until {until}: {len(seen)}")

    async def repair(self) -> None:
        """Examine the archive and repair what differs, whoever is at work."""
        process = await self.a_process()
        with suppress(Unanswered):
            repaired = await self.ask(process, _repaired(process))
            self._say(f"repair of {repaired}")

    async def back_up(self) -> BackedUp | None:
        """Bring the backup up to date; None where that does not end."""
        process, done = await self.a_process(), BackedUp()
        with suppress(Unanswered, BackupUnderWay, LockLost, OtherArchive):
            await self.ask(process, back_up(process.archive, process.backup, SETTINGS, done))
            self._say(f"backup: {done}")
            return done
        return None

    def present(self) -> frozenset[Uids]:
        """The instances that were there when they were last read."""
        last = {event.uids: event.is_there for event in self.events if isinstance(event, Read)}
        return frozenset(uids for uids, is_there in last.items() if is_there)

    def _content(self, uids: Uids, file: bytes) -> Instance:
        """The instance whose file this is. Raises StopIteration for a file that nobody stores."""
        return next(one for one in self.known if one.uids == uids and _file(one) == file)

    async def _pause(self) -> None:
        if self.longest_pause:
            await asyncio.sleep(self.longest_pause * self.shared.schedule.random.random())

    def _now(self) -> float:
        return self.shared.loop.time()

    def _say(self, what: str) -> None:
        self.shared.schedule.note(self._now(), "client", what)


async def _as_at_the_edge(work: Coroutine[Any, Any, Result]) -> Result:
    with unavailable_storage():
        return await work


async def _maintained(process: Process) -> Replay:
    replay = await replay_journal(process.archive, SETTINGS)
    await prepare(process.archive, seconds=SETTINGS.max_request_seconds)
    await drain(process.archive, seconds=SETTINGS.max_request_seconds)
    return replay


async def _repaired(process: Process) -> list[str]:
    differences = [difference async for difference in examine(process.archive, SETTINGS)]
    for difference in differences:
        await repair(process.archive, SETTINGS, difference)
    return [difference.kind.value for difference in differences]


async def _within_time(work: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(SETTINGS.max_request_seconds):
            await work
    except TimeoutError:
        raise Unavailable("It took too long.") from None


async def _file_of(process: Process, uids: Uids) -> bytes:
    work = process.work.answer()
    try:
        content = await answered(await retrieve_instance(process.archive, identifiers_of(*uids), work), _begun)
        return b"".join([chunk async for chunk in content.all()])
    finally:
        work.end()


async def _begun(found: Representations | Unread) -> Content:
    """A file whose first step is taken, as the edge does before an answer begins."""
    content = await found.open(found.offers[0]) if isinstance(found, Representations) else None
    if not isinstance(content, Content):
        raise TypeError(content)
    return await content.started()


async def _found(process: Process, query: str) -> set[Uids]:
    """The instances that a search finds. Raises AssertionError where it is not whole, or has one twice."""
    work = process.work.answer()
    try:
        parsed = parse_search(query, Level.INSTANCE, SETTINGS)
        found = await search(process.archive, DEFAULT_PARTITION, parsed, None, "http://host/v2", SETTINGS, work)
    finally:
        work.end()
    if found.has_more or found.is_cut:
        raise AssertionError("The page is too small for all that is stored.")
    texts = [json.loads(result.text) for result in found.results if isinstance(result, ShortResult)]
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    each = Counter(tuple(_uid(text, keyword) for keyword in keywords) for text in texts)
    if each.total() > len(each):
        raise AssertionError("An instance is found twice.")
    return {(study, series, uid) for study, series, uid in each}


def _uid(attributes: Mapping[str, Any], keyword: str) -> str:
    return str(attributes[TAG[keyword]]["Value"][0])


def _told(outcome: Outcome | None) -> Told:
    match outcome:
        case None:
            return Told.NOTHING
        case Stored():
            return Told.DONE
        case Failed(duplicate=Duplicate() as duplicate):
            return _TOLD[duplicate]
        case Failed(reason=FailureReason.PROCESSING_FAILURE):
            return Told.REFUSED
    raise AssertionError(outcome)


@cache
def _file(instance: Instance) -> bytes:
    return instance.file
