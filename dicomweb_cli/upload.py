"""Uploads DICOM files (STOW-RS): finds them, asks what is already there, sends the rest in batches, several at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx
from rich.progress import DownloadColumn, TransferSpeedColumn

from dicomweb_cli.connection import CannotGoOn, Connection, NoService, reason_of
from dicomweb_cli.held import HeldInstances
from dicomweb_cli.report import Remark, Report, remark
from dicomweb_cli.service_url import meant_url
from dicomweb_cli.sources import Instance, Source, SourceError, examined, sources
from dicomweb_cli.store_answer import Fate, Outcome, outcomes
from dicomweb_cli.store_request import StoreMessage, batches
from dicomweb_cli.terminal import progress, sentence, stopping

_NO_SUCH_SERVICE: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
_STOPPING: Final = "Stopping: waiting for the requests under way (Ctrl-C again aborts them)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to send: the most bytes and files in a request, how many requests at once, whether to send what is there."""

    batch_bytes: int
    batch_files: int
    parallel: int
    sends_all: bool


async def upload(connection: Connection, paths: Sequence[Path], plan: Plan) -> Report:
    """Upload everything at the paths; return a report, also after Ctrl-C or when the server no longer answers."""
    report, started = Report(url=connection.url), time.monotonic()
    with stopping(_STOPPING) as stop:
        report.files, total = await asyncio.to_thread(_measured, paths)
        with progress("Uploading", total, DownloadColumn(), TransferSpeedColumn()) as show:
            run = _Upload(connection, plan, report, stop, show)
            try:
                await run.all(paths)
                is_in_vain = bool(report.failures) and not report.stored and not report.already_there
                if (run.is_nowhere or is_in_vain) and (meant := await meant_url(connection)):
                    trouble = report.stopped or f"{connection.url} stores nothing."
                    report.stopped = f"{sentence(trouble)} Did you mean {meant}?"
            except asyncio.CancelledError:
                if task := asyncio.current_task():
                    task.uncancel()
    if stop.is_set() and report.stopped is None:
        report.is_interrupted, report.stopped = True, "interrupted."
    report.seconds = time.monotonic() - started
    return report


class _Upload:
    """An upload under way; `is_nowhere` once it has found no service that stores."""

    def __init__(
        self,
        connection: Connection,
        plan: Plan,
        report: Report,
        stop: asyncio.Event,
        show: Callable[[int], None],
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._report = report
        self._stop = stop
        self._show = show
        self.is_nowhere = False
        self._done_bytes = 0
        self._sending: set[StoreMessage] = set()
        self._held = HeldInstances(connection)

    async def all(self, paths: Sequence[Path]) -> None:
        """Find, ask and send."""
        queue: asyncio.Queue[list[Instance] | None] = asyncio.Queue(1)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._plan.parallel):
                group.create_task(self._work(queue))
            plan = self._plan
            async for batch in batches(self._wanted(paths), max_bytes=plan.batch_bytes, max_files=plan.batch_files):
                await queue.put(batch)
            for _ in range(plan.parallel):
                await queue.put(None)

    async def _work(self, queue: "asyncio.Queue[list[Instance] | None]") -> None:
        while batch := await queue.get():
            await self._send(batch)

    async def _wanted(self, paths: Sequence[Path]) -> AsyncIterator[Instance]:
        """The instances to send, found one by one; everything else goes into the report."""
        found = sources(paths)
        while not self._stop.is_set() and (source := await asyncio.to_thread(next, found, None)):
            self._report.examined += 1
            try:
                if isinstance(source, SourceError):
                    raise source
                instance = await asyncio.to_thread(examined, source)
            except SourceError as error:
                self._report.unreadable += 1
                self._report.failures.append(Remark(error.name, None, None, None, None, [str(error)]))
                continue
            if instance is None:
                self._report.skipped += 1
            else:
                self._report.instances += 1
                if not await self._is_held(instance):
                    yield instance
                    continue
                self._report.already_there += 1
            self._advance(source.size)

    async def _is_held(self, instance: Instance) -> bool:
        if self._plan.sends_all or instance.identifiers is None:
            return False
        try:
            return await self._held.has(instance.identifiers)
        except CannotGoOn as error:
            self.is_nowhere = isinstance(error, NoService)
            self._halt(str(error))
            return False

    async def _send(self, batch: list[Instance]) -> None:
        """Send a batch, and again, in parts, what its answer does not name."""
        if self._stop.is_set():
            return
        try:
            response = await self._answer(batch)
        except SourceError as error:
            broken = [instance for instance in batch if instance.source.name == error.name]
            known = dict.fromkeys(range(len(broken)), Outcome(Fate.FAILED, None, (str(error),)))
            self._settle(broken, known)
            parts = [[instance for instance in batch if instance.source.name != error.name]]
        else:
            if response is None:
                return
            rest = self._settle(batch, outcomes(batch, response))
            parts = [rest[: (len(rest) + 1) // 2], rest[(len(rest) + 1) // 2 :]]
        for part in filter(None, parts):
            await self._send(part)

    async def _answer(self, batch: list[Instance]) -> httpx.Response | None:
        """The answer to a batch; None where the upload stops without one. Raises SourceError."""
        message = StoreMessage([instance.source for instance in batch], self._tick)
        self._sending.add(message)
        try:
            response = await self._connection.send(
                "POST", "studies", headers=message.headers, body=message.stream, stop=self._stop
            )
        except CannotGoOn as error:
            self._halt(str(error))
            if error.is_open:
                self._leave_open(batch)
            return None
        except asyncio.CancelledError:
            self._leave_open(batch)
            raise
        finally:
            self._sending.discard(message)
        if response.status_code in _NO_SUCH_SERVICE:
            self.is_nowhere = True
            self._halt(f"{self._connection.url} does not store: {response.status_code} {reason_of(response)}")
            return None
        return response

    def _settle(self, batch: Sequence[Instance], known: dict[int, Outcome]) -> list[Instance]:
        """Put the batch's outcomes into the report; return the instances without one."""
        for place, outcome in known.items():
            instance = batch[place]
            self._advance(instance.source.size)
            said = remark(instance, outcome.reason, list(outcome.comments))
            if outcome.fate is Fate.STORED:
                self._report.add_stored(instance, said if outcome.reason else None)
            elif outcome.fate is Fate.ALREADY_THERE:
                self._report.already_there += 1
            else:
                self._report.failures.append(said)
        return [instance for place, instance in enumerate(batch) if place not in known]

    def _leave_open(self, batch: Sequence[Instance]) -> None:
        words = ["The request was interrupted: whether it is stored is not known."]
        self._report.failures += [remark(instance, None, words) for instance in batch]

    def _halt(self, why: str) -> None:
        if not self._stop.is_set():
            self._report.stopped = why
            self._stop.set()

    def _advance(self, size: int) -> None:
        self._done_bytes += size
        self._tick()

    def _tick(self) -> None:
        self._show(self._done_bytes + sum(message.sent_bytes for message in self._sending))


def _measured(paths: Sequence[Path]) -> tuple[int, int]:
    """How many files there are at the paths, and their size in bytes."""
    count = size = 0
    for source in sources(paths):
        count += 1
        size += source.size if isinstance(source, Source) else 0
    return count, size
