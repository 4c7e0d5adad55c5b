"""Which histories of answers are explained, and which are not."""

from math import inf

import pytest

from tests.simulation.history import Delete, Event, Read, Store, Told, half_done, unexplained
from tests.support.archive_model import Attributes, Instance

_ONE, _OTHER = (Instance("1", "1.1", "1.1.1", Attributes("P", name, "", "CT"), name.encode()) for name in "AB")
_NEXT = Instance("1", "1.1", "1.1.2", Attributes("P", "A", "", "CT"), b"A")


def stored(began: float, ended: float, told: Told = Told.DONE, instance: Instance = _ONE) -> Store:
    return Store(instance, began, ended, told)


def deleted(began: float, ended: float, told: Told = Told.DONE, *, levels: int = 1) -> Delete:
    return Delete(_ONE.uids[:levels], began, ended, told)


def read(began: float, ended: float, *, is_there: bool = True, seen: Instance | None = None) -> Read:
    return Read(_ONE.uids, began, ended, is_there, seen)


@pytest.mark.parametrize(
    "events",
    [
        [stored(1, 2), read(3, 4, seen=_ONE)],
        [stored(1, 5), read(2, 3, is_there=False)],  # before it takes effect
        [stored(1, 5), stored(1, 5, Told.DIFFERENT, _OTHER), read(6, 7, seen=_ONE)],
        [stored(1, 2), stored(3, 4, Told.IDENTICAL), deleted(5, 6), read(7, 8, is_there=False)],
        [stored(1, 2), deleted(3, 9, levels=3), stored(4, 5), read(10, 11)],  # stored in the meantime
        [stored(1, 2, Told.NOTHING), read(3, 4, is_there=False), read(900, 901)],  # takes effect late
        [stored(1, 2, Told.NOTHING), read(900, 901, is_there=False)],  # or never
        [stored(1, 2), deleted(3, 4, Told.NOTHING), read(5, 6), read(900, 901, is_there=False)],
        [stored(1, 2), deleted(3, 4, Told.NOTHING), deleted(5, 6, Told.NOT_FOUND)],
        [stored(1, 2, Told.REFUSED), read(3, 4, is_there=False)],
    ],
)
def test_a_history_that_has_an_order_is_explained(events: list[Event]) -> None:
    assert unexplained(events) == []


@pytest.mark.parametrize(
    "events",
    [
        [stored(1, 2), read(3, 4, is_there=False)],
        [stored(1, 2), read(3, 4, seen=_OTHER)],
        [stored(1, 2), stored(3, 4)],  # twice
        [stored(1, 2), read(3, 4), read(5, 6, is_there=False)],
        [stored(1, 2, Told.REFUSED), read(3, 4)],
        [stored(1, 2, Told.IDENTICAL), read(3, 4)],  # identical with nothing
        [stored(1, 2), stored(3, 4, Told.DIFFERENT)],
        [stored(1, 2), deleted(3, 4), read(5, 6)],
        [stored(1, 2), deleted(3, 4, Told.NOT_FOUND)],
        [stored(5, 6), read(1, 2)],  # seen before it was sent
        [stored(1, 2), deleted(3, 4, Told.NOTHING), read(5, 6, is_there=False), read(7, 8)],  # it comes back
        # A delete without an answer spares what was stored long after.
        [deleted(1, 2, Told.NOTHING), stored(100, 101), read(900, 901, is_there=False)],
    ],
)
def test_a_history_that_has_none_is_told(events: list[Event]) -> None:
    (told,) = unexplained(events)
    assert str(_ONE.uids) in told


def test_half_of_a_store_is_told_where_nobody_else_touched_it() -> None:
    request = [stored(1, 2, Told.NOTHING), stored(1, 2, Told.NOTHING, _NEXT)]
    half, all_of_it = frozenset({_ONE.uids}), frozenset({_ONE.uids, _NEXT.uids})
    assert len(half_done([request], request, half)) == 1
    assert half_done([request], request, all_of_it) == []
    assert half_done([request], request, frozenset()) == []
    assert half_done([request], [*request, deleted(3, inf, Told.NOTHING, levels=3)], half) == []
