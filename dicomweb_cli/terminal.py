"""What is written to the terminal: results to standard output, everything else to standard error; and Ctrl-C."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

_FILE_WIDTH: Final = 1000  # of lines in a file: no window bounds them

OUT: Final = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _FILE_WIDTH)
ERR: Final = Console(highlight=False, markup=False, stderr=True)


def plain(text: str) -> str:
    """Untrusted text without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def print_members(document: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what a server says of something: each member in a line, or its JSON."""
    if as_json:
        OUT.print(json.dumps(document), soft_wrap=True)
        return
    for name, value in document.items():
        text = value if isinstance(value, str) else json.dumps(value)
        OUT.print(plain(f"{name}: {text}"), soft_wrap=True)


def size_text(count: float) -> str:
    """A number of bytes for people: in the largest decimal unit that it fills."""
    return filesize.decimal(round(count)).replace("kB", "KB")


def sentence(text: str) -> str:
    """The text with one full stop at its end, unless another mark ends it."""
    text = text.strip()
    return text if text.endswith(("?", "!")) else f"{text.rstrip('.')}."


@contextmanager
def progress(title: str, total: int | None, *columns: ProgressColumn) -> Iterator[Callable[[int], None]]:
    """A bar with the time left and these columns, if there is a terminal; yields a setter for how much is done.

    `total` None: nobody knows how much there is to do.
    """
    shown = (TextColumn(title), BarColumn(), *columns, TimeRemainingColumn())
    with Progress(*shown, console=ERR, disable=not ERR.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda completed: bar.update(task, completed=completed)


@contextmanager
def stopping(message: str) -> Iterator[asyncio.Event]:
    """An event that is set at the first Ctrl-C, when `message` is shown; the second one cancels the task."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    stop = asyncio.Event()
    interruptions = 0

    def interrupt() -> None:
        nonlocal interruptions
        interruptions += 1
        stop.set()
        if interruptions == 1:
            ERR.print(message)
        elif task is not None:
            task.cancel()

    before = signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(interrupt))
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
