"""What of Python's own work holds the event loop: threads that keep its lock, and the collector of garbage."""

import gc
import sys
from typing import Final

_SWITCH_SECONDS: Final = 0.001  # a fifth of the default: the loop waits so long for each thread that is at work

_warm: set[str] = set()


def yield_soon() -> None:
    """Have threads hand over the interpreter's lock sooner, so that those that work hold up the loop less."""
    sys.setswitchinterval(_SWITCH_SECONDS)


def leave_out_what_is_loaded(function: str) -> None:
    """Once for each function, when it has answered, and so imported what it needs: collect none of the objects of now.

    A full collection looks at every object, and holds the loop meanwhile; nearly all are the libraries', and stay. What
    else there is at this moment stays, too, if it is a cycle: that is little, and there are few functions.
    """
    if function not in _warm:
        _warm.add(function)
        gc.freeze()
