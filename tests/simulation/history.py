"""What clients asked and were told, and whether an archive can have answered so.

Each instance is a register: a store fills it where it is empty, a delete empties it, a read shows it. A history of
answers is explained by an order of its requests in which each takes effect at one moment between its beginning and its
end, and every answer is right at that moment. A request without an answer may take effect at any time, or never.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tests.support.archive_model import Instance, Uids

CLOCKS_DIFFER_SECONDS: Final = 10.0


class Told(Enum):
    """What a client was told of an instance that it stored, or of a resource that it deleted."""

    DONE = "done"
    IDENTICAL = "stored already, with identical content"
    DIFFERENT = "stored already, with different content"
    NOT_FOUND = "no such resource"
    REFUSED = "not done, and will not be"
    NOTHING = "nothing that says whether it was done"


@dataclass(frozen=True, slots=True)
class Store:
    """An instance of a store."""

    instance: Instance
    began: float
    ended: float
    told: Told


@dataclass(frozen=True, slots=True)
class Delete:
    """A delete of a study, a series or an instance: its UIDs down to its level."""

    uids: tuple[str, ...]
    began: float
    ended: float
    told: Told


@dataclass(frozen=True, slots=True)
class Read:
    """An instance as a search or a retrieve found it, or not; `seen` is its content, where it was retrieved."""

    uids: Uids
    began: float
    ended: float
    is_there: bool
    seen: Instance | None = None


Event = Store | Delete | Read


def unexplained(events: Sequence[Event]) -> list[str]:
    """The histories of instances that no order of requests explains, each in words."""
    instances = {event.instance.uids for event in events if isinstance(event, Store)}
    return [
        "\n".join([f"Nothing explains what was told of the instance {uids}:", *map(str, of_instance)])
        for uids in sorted(instances)
        if not _is_explained(of_instance := [event for event in events if _concerns(event, uids)])
    ]


def _concerns(event: Event, uids: Uids) -> bool:
    if isinstance(event, Store):
        return event.instance.uids == uids
    return event.uids == uids[: len(event.uids)]


def _is_explained(events: Sequence[Event]) -> bool:
    """Search for an order, depth first. What is in the register is the number of the store that filled it, or None."""
    certain = frozenset(number for number, event in enumerate(events) if _is_certain(event))
    possible = frozenset(
        number
        for number, event in enumerate(events)
        if number not in certain and not (isinstance(event, Store | Delete) and event.told is Told.REFUSED)
    )
    seen = set()
    waiting: list[tuple[frozenset[int], int | None]] = [(certain | possible, None)]
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        left, filled_by = state
        if not left & certain:
            return True
        latest = min(events[number].ended for number in left & certain)
        for number in left:
            if events[number].began <= latest:
                waiting += _after(events, number, left, filled_by)
    return False


def _after(
    events: Sequence[Event], number: int, left: frozenset[int], filled_by: int | None
) -> Iterator[tuple[frozenset[int], int | None]]:
    """The states to which one request leads at this moment; none where its answer would be wrong."""
    event = events[number]
    content = _content(events, filled_by)
    rest = left - {number}
    match event:
        case Read(is_there=is_there, seen=seen):
            if is_there == (content is not None) and seen in (None, content):
                yield rest, filled_by
        case Store(told=Told.IDENTICAL, instance=instance):
            if content == instance:
                yield rest, filled_by
        case Store(told=Told.DIFFERENT, instance=instance):
            if content not in (None, instance):
                yield rest, filled_by
        case Store():
            if content is None:
                yield rest, number
        case Delete(told=Told.DONE):
            yield rest, None
        case Delete(told=Told.NOT_FOUND):
            if content is None:
                yield rest, None
        case Delete(ended=ended):
            # It is finished by maintenance, perhaps hours later, but spares what was stored after it began.
            if filled_by is not None and events[filled_by].began <= ended + CLOCKS_DIFFER_SECONDS:
                yield left, None


def _content(events: Sequence[Event], filled_by: int | None) -> Instance | None:
    event = events[filled_by] if filled_by is not None else None
    return event.instance if isinstance(event, Store) else None


def _is_certain(event: Event) -> bool:
    return isinstance(event, Read) or event.told not in (Told.NOTHING, Told.REFUSED)


def half_done(stores: Sequence[Sequence[Store]], events: Sequence[Event], present: frozenset[Uids]) -> list[str]:
    """The stores without an answer of which only some instances are there, where nobody else has touched any."""
    found = []
    for request in stores:
        others = [event for event in events if event not in request and not isinstance(event, Read)]
        if any(_concerns(event, store.instance.uids) for event in others for store in request):
            continue
        there = {store.instance.uids in present for store in request}
        if len(there) > 1:
            found.append(f"Half of a store is there: {request}")
    return found
