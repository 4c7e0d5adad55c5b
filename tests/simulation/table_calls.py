"""Random calls of the table service, as the SDK makes them, for two storages to answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from azure.core import MatchConditions
from azure.data.tables import EdmType, EntityProperty, UpdateMode

from tests.simulation.both_storages import Call, Side

_PARTITIONS: Final = ("a", "b", "it's")
_ROWS: Final = ("1", "10", "2", "x:y", "é", "=n:9")
_TIME: Final = datetime(2030, 1, 2, 3, 4, 5, 600, tzinfo=UTC)
_VALUES: Final[Mapping[str, tuple[Any, ...]]] = {
    "text": ("", "abc", "it's", "ü"),
    "number": (-1, 0, 7),
    "long": (EntityProperty(2**40, EdmType.INT64), EntityProperty(5, EdmType.INT64)),
    "is_so": (True, False),
    "time": (_TIME, _TIME + timedelta(days=1)),
    "data": (b"", b"\x00\x01", b"zz"),
}
_LITERALS: Final[Mapping[str, tuple[str, ...]]] = {
    "PartitionKey": ("'a'", "'b'", "'it''s'"),
    "RowKey": ("'1'", "'10'", "'2'", "'x:y'", "'é'", "'=n:9'"),
    "text": ("''", "'abc'", "'it''s'", "'ü'"),
    "number": ("-1", "0", "7"),
    "long": ("1099511627776L", "8589934592L"),
    "half": ("0.5", "-2.25"),  # which no row holds
    "is_so": ("true", "false"),
    "time": ("datetime'2030-01-02T03:04:05.000600Z'", "datetime'2030-01-03T03:04:05.000600Z'"),
    "id": (f"guid'{UUID(int=1)}'",),
    "data": ("X''", "X'0001'", "X'7a7a'"),
}


@dataclass(frozen=True)
class Described:
    """A call, and what it is in words."""

    what: str
    make: Call


def table_call(chance: Random) -> Described:
    """A call of any kind."""
    kind = chance.choices([_insert, _upsert, _update, _delete, _get, _query, _batch], [4, 4, 4, 2, 3, 4, 4])[0]
    return kind(chance)


def _keys(chance: Random) -> dict[str, str]:
    return {"PartitionKey": chance.choice(_PARTITIONS), "RowKey": chance.choice(_ROWS)}


def _entity(chance: Random) -> dict[str, Any]:
    names = chance.sample(sorted(_VALUES), chance.randint(0, 4))
    return {**_keys(chance), **{name: chance.choice(_VALUES[name]) for name in names}}


def _condition(chance: Random) -> int | None:
    """Which of the ETags that a row has had is to match: the latest, an older one, or none."""
    return chance.choice((None, -1, -1, 0))


def _options(side: Side, entity: Mapping[str, Any], which: int | None) -> dict[str, Any]:
    known = side.etags.get(_name(entity))
    if which is None or not known:
        return {}
    return {"etag": known[which], "match_condition": MatchConditions.IfNotModified}


def _name(entity: Mapping[str, Any]) -> str:
    return f"{entity['PartitionKey']} {entity['RowKey']}"


def _noted(side: Side, entity: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    return side.note(_name(entity), str(metadata["etag"]))


def _insert(chance: Random) -> Described:
    entity = _entity(chance)

    async def make(side: Side) -> Any:
        return _noted(side, entity, await side.table.create_entity(entity))

    return Described(f"insert {entity}", make)


def _upsert(chance: Random) -> Described:
    entity, mode = _entity(chance), chance.choice(list(UpdateMode))

    async def make(side: Side) -> Any:
        return _noted(side, entity, await side.table.upsert_entity(entity, mode=mode))

    return Described(f"upsert {mode} {entity}", make)


def _update(chance: Random) -> Described:
    entity, mode, which = _entity(chance), chance.choice(list(UpdateMode)), _condition(chance)

    async def make(side: Side) -> Any:
        options = _options(side, entity, which)
        return _noted(side, entity, await side.table.update_entity(entity, mode=mode, **options))

    return Described(f"update {mode} {entity} if {which}", make)


def _delete(chance: Random) -> Described:
    entity, which = _keys(chance), _condition(chance)

    async def make(side: Side) -> Any:
        return await side.table.delete_entity(entity, **_options(side, entity, which))

    return Described(f"delete {entity} if {which}", make)


def _selected(chance: Random) -> list[str] | None:
    return chance.sample(["PartitionKey", "RowKey", *_VALUES, "nothing"], 3) if chance.random() < 0.4 else None


def _shown(side: Side, entity: Any) -> Any:
    """An entity as its reader sees it."""
    known = [etag for etags in side.etags.values() for etag in etags]
    return sorted((name, repr(value)) for name, value in entity.items()), str(entity.metadata["etag"]) in known


def _get(chance: Random) -> Described:
    keys, selected = _keys(chance), _selected(chance)

    async def make(side: Side) -> Any:
        found = await side.table.get_entity(keys["PartitionKey"], keys["RowKey"], select=selected)
        return _shown(side, found)

    return Described(f"get {keys} {selected}", make)


def _comparison(chance: Random) -> str:
    name = chance.choice([*_LITERALS])
    return f"{name} {chance.choice(('eq', 'ne', 'lt', 'le', 'gt', 'ge'))} {chance.choice(_LITERALS[name])}"


def _query(chance: Random) -> Described:
    comparisons = [_comparison(chance) for _ in range(chance.randint(1, 3))]
    text = comparisons[0]
    for other in comparisons[1:]:
        text += f" {chance.choice(('and', 'or'))} {chance.choice(('', '', 'not '))}{other}"
    page, selected, is_filtered = chance.choice((None, 1, 2, 3)), _selected(chance), chance.random() < 0.8

    async def make(side: Side) -> Any:
        options: dict[str, Any] = {"results_per_page": page, "select": selected}
        found = side.table.query_entities(text, **options) if is_filtered else side.table.list_entities(**options)
        return [[_shown(side, entity) async for entity in one] async for one in found.by_page()]

    asked = f"query {text}" if is_filtered else "list"
    return Described(f"{asked} {page} {selected}", make)


def _batch(chance: Random) -> Described:
    partition = chance.choice(_PARTITIONS)
    entities = [{**_entity(chance), "PartitionKey": partition} for _ in range(chance.randint(1, 4))]
    if chance.random() < 0.9:  # else a row may be in it twice
        entities = list({entity["RowKey"]: entity for entity in entities}.values())
    kinds = [chance.choice(("create", "upsert", "update", "delete")) for _ in entities]
    conditions, modes = [_condition(chance) for _ in entities], [chance.choice(list(UpdateMode)) for _ in entities]

    def operations(side: Side) -> list[Any]:
        made: list[Any] = []
        for kind, entity, which, mode in zip(kinds, entities, conditions, modes, strict=True):
            options = _options(side, entity, which) if kind in ("update", "delete") else {}
            made.append((kind, entity, options | ({"mode": mode} if kind in ("upsert", "update") else {})))
        return made

    async def make(side: Side) -> Any:
        answers = await side.table.submit_transaction(operations(side))
        return [
            _noted(side, entity, one) if one.get("etag") else None
            for entity, one in zip(entities, answers, strict=True)
        ]

    return Described(f"batch {list(zip(kinds, entities, conditions, strict=True))}", make)


def _inserting(**properties: Any) -> Call:
    entity = {"PartitionKey": "a", "RowKey": "1", **properties}

    async def make(side: Side) -> Any:
        await side.table.upsert_entity(entity)
        found = await side.table.get_entity(entity["PartitionKey"], entity["RowKey"])
        return len(found)

    return make


def _batching(count: int, size: int = 0) -> Call:
    async def make(side: Side) -> Any:
        data = "x" * size
        rows = [{"PartitionKey": "a", "RowKey": f"{number:04}", "x": data, "y": data} for number in range(count)]
        return len(await side.table.submit_transaction([("create", row) for row in rows]))

    return make


LIMITS: Final[Mapping[str, Call]] = {
    "the longest text": _inserting(text="x" * 32 * 1024),
    "a longer text": _inserting(text="x" * (32 * 1024 + 1)),
    "the most bytes": _inserting(data=bytes(64 * 1024)),
    "more bytes": _inserting(data=bytes(64 * 1024 + 1)),
    "a large row": _inserting(**{f"data{number}": bytes(64 * 1024) for number in range(10)}),
    "a row that is too large": _inserting(**{f"data{number}": bytes(64 * 1024) for number in range(17)}),
    "the most properties": _inserting(**{f"n{number}": number for number in range(252)}),
    "more properties": _inserting(**{f"n{number}": number for number in range(253)}),
    "the longest key": _inserting(RowKey="k" * 512),
    "a longer key": _inserting(RowKey="k" * 513),
    "a slash in a key": _inserting(RowKey="a/b"),
    "a control character in a key": _inserting(RowKey="a\x01b"),
    "the most rows of a batch": _batching(100),
    "more rows of a batch": _batching(101),
    "a batch that is too large": _batching(80, 30_000),
}

DIFFERENCES: Final[Mapping[str, tuple[Any, str]]] = {
    "more properties": (("HttpResponseError", 400, "TooManyProperties", None), "Azurite does not count properties"),
    "a longer key": (("HttpResponseError", 400, "KeyValueTooLarge", None), "Azurite has another code"),
    "a slash in a key": (("HttpResponseError", 400, "OutOfRangeInput", None), "Azurite answers 500"),
    "a control character in a key": (("HttpResponseError", 400, "OutOfRangeInput", None), "Azurite has another code"),
    "more rows of a batch": (
        ("TableTransactionError", 400, "InvalidInput", 100),
        "Azurite's answer is no message that the SDK can read",
    ),
}
"""What Azure answers where Azurite does not, and in what they differ.

Others are left out of the random calls: Azurite ends a listing before a table partition whose key is empty; takes a
blob that is only staged for one, where it is overwritten, deleted or leased; keeps staged blocks when a blob is put;
answers 412 for 404 where a blob that does not exist is read with a condition; and knows ranges that begin where a blob
ends.
"""
