"""What errors leave behind: frames that only the collector of garbage frees, with all that their variables hold."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

_SERVICE: Final = tuple(f"{Path(__file__).parents[2]}/{folder}/" for folder in ("functions", "shared"))


@contextmanager
def frames_in_cycles() -> Iterator[list[str]]:
    """The names of the service's functions whose frames are in a cycle; filled at the end."""
    names: list[str] = []
    gc.collect()
    gc.freeze()  # what there is already takes long to look at
    gc.disable()
    try:
        yield names
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        frames = [one for one in gc.garbage if isinstance(one, FrameType)]
        names += sorted({one.f_code.co_name for one in frames if one.f_code.co_filename.startswith(_SERVICE)})
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()
