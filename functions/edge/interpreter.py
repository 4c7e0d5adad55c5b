"""What Python does by itself: its lock and its collector, which hold the event loop, and the memory it keeps."""

import ctypes
import gc
import sys
from typing import Final

_SWITCH_SECONDS: Final = 0.001  # a fifth of the default: the loop waits so long for each thread that is at work
_M_ARENA_MAX: Final = -8  # mallopt(3)
_ARENAS: Final = 2

_warm: set[str] = set()


def yield_soon() -> None:
    """Have threads hand over the interpreter's lock sooner, so that those that work hold up the loop less."""
    sys.setswitchinterval(_SWITCH_SECONDS)


def share_arenas() -> None:
    """Have all threads take memory from a few arenas: what one of them frees is another's next, where glibc allocates.

    Its default is eight for each core, each of which keeps the most that the threads using it have held at once.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def leave_out_what_is_loaded(function: str) -> None:
    """Once for each function, when it has answered, and so imported what it needs: collect none of the objects of now.

    A full collection looks at every object, and holds the loop meanwhile; nearly all are the libraries', and stay. What
    else there is at this moment stays, too, if it is a cycle: that is little, and there are few functions.
    """
    if function not in _warm:
        _warm.add(function)
        gc.freeze()
