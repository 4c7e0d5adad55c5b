"""A run of deliveries to one subscriber: what is sent, what is saved when, and what follows where the subscriber fails.

The cursor that is saved never passes an event that was not taken. With it, in one batch, go the studies whose changes
it passed, so that none is forgotten that is to settle.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

from shared.archive.subscription import KIND_OF_ACTION, EventKind, Settling
from shared.dicom.identifiers import StudyKey
from shared.search.filters import matching_series, parse_filter
from shared.services.feed.drain import drain
from shared.services.subscriptions.cloud_events import Event, image_event, settled_event
from shared.services.subscriptions.sending import send
from shared.services.subscriptions.targets import Answer, Targets
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.feed_rows import Block, FeedEntry
from shared.storage.parallel import in_parallel
from shared.storage.subscription_table import MAX_SETTLING, Overtaken, SubscriptionRow
from shared.web.event_targets import AllowedTargets

Clock = Callable[[], datetime]

LEASE: Final = timedelta(seconds=60)
PARKED_AFTER: Final = timedelta(days=7)
PAUSES: Final = tuple(timedelta(seconds=seconds) for seconds in (10, 30, 60, 300, 600, 1800, 3600))
"""How long after each failure the next try is; the last one again and again."""

_RUN: Final = timedelta(minutes=4)
_SAVED_EVERY: Final = timedelta(seconds=5)
_SAVED_EVENTS: Final = 50
_PAGE_CHANGES: Final = 200
_DRAIN_SECONDS: Final = 2

_logger = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class DeliveryRun:
    """A run: the row as it was saved last, the sequence numbers sent and passed since, and what is to be saved."""

    def __init__(
        self,
        archive: Archive,
        settings: Settings,
        allowed: AllowedTargets,
        targets: Targets,
        row: SubscriptionRow,
        clock: Clock,
    ) -> None:
        self._archive = archive
        self._allowed = allowed
        self._targets = targets
        self._row = row
        self._clock = clock
        self._until = clock() + _RUN
        self._subscription = row.subscription
        self._query = parse_filter(row.subscription.filter, settings)
        self._progress = row.progress
        self._leased_until = row.progress.leased_until  # as the last save was to write it
        self._passed = row.progress.delivered
        self._batch: list[Event] = []
        self._unsaved_events = 0
        self._saved = clock()
        self._settling: dict[StudyKey, Settling] = {}

    async def work(self) -> None:
        """Send up to the feed's end, a failure, or the end of the run's time. Raises Overtaken."""
        await self._save()
        has_drained = False
        while True:
            end = await self._archive.feed.read_last()
            if self._passed < end:
                if not await self._send_changes(end):
                    return
            elif not self._has_due(self._clock()) or has_drained:
                break
            else:
                # A change that the feed lacks would have the study settle later.
                await drain(self._archive, seconds=_DRAIN_SECONDS)
                has_drained = True
        told = await self._tell_settled(self._clock())
        if told is not None:
            await self._end(told)

    async def give_way(self) -> None:
        """Once overtaken: have the next run go on at once where the lease is still this one's, else a minute later.

        It is this one's where the subscription was restarted meanwhile, and where a save was done whose answer was
        lost. It is not where another run goes on.
        """
        row = await self._archive.subscriptions.read(self._subscription.id)
        if row is None:
            return
        if row.progress.leased_until in (self._row.progress.leased_until, self._leased_until):
            with suppress(Overtaken):  # by another restart, or a run that came just as the lease ended
                await self._archive.subscriptions.save(row, replace(row.progress, leased_until=None))
                await self._archive.wakes.look_at(self._subscription.id)
                return
        now = self._clock()
        await self._archive.wakes.look_at_when(self._subscription.id, now + LEASE, now)

    async def _send_changes(self, end: int) -> bool:
        """Send what the feed has up to a sequence number; whether to go on after that."""
        async with aclosing(self._archive.feed.read_blocks(self._passed, end, _PAGE_CHANGES)) as blocks:
            async for block in blocks:
                if not await self._send_block(block):
                    return False
        return await self._flush()

    async def _send_block(self, block: Block) -> bool:
        """Send what the subscriber wants of a block; whether to go on after that."""
        entries = [entry for entry in block.entries() if entry.sequence > self._passed]
        series = await self._matching(entries)
        for entry in entries:
            study = entry.change.identifiers.study
            matching = series.get(study)
            is_wanted = matching is None or entry.change.identifiers.series_instance_uid in matching
            if is_wanted and KIND_OF_ACTION[entry.change.action] in self._subscription.events:
                self._batch.append(image_event(self._subscription, entry))
            if matching != frozenset() and EventKind.STUDY_SETTLED in self._subscription.events:
                self._settling[study] = Settling(study, entry.stamp + self._subscription.settle, entry.sequence)
            self._passed = entry.sequence
            is_full = len(self._batch) == self._subscription.max_events_per_batch
            if (is_full or self._is_to_be_saved()) and not await self._go_on(entry.stamp):
                return False
        return True

    async def _go_on(self, stamp: datetime) -> bool:
        """Send the batch, and save where it is time to; whether to go on after that.

        `stamp` is that of the last change that was passed. A save is followed by the studies that had settled by then:
        at the end of a long feed there would be too many.
        """
        if not await self._flush():
            return False
        if self._clock() >= self._until:
            await self._hand_over()
            return False
        if self._is_to_be_saved():
            await self._save()
            told = await self._tell_settled(stamp)
            if told:
                await self._save(settled=told)
            return told is not None
        return True

    async def _matching(self, entries: Sequence[FeedEntry]) -> dict[StudyKey, frozenset[str] | None]:
        """The series that the filter lets through, for each study that is still there; None: all."""
        query = self._query
        if query is None:
            return {}

        async def read(study: StudyKey) -> tuple[StudyKey, frozenset[str] | None]:
            found = await self._archive.catalog.read_outline(study)
            if found is None:
                return study, None
            matching = matching_series(query, found, self._subscription.service_url)
            if matching is None:
                return study, frozenset()
            # Of a series that has gone only its study can be asked.
            gone = {
                entry.change.identifiers.series_instance_uid
                for entry in entries
                if entry.change.identifiers.study == study
            } - found.series.keys()
            return study, matching | gone

        studies = dict.fromkeys(entry.change.identifiers.study for entry in entries)
        return dict(await in_parallel(map(read, studies)))

    async def _tell_settled(self, now: datetime) -> Sequence[StudyKey] | None:
        """Tell of the studies that have settled, once all changes before `now` are sent; None where the run is over.

        Returns those that are still to be saved.
        """
        if not self._has_due(now):
            return ()
        if self._settling:
            await self._save()
        rows = await self._archive.subscriptions.read_settling(self._subscription.id)
        due = [row for row in rows if row.due <= now]
        size = min(self._subscription.max_events_per_batch, MAX_SETTLING)
        told: list[StudyKey] = []
        for start in range(0, len(due), size):
            several = due[start : start + size]
            if self._is_to_be_saved() or len(told) + len(several) > MAX_SETTLING:
                await self._save(settled=told)
                told = []
            self._batch = [event for event in await in_parallel(map(self._settled, several)) if event is not None]
            if not await self._flush(told):
                return None
            told += [one.study for one in several]
            if self._clock() >= self._until:
                await self._hand_over(told)
                return None
        self._progress = replace(self._progress, due=rows[len(due)].due if len(due) < len(rows) else None)
        return told

    async def _settled(self, settling: Settling) -> Event | None:
        """The event that a study has settled; None where the filter keeps it back."""
        study = await self._archive.catalog.read_outline(settling.study)
        query, url = self._query, self._subscription.service_url
        if study is not None and query is not None and not matching_series(query, study, url):
            return None
        return settled_event(self._subscription, settling, study)

    def _has_due(self, now: datetime) -> bool:
        due = self._first_due()
        return due is not None and due <= now

    def _first_due(self) -> datetime | None:
        """When the first study may settle."""
        known = [self._progress.due] if self._progress.due else []
        return min([*known, *(one.due for one in self._settling.values())], default=None)

    def _is_to_be_saved(self) -> bool:
        return (
            self._unsaved_events >= _SAVED_EVENTS
            or len(self._settling) >= MAX_SETTLING
            or self._clock() >= self._saved + _SAVED_EVERY
        )

    async def _flush(self, settled: Sequence[StudyKey] = ()) -> bool:
        """Send the batch, if there is one; whether the subscriber has taken it. Where it has not, the run is over."""
        if self._batch:
            answer = await send(self._archive, self._allowed, self._targets, self._subscription, self._batch)
            now = self._clock()
            self._progress = replace(self._progress, last_status=answer.status, last_try=now)
            if not answer.is_success:
                await self._fail(answer, now, settled)
                return False
            self._unsaved_events += len(self._batch)
            self._batch = []
            if self._progress.failures:
                self._progress = replace(self._progress, failures=0, failing_since=None, next_try=None, reason="")
        self._progress = replace(self._progress, delivered=self._passed)
        return True

    async def _fail(self, answer: Answer, now: datetime, settled: Sequence[StudyKey]) -> None:
        """Save that the subscriber has failed, and have it tried again, unless it has been failing for too long."""
        before = self._progress
        since = before.failing_since or now
        is_gone = answer.status == HTTPStatus.GONE
        progress = replace(
            before, failures=before.failures + 1, failing_since=since, next_try=None, reason=answer.reason
        )
        if is_gone or now - since >= PARKED_AFTER:
            why = "" if is_gone else f" So it was for {PARKED_AFTER.days} days."
            self._progress = replace(progress, is_parked=True, reason=answer.reason + why)
            _logger.error("Subscription %s is parked: %s", self._subscription.id, self._progress.reason)
        else:
            pause = PAUSES[min(before.failures, len(PAUSES) - 1)]
            next_try = now + max(pause, timedelta(seconds=answer.retry_after))
            self._progress = replace(progress, next_try=next_try)
            await self._archive.wakes.look_at_when(self._subscription.id, next_try, now)
            _logger.warning("Subscription %s fails: %s", self._subscription.id, answer.reason)
        await self._save(settled=settled, is_last=True)

    async def _hand_over(self, settled: Sequence[StudyKey] = ()) -> None:
        """Give the lease back, and have the next run go on."""
        await self._save(settled=settled, is_last=True)
        await self._archive.wakes.look_at(self._subscription.id)

    async def _end(self, settled: Sequence[StudyKey]) -> None:
        """Give the lease back at the feed's end, and have a run look when the next study may settle."""
        due, planned, now = self._first_due(), self._progress.planned, self._clock()
        # A message that comes before the lease is given back does nothing.
        if due is not None and (planned is None or planned <= now + _SAVED_EVERY or planned > due):
            await self._archive.wakes.look_at_when(self._subscription.id, due, now)
            self._progress = replace(self._progress, planned=due)
        await self._save(settled=settled, is_last=True)

    async def _save(self, *, settled: Sequence[StudyKey] = (), is_last: bool = False) -> None:
        """Save how far the subscriber has come, and take or renew the lease, or give it back. Raises Overtaken."""
        self._saved = now = self._clock()
        self._leased_until = None if is_last else now + LEASE
        progress = replace(self._progress, due=self._first_due(), leased_until=self._leased_until)
        self._row = await self._archive.subscriptions.save(
            self._row, progress, settling=self._settling.values(), settled=settled
        )
        self._progress = progress
        self._settling.clear()
        self._unsaved_events = 0
