"""Reads the text of a data set in the DICOM JSON Model (PS3.18 F) in order, holding little of it at a time.

What is short is read as plain values, by one call of the standard library that others cannot interrupt. So it gets no
more than a piece of the text: a data set, an attribute or an item that is longer is read member by member.
"""

import json
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

PIECE_CHARACTERS: Final = 64 * 1024
"""How much text is read by one call, but for a single value that is longer."""

_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


class _Long(Enum):
    """In place of a value longer than a piece."""

    VALUE = "its members are to be read one by one"


@dataclass(frozen=True, slots=True)
class LongAttribute:
    """An attribute longer than a piece. Its values are read once, in order, before the next attribute.

    They are plain values, or, where one is an item longer than a piece, its attributes as a `LongItem`.
    """

    vr: str
    values: Iterator[Any]


@dataclass(frozen=True, slots=True)
class LongItem:
    """An item longer than a piece. Its attributes are read once, in order, before the next item."""

    attributes: Iterator[tuple[str, "Attribute"]]


Attribute = Mapping[str, Any] | LongAttribute
"""An attribute as a plain value, ``{"vr": …, "Value": […]}`` or with a BulkDataURI, or one to be read by its values."""


def read_attributes(pieces: Iterable[bytes]) -> Iterator[tuple[str, Attribute]]:
    """The attributes of a data set, by tag, in the order of its text: a JSON object in UTF-8, without white space.

    `pieces` is that text, cut anywhere. What a caller leaves unread of a long attribute is passed over. Raises
    ValueError where the text is not a data set, or is cut short.
    """
    reader = _Reader(pieces)
    yield from reader.data_set()
    reader.end()


def attributes_of(item: Mapping[str, Any] | LongItem) -> Iterable[tuple[str, Attribute]]:
    """The attributes of an item, by tag, however long it is."""
    return item.attributes if isinstance(item, LongItem) else item.items()


def bulk_data_uris(attributes: Iterable[tuple[str, Attribute]]) -> Iterator[str]:
    """The BulkDataURIs of a data set, those in its items included, in order."""
    for _, attribute in attributes:
        if isinstance(attribute, LongAttribute):
            vr, values = attribute.vr, attribute.values
        else:
            vr, values = attribute["vr"], attribute.get("Value", ())
            if "BulkDataURI" in attribute:
                yield attribute["BulkDataURI"]
        for item in values if vr == "SQ" else ():
            yield from bulk_data_uris(attributes_of(item))


class _Reader:
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._decoder = getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._is_whole = False

    def data_set(self) -> Iterator[tuple[str, Attribute]]:
        """The attributes of the data set that begins here."""
        whole = self._value()
        if isinstance(whole, dict):
            yield from whole.items()
            return
        if whole is not _Long.VALUE:
            raise ValueError("A data set is not an object.")
        self._pass("{")
        separator = ""
        while separator != "}":
            tag = self._name()
            attribute = self._attribute()
            yield tag, attribute
            if isinstance(attribute, LongAttribute):
                for _ in attribute.values:
                    pass
                self._pass("}")
            separator = self._pass(",}")

    def end(self) -> None:
        """Check that the text ends here."""
        self._fill(1)
        if self._at < len(self._text):
            raise ValueError("More follows the data set.")

    def _attribute(self) -> Attribute:
        whole = self._value()
        if isinstance(whole, dict):
            return whole
        if whole is not _Long.VALUE:
            raise ValueError("An attribute is not an object.")
        self._pass("{")
        if self._name() != "vr":
            raise ValueError("A long attribute does not begin with its VR.")
        vr = self._value()
        self._pass(",")
        if self._name() != "Value":
            raise ValueError("A long attribute has no values.")
        return LongAttribute(str(vr), self._values())

    def _values(self) -> Iterator[Any]:
        separator = self._pass("[")
        while separator != "]":
            value = self._value()
            if value is _Long.VALUE:
                item = LongItem(self.data_set())
                yield item
                for _ in item.attributes:
                    pass
            else:
                yield value
            separator = self._pass(",]")

    def _name(self) -> str:
        name = self._value()
        self._pass(":")
        if not isinstance(name, str):
            raise ValueError("A member has no name.")
        return name

    def _value(self) -> Any:
        """The value that begins here; one that is longer than a piece, and has members, stays to be read."""
        wanted = PIECE_CHARACTERS
        while True:
            self._fill(wanted)
            try:
                value, end = _scan(self._text, self._at)
            except (ValueError, StopIteration):
                if self._is_whole:
                    raise ValueError("The text is not JSON, or is cut short.") from None
                if self._text[self._at] in "{[":
                    return _Long.VALUE
            else:
                # A number that ends with the text may go on.
                if end < len(self._text) or self._is_whole:
                    self._at = end
                    return value
            wanted = 2 * (len(self._text) - self._at)

    def _pass(self, expected: str) -> str:
        """The next character, which is passed; one of those `expected`."""
        self._fill(1)
        found = self._text[self._at : self._at + 1]
        if not found or found not in expected:
            raise ValueError("The text is not that of a data set, or is cut short.")
        self._at += 1
        return found

    def _fill(self, wanted: int) -> None:
        """Have so many characters at hand, or all that are left."""
        while len(self._text) - self._at < wanted and not self._is_whole:
            piece = next(self._pieces, None)
            self._is_whole = piece is None
            more = self._decoder.decode(piece or b"", self._is_whole)
            self._text, self._at = self._text[self._at :] + more, 0
