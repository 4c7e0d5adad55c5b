"""Rendering holds no more copies of a frame than what answers reserve, whatever the frame is and is drawn as."""

import re
import subprocess
import sys

import pytest

from local.azurite import ROOT
from tests.support.measured_server import MIB, needs_proc
from tests.support.rendered_memory import CASES

pytestmark = [needs_proc, pytest.mark.long]

FIXED_BYTES = 12 * MIB  # blocks of rows, tables, and what an encoder takes for itself


@pytest.mark.parametrize("name", CASES)
def test_peak_of_rendering(name: str) -> None:
    """In a process of its own, where what is freed goes back at once."""
    done = subprocess.run(  # noqa: S603 -- our own arguments
        [sys.executable, "-m", "tests.support.rendered_memory", name],
        cwd=ROOT,
        env={"MALLOC_MMAP_THRESHOLD_": "65536", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    peak_bytes, reserved_bytes = map(int, re.findall(r"\d+", done.stdout))
    assert reserved_bytes > 3 * FIXED_BYTES
    assert peak_bytes < reserved_bytes + FIXED_BYTES
