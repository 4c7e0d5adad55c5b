"""The file that says up to where a change feed has been written out."""

import json
import os
from pathlib import Path

from dicomweb_cli.connection import CannotGoOn
from dicomweb_cli.service_url import without_version


class FeedCursor:
    """A position in the feed of the service at a URL, kept in a file. Only one run may use a file at a time.

    `position` is the last one saved; None where there is no file yet.
    """

    def __init__(self, path: Path, url: str) -> None:
        """Read the file. Raises CannotGoOn where it is none of these, or of another service."""
        self._path = path
        self._url = url
        self._content = self._read()
        self.position = None if self._content is None else self._position(self._content)

    def save(self, position: int) -> None:
        """Replace the file, whole or not at all. Raises CannotGoOn where it cannot, or another run has."""
        if position == self.position:
            return
        if self._read() != self._content:
            raise CannotGoOn(f"{self._path} was changed by another run: give each run a cursor of its own.")
        content = (json.dumps({"url": self._url, "after": position}) + "\n").encode()
        part = Path(f"{self._path}.part")
        try:
            part.write_bytes(content)
            os.replace(part, self._path)
        except OSError as error:
            raise CannotGoOn(f"{self._path} cannot be written: {error.strerror}") from None
        self._content, self.position = content, position

    def _read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CannotGoOn(f"{self._path} cannot be read: {error.strerror}") from None

    def _position(self, content: bytes) -> int:
        try:
            saved = json.loads(content)
            url, position = saved["url"], saved["after"]
        except (ValueError, TypeError, KeyError, RecursionError):
            url = position = None
        if not isinstance(url, str) or type(position) is not int or position < 0:
            raise CannotGoOn(f"{self._path} is not a cursor of a change feed: name another file.")
        if without_version(url) != without_version(self._url):
            raise CannotGoOn(f"{self._path} is the cursor of {url}, not of {self._url}: name another file.")
        return position
