"""What a run of a unit has found, as rows: whatever it is, they fit a batch of the table."""

import random
from typing import Any

import pytest

from shared.archive.operation import Results, Unit
from shared.storage.operation_rows import ROW_ITEMS, items_of_row, result_entities

UNIT = Unit("0" * 32, 1, generation=0, cursor=None, work=None, step=0)
MIB = 1024**2


def instance(chance: random.Random) -> str:
    """A path of an instance, as long as UIDs may be."""
    study, series, sop = (f"2.25.{chance.randrange(10**58, 10**59)}" for _ in range(3))
    return f"{study}/{series}/{sop}_{chance.getrandbits(128):032x}.dcm"


def foreign(chance: random.Random) -> str:
    """A blob's name, as long as it may be, in another script."""
    return "".join(chr(chance.randrange(0x4E00, 0x9FFF)) for _ in range(1024))


def bytes_of(row: dict[str, Any]) -> int:
    return sum(len(value) for name, value in row.items() if name.startswith("items"))


@pytest.mark.parametrize(("name", "least"), [(instance, 15_000), (foreign, 1000)])
def test_as_many_items_are_kept_as_fit_a_batch(name: Any, least: int) -> None:
    chance = random.Random(7)
    items = [{"concerns": name(chance), "sentence": "It is missing."} for _ in range(25_000 if least > 1000 else 3000)]
    counts, *rows = result_entities(UNIT, Results({"differenceCount": len(items)}, items))
    assert counts["RowKey"] == "result:00000001:00000000"
    assert len(rows) <= 98
    assert max(map(bytes_of, rows)) < 0.7 * MIB
    assert sum(map(bytes_of, rows)) * 4 / 3 < 3.5 * MIB
    kept = [item for row in rows for item in items_of_row(row)]
    assert least <= len(kept) < len(items)
    assert kept == items[: len(kept)]
    assert [row["RowKey"].rpartition(":")[2] for row in rows] == [
        f"{start:08x}" for start in range(0, len(kept), ROW_ITEMS)
    ]
