"""Subscriptions: a table partition each, with its row and a row for each study that may settle.

Who delivers changes the subscription's row under its ETag, in one batch with those of the studies. So the cursor passes
a change together with what has to be remembered of it, and of two that deliver only one goes on.

A further row says whether a wake is on its way: a message that makes one run look through all subscriptions.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.archive.subscription import EventKind, Progress, Settling, Subscription
from shared.dicom.identifiers import StudyKey
from shared.errors import Unavailable
from shared.storage import keys
from shared.storage.conditions import MOVED, under
from shared.storage.properties import PAGE_ROWS, int64
from shared.storage.removal import remove_rows

MAX_SETTLING: Final = 90
"""How many studies may be remembered or forgotten with one save."""

_NUMBERS: Final = ("delivered", "failures")
_OTHERS: Final = tuple(one.name for one in fields(Progress) if one.name not in _NUMBERS)
_GONE_OR_CHANGED: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED)
_NO_TABLE: Final = "The archive has no table for subscriptions: whoever runs the service has to provision it again."


class Overtaken(Exception):
    """Another has changed the subscription since it was read, or removed it."""


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """A subscription as it was read."""

    subscription: Subscription
    progress: Progress
    etag: str


@dataclass(frozen=True, slots=True)
class PlannedWake:
    """A wake that is on its way, by its token, since `planned`; "" and None: none is. `etag` is None without a row."""

    token: str = ""
    planned: datetime | None = None
    etag: str | None = None


class Subscriptions:
    """The table of subscriptions."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def insert(self, subscription: Subscription, progress: Progress) -> None:
        """Enter a new subscription. Raises Unavailable where there is no table for it."""
        try:
            with suppress(ResourceExistsError):  # the answer to a first attempt was lost
                await self._table.create_entity(_entity(subscription, progress))
        except ResourceNotFoundError:
            raise Unavailable(_NO_TABLE) from None

    async def read(self, subscription_id: str) -> SubscriptionRow | None:
        """A subscription; None where there is none of this id."""
        try:
            return _row(await self._table.get_entity(subscription_id, keys.SUBSCRIPTION_ROW))
        except ResourceNotFoundError:
            return None

    async def read_all(self) -> list[SubscriptionRow]:
        """Every subscription, by when it was made; 1 operation for each 1,000 rows of the table."""
        query, parameters = "RowKey eq @row", {"row": keys.SUBSCRIPTION_ROW}
        rows = self._table.query_entities(query, parameters=parameters, results_per_page=PAGE_ROWS)
        try:
            found = [_row(entity) async for entity in rows]
        except ResourceNotFoundError:
            raise Unavailable(_NO_TABLE) from None
        return sorted(found, key=lambda row: (row.subscription.created, row.subscription.id))

    async def has_any(self) -> bool:
        """Whether there is a subscription, also a parked one: it may go on at any moment."""
        query, parameters = "RowKey eq @row", {"row": keys.SUBSCRIPTION_ROW}
        async for _ in self._table.query_entities(query, parameters=parameters, select=["RowKey"], results_per_page=1):
            return True
        return False

    async def save(
        self,
        row: SubscriptionRow,
        progress: Progress,
        *,
        settling: Iterable[Settling] = (),
        settled: Collection[StudyKey] = (),
    ) -> SubscriptionRow:
        """Write how far a subscription has come since it was read, and with it which studies may settle, or have.

        Both together are at most MAX_SETTLING; those that have settled have a row. Raises Overtaken.
        """
        partition = row.subscription.id
        operations: list[Any] = [
            ("update", _entity(row.subscription, progress), {"mode": UpdateMode.REPLACE, **under(row.etag)}),
            *(("upsert", _settling_entity(partition, one), {"mode": UpdateMode.REPLACE}) for one in settling),
            *(("delete", _settling_key(partition, study)) for study in settled),
        ]
        try:
            results = await self._table.submit_transaction(operations)
        except HttpResponseError as error:
            if error.status_code in _GONE_OR_CHANGED:
                raise Overtaken from error
            raise
        return SubscriptionRow(row.subscription, progress, results[0]["etag"])

    async def read_settling(self, subscription_id: str) -> list[Settling]:
        """The studies that may settle, the first one first; 1,000 an operation."""
        first, end = keys.settling_rows()
        rows = self._table.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @end",
            parameters={"partition": subscription_id, "first": first, "end": end},
            results_per_page=PAGE_ROWS,
        )
        found = [
            Settling(keys.study_of_settling_row(entity["RowKey"]), entity["due"], entity["sequence"].value)
            async for entity in rows
        ]
        return sorted(found, key=lambda one: (one.due, one.sequence))

    async def remove(self, subscription_id: str) -> None:
        """Remove a subscription: its own row first, so that nobody writes another."""
        await self._table.delete_entity(subscription_id, keys.SUBSCRIPTION_ROW)
        rows = self._table.query_entities("PartitionKey eq @partition", parameters={"partition": subscription_id})
        await remove_rows(self._table, [(subscription_id, entity["RowKey"]) async for entity in rows])

    async def read_wake(self) -> PlannedWake:
        """Whether a wake is on its way."""
        try:
            entity = await self._table.get_entity(*keys.WAKE)
        except ResourceNotFoundError:
            return PlannedWake()
        return PlannedWake(entity["token"], entity.get("planned"), entity.metadata["etag"])

    async def write_wake(self, found: PlannedWake, token: str, planned: datetime) -> PlannedWake:
        """Note that a wake is on its way, or, with "" for its token, that none is. Raises Overtaken."""
        partition_key, row_key = keys.WAKE
        entity = {"PartitionKey": partition_key, "RowKey": row_key, "token": token, "planned": planned}
        try:
            if found.etag is None:
                await self._table.create_entity(entity)
                return await self.read_wake()
            result = await self._table.update_entity(entity, mode=UpdateMode.REPLACE, **under(found.etag))
        except HttpResponseError as error:
            if error.status_code in MOVED:
                raise Overtaken from error
            raise
        return PlannedWake(token, planned, result["etag"])


