"""What an error was and where, in words fit for a log: without messages that may hold a patient's data."""

import traceback
from collections.abc import Iterator
from typing import Final

from shared.errors import DicomWebError
from shared.settings import SettingsError

_PLACES: Final = 6
_ERRORS: Final = 6
_ROOT: Final = __file__.removesuffix("shared/failures.py")
_SHOWN_PARTS: Final = 4  # of a path, below the app's folder


def described(error: BaseException) -> str:
    """The error's type, what storage said, and the places it passed, innermost first; then the same of its causes.

    One line. Messages are left out, except our own, which hold no values: those of the SDKs name keys and filters, and
    a parser's quotes the value that it could not read.
    """
    return "; from ".join(map(_line, _chain(error)))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_ERRORS):
        if error is None:
            return
        yield error
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        else:
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _line(error: BaseException) -> str:
    if isinstance(error, (DicomWebError, SettingsError)):
        return f"{type(error).__name__}: {error}"
    storage = [str(value) for name in ("status_code", "error_code") if (value := getattr(error, name, None))]
    said = f" ({' '.join(storage)})" if storage else ""
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES:]
    places = [f"{_path(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    return f"{type(error).__name__}{said} at {' < '.join(reversed(places)) or 'an unknown place'}"


def _path(file_name: str) -> str:
    return "/".join(file_name.removeprefix(_ROOT).split("/")[-_SHOWN_PARTS:])
