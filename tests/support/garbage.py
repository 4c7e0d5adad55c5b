"""What is left behind in cycles: only the collector of garbage frees it, some time, and whatever it refers to."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

_SERVICE: Final = tuple(f"{Path(__file__).parents[2]}/{folder}/" for folder in ("functions", "shared"))
_MODULES: Final = ("functions.", "shared.")


@contextmanager
def left_in_cycles() -> Iterator[list[str]]:
    """The names of the service's classes and functions of which an object or a frame is left; filled at the end."""
    names: list[str] = []
    gc.collect()
    gc.freeze()  # what there is already takes long to look at
    gc.disable()
    try:
        yield names
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        names += sorted({name for name in map(_name, gc.garbage) if name})
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


def _name(left: object) -> str | None:
    if isinstance(left, FrameType):
        return left.f_code.co_name if left.f_code.co_filename.startswith(_SERVICE) else None
    return type(left).__qualname__ if type(left).__module__.startswith(_MODULES) else None
