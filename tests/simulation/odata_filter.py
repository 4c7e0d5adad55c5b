"""Filters of table queries: OData comparisons of a property with a value, joined by and, or and not."""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from tests.simulation.table_values import BINARY, DATE_TIME, GUID, INT64, Value, parsed_value, plain_value
from tests.support.storage_messages import StorageError

Filter = Callable[[Mapping[str, Value]], bool]

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<paren>[()])|(?P<typed>datetime|guid|binary|X)?'(?P<text>(?:[^']|'')*)'"
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE]-?\d+)?L?)(?![\w.])|(?P<word>[A-Za-z_]\w*))"
)
_COMPARISONS: Final = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
_TYPES: Final = {"datetime": DATE_TIME, "guid": GUID}


def filter_of(text: str) -> Filter:
    """The filter of a text; every row passes an empty one. Raises StorageError."""
    if not text.strip():
        return lambda _: True
    tokens = _Tokens(text)
    found = _either(tokens)
    if tokens.next is not None:
        raise _invalid()
    return found


def _invalid() -> StorageError:
    return StorageError(400, "InvalidInput", "One of the request inputs is not valid.")


class _Tokens:
    """The tokens of a filter, from left to right; `next` is None at the end."""

    def __init__(self, text: str) -> None:
        self._text = text.rstrip()
        self._position = 0
        self.next: re.Match[str] | None = None
        self.take()

    def take(self) -> re.Match[str]:
        """The next token, and go on to the one after it."""
        taken, self.next = self.next, None
        if self._position < len(self._text):
            self.next = _TOKEN.match(self._text, self._position)
            if self.next is None:
                raise _invalid()
            self._position = self.next.end()
        elif taken is None:
            raise _invalid()
        return taken  # type: ignore[return-value] # None only for the first call, whose result nobody uses

    def is_at(self, word: str) -> bool:
        return self.next is not None and word in (self.next["word"], self.next["paren"])


def _either(tokens: _Tokens) -> Filter:
    found = _all(tokens)
    while tokens.is_at("or"):
        tokens.take()
        found = _or(found, _all(tokens))
    return found


def _all(tokens: _Tokens) -> Filter:
    found = _one(tokens)
    while tokens.is_at("and"):
        tokens.take()
        found = _and(found, _one(tokens))
    return found


def _one(tokens: _Tokens) -> Filter:
    if tokens.is_at("not"):
        tokens.take()
        inner = _one(tokens)
        return lambda row: not inner(row)
    if tokens.is_at("("):
        tokens.take()
        found = _either(tokens)
        if not tokens.is_at(")"):
            raise _invalid()
        tokens.take()
        return found
    return _comparison(tokens)


def _comparison(tokens: _Tokens) -> Filter:
    name, word, expected = tokens.take()["word"], tokens.take()["word"], _literal(tokens.take())
    if name is None or word not in _COMPARISONS:
        raise _invalid()
    compare = _COMPARISONS[word]

    def is_met(row: Mapping[str, Value]) -> bool:
        found = row.get(name)
        # A row without the property, or with one of another type, meets no comparison, not even that it differs.
        return found is not None and found.kind == expected.kind and bool(compare(found.content, expected.content))

    return is_met


def _literal(token: re.Match[str]) -> Value:
    if token["text"] is not None:
        text = token["text"].replace("''", "'")
        if token["typed"] in ("X", "binary"):
            return Value(BINARY, bytes.fromhex(text))
        return parsed_value(text, _TYPES[token["typed"]]) if token["typed"] else plain_value(text)
    if token["number"]:
        if token["number"].endswith("L"):
            return parsed_value(token["number"][:-1], INT64)
        return plain_value(float(token["number"]) if set(token["number"]) & set(".eE") else int(token["number"]))
    if token["word"] in ("true", "false"):
        return plain_value(token["word"] == "true")
    raise _invalid()


def _and(one: Filter, other: Filter) -> Filter:
    return lambda row: one(row) and other(row)


def _or(one: Filter, other: Filter) -> Filter:
    return lambda row: one(row) or other(row)
