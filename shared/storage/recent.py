"""What a process has read lately, within a bound: what was not asked for the longest goes first. Pure."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """At most `max_entries` values that take at most `max_bytes` together.

    A value may be out of date: storage says whether it still holds.
    """

    def __init__(self, max_bytes: int, max_entries: int) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._held_bytes = 0

    def get(self, key: Key) -> Value | None:
        """What was last put there; None where that is not known any more."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: Key, value: Value, size_bytes: int) -> None:
        """Keep a value that takes `size_bytes` in place of the one before, unless it is over the bound by itself."""
        self.forget(key)
        if size_bytes > self._max_bytes:
            return
        self._entries[key] = value, size_bytes
        self._held_bytes += size_bytes
        while self._held_bytes > self._max_bytes or len(self._entries) > self._max_entries:
            self.forget(next(iter(self._entries)))

    def forget(self, key: Key) -> None:
        """Keep nothing there."""
        if key in self._entries:
            self._held_bytes -= self._entries.pop(key)[1]
