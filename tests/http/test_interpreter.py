"""What loaded libraries and working threads cost the event loop."""

import gc
import sys
from uuid import uuid4

from functions.edge import app
from functions.edge.interpreter import leave_out_what_is_loaded


def test_what_is_loaded_is_left_out_of_collections_once_for_each_function() -> None:
    function, kept = uuid4().hex, [[] for _ in range(10_000)]  # type: ignore[var-annotated]
    try:
        leave_out_what_is_loaded(function)
        frozen = gc.get_freeze_count()
        assert frozen > len(kept)
        later = [[] for _ in range(10_000)]  # type: ignore[var-annotated]
        leave_out_what_is_loaded(function)
        assert gc.get_freeze_count() < frozen + len(later)
    finally:
        gc.unfreeze()


def test_threads_hand_over_sooner_in_a_process_that_serves() -> None:
    before, made = sys.getswitchinterval(), app.of_process
    try:
        app.of_process = None
        app.app_of_process()
        assert sys.getswitchinterval() < before or before < 0.005
    finally:
        app.of_process = made
        sys.setswitchinterval(before)
