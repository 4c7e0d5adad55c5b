"""The events that a message is decoded to and encoded from."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

# RFC 5322 2.2: a header's name, and its value when unfolded. Latin-1 keeps every byte as it is: a file name in another
# charset is no reason to refuse an image.
HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_TEXT: Final = re.compile(r"[\t -~\x80-\xff]*")


class Headers(Mapping[str, str]):
    """The headers of a part: immutable, in their order, looked up without regard to case; each name has one value."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        self._fields = {name.lower(): (name, value) for name, value in dict(fields).items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part begins. Nothing is assumed in place of a header that it lacks, not even RFC 2046's text/plain."""

    headers: Headers


@dataclass(frozen=True, slots=True)
class PartData:
    """The next bytes of the part's body; never empty from the decoder. Where they are cut has no meaning."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is complete: the delimiter after it was seen, whatever its Content-Length says."""


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The message is complete: the close delimiter was seen and the input has ended, with nothing wrong after it."""


Event: TypeAlias = PartBegin | PartData | PartEnd | MessageEnd
NeedData = Enum("NeedData", ["NEED_DATA"])
NEED_DATA: Final = NeedData.NEED_DATA
