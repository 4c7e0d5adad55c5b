"""Clocks and randomness as the code under test sees them: those of the run, and each process' own clock.

Modules of `shared` that read the time have `datetime` or `monotonic` by name; the rest is looked up in its module.
"""

import datetime as datetimes
import random
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from azure.storage.blob._shared import policies_async as blob_policies
from azure.storage.queue._shared import policies_async as queue_policies

START: Final = datetimes.datetime(2030, 1, 1, tzinfo=datetimes.UTC)


class _LikeDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetimes.datetime)


@contextmanager
def simulated(now: Callable[[], datetimes.datetime], monotonic: Callable[[], float], chance: Random) -> Iterator[None]:
    """Have all modules of `shared` read these clocks, and take what they call random from `chance`."""

    class VirtualDatetime(datetimes.datetime, metaclass=_LikeDatetime):
        @classmethod
        def now(cls, tz: datetimes.tzinfo | None = None) -> datetimes.datetime:  # type: ignore[override]
            return now().astimezone(tz)

    replaced: dict[str, tuple[object, Any]] = {
        "datetime": (datetimes.datetime, VirtualDatetime),
        "monotonic": (time.monotonic, monotonic),
    }
    state = random.getstate()
    patches = [
        patch.object(module, name, new)
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("shared.")
        for name, (old, new) in replaced.items()
        if vars(module).get(name) is old
    ]
    patches += [
        patch.object(secrets, "token_hex", lambda count: chance.randbytes(count).hex()),
        # The retries of blobs and queues are spread by generators of their own.
        *(
            patch.object(policies, "random", SimpleNamespace(Random=lambda: chance))
            for policies in (blob_policies, queue_policies)
        ),
    ]
    for one in patches:
        one.start()
    random.seed(chance.random())
    try:
        yield
    finally:
        random.setstate(state)
        for one in patches:
            one.stop()