def _entity(subscription: Subscription, progress: Progress) -> dict[str, Any]:
    kept = {name: getattr(progress, name) for name in _OTHERS}
    return {
        "PartitionKey": subscription.id,
        "RowKey": keys.SUBSCRIPTION_ROW,
        "url": subscription.url,
        "event_grid_topic": subscription.event_grid_topic,
        "service_url": subscription.service_url,
        "filter": subscription.filter,
        "events": ",".join(sorted(subscription.events)),
        "settle_seconds": int(subscription.settle.total_seconds()),
        "secret": subscription.secret,
        "max_events_per_batch": subscription.max_events_per_batch,
        "created": subscription.created,
        **{name: int64(getattr(progress, name)) for name in _NUMBERS},
        **{name: value for name, value in kept.items() if value is not None},
    }


def _row(entity: Any) -> SubscriptionRow:
    subscription = Subscription(
        entity["PartitionKey"],
        entity["url"],
        entity["event_grid_topic"],
        entity["service_url"],
        entity["filter"],
        frozenset(map(EventKind, entity["events"].split(","))),
        timedelta(seconds=entity["settle_seconds"]),
        entity["secret"],
        entity["max_events_per_batch"],
        entity["created"],
    )
    numbers = {name: entity[name].value for name in _NUMBERS}
    others = {name: entity[name] for name in _OTHERS if name in entity}
    return SubscriptionRow(subscription, Progress(**numbers, **others), entity.metadata["etag"])


def _settling_key(subscription_id: str, study: StudyKey) -> dict[str, str]:
    return {"PartitionKey": subscription_id, "RowKey": keys.settling_row(study)}


def _settling_entity(subscription_id: str, one: Settling) -> Mapping[str, Any]:
    return {**_settling_key(subscription_id, one.study), "due": one.due, "sequence": int64(one.sequence)}
