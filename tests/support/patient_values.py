"""Patients' values that tests store or search, and whether any of them appears in a log."""

import logging
from pathlib import Path
from urllib.parse import quote

from shared.dicom.identifiers import is_uid

_SHORTEST = 6

_values: set[str] = set()


def remember(*values: object) -> None:
    """Note the patients' names and IDs that a test is about to use.

    Not short ones, which could be in a log by chance, nor numbers, which could be in a UID.
    """
    parts = (part for value in values for part in (str(value), *str(value).split("=")))
    _values.update(part.lower() for part in parts if len(part) >= _SHORTEST and not is_uid(part))


def found_in(text: str) -> list[str]:
    """The values that appear in a text, as they are or as in a URL."""
    lowered = text.lower()
    return sorted(value for value in _values if value in lowered or quote(value).lower() in lowered)


def check_file(log: Path) -> None:
    """Fail if a value appears in what a server has printed."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if found_in(line)]
    assert not lines, f"The log holds {found_in(lines[0])}: {lines[0][:500]}"


class Watch(logging.Handler):
    """Keeps the log records of this process that hold such a value, with their tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if found_in(text):
            self.leaks.append(text)
