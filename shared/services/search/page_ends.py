"""Where pages of results have ended, so that the next one goes on there, instead of matching all before it again."""

import hashlib
import time
from dataclasses import dataclass
from typing import Final

from shared.dicom.attributes import Level
from shared.dicom.identifiers import ResourceIdentifiers
from shared.search.query import SearchQuery

_MOST: Final = 1000  # places, of up to half a KiB each
_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a result among all: the `order` of its study, and of a series or instance the `row` key there."""

    order: str
    row: str = ""


class PageEnds:
    """The places of the last results of pages that a process has answered lately; of what was asked, only a digest."""

    def __init__(self) -> None:
        self._places: dict[bytes, tuple[float, Place]] = {}

    def get(self, key: bytes) -> Place | None:
        """The place noted for a key in the last minute; None where there is none, or it had to give way."""
        self._drop()
        return self._places[key][1] if key in self._places else None

    def note(self, key: bytes, place: Place) -> None:
        """Note a place for a key, instead of the one before."""
        self._places.pop(key, None)
        self._places[key] = time.monotonic(), place
        self._drop()

    def _drop(self) -> None:
        """Drop places that are too old, and the oldest where there are too many."""
        too_old = time.monotonic() - _SECONDS
        while self._places:
            oldest, (noted, _) = next(iter(self._places.items()))
            if noted >= too_old and len(self._places) <= _MOST:
                return
            del self._places[oldest]


def key_of_page(
    partition: str, scope: ResourceIdentifiers | None, query: SearchQuery, offset: int, caller: str
) -> bytes:
    """The same for all pages that begin at an offset of what a caller's query finds, whatever they return of it."""
    matched = [sorted(query.requirements[level].items(), key=lambda one: one[0]) for level in Level]
    asked = (partition, scope, query.level, matched, sorted(query.moments.items()), offset, caller)
    return hashlib.sha256(repr(asked).encode(errors="surrogatepass")).digest()
