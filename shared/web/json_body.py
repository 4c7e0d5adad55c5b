"""JSON that a request brings, read as Microsoft's service reads it.

Comments and commas at the end of a list are allowed, and names are told without regard to case. Pure.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, NoReturn

from shared.errors import BadRequest

MAX_DEPTH: Final = 64

# What never ends extends to the end of the text: each character is looked at once, whatever comes.
_STRING: Final = r'"(?:[^"\\]|\\.?)*+(?:"|\Z)'
_COMMENT: Final = re.compile(rf"({_STRING})|//[^\r\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_LAST_COMMA: Final = re.compile(rf"({_STRING})|,(?=\s*[\]}}])", re.DOTALL)
_BRACKET: Final = re.compile(rf"{_STRING}|([\[{{])|([\]}}])", re.DOTALL)


def read_object(body: bytes, names: Collection[str]) -> Mapping[str, Any]:
    """The members of a JSON object by those of `names` that they have, without those that are null.

    Raises BadRequest for anything else, such as a member of another name.
    """
    return _members(_read(body), names, "The body", has_others=False)


def read_objects(body: bytes, names: Collection[str]) -> list[Mapping[str, Any]]:
    """The members of each object of a JSON array, as `read_object` gives them; members of other names are ignored.

    Raises BadRequest.
    """
    value = _read(body)
    if not isinstance(value, list):
        raise BadRequest("The body must be a JSON array.")
    return [_members(one, names, f"Item [{index}] of the body", has_others=True) for index, one in enumerate(value)]


def _members(value: Any, names: Collection[str], what: str, *, has_others: bool) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest(f"{what} must be a JSON object.")
    known = {name.lower(): name for name in names}
    found: dict[str, Any] = {}
    for given, member in value.items():
        name = known.get(given.lower())
        if name is None and has_others:
            continue
        if name is None:
            raise BadRequest(f"{what} has an unknown member: its members are {', '.join(names)}.")
        if name in found:
            raise BadRequest(f"{what} has the member {name} twice.")
        found[name] = member
    return {name: member for name, member in found.items() if member is not None}


def _read(body: bytes) -> Any:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    for leniency, instead in ((_COMMENT, r"\1 "), (_LAST_COMMA, r"\1")):
        text = leniency.sub(instead, text)
    depth = 0
    for bracket in _BRACKET.finditer(text):
        depth += bool(bracket[1]) - bool(bracket[2])
        if depth > MAX_DEPTH:
            raise BadRequest(f"The body is nested deeper than {MAX_DEPTH}.")
    try:
        value = json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error.msg} in line {error.lineno}.") from None
    except UnicodeEncodeError:
        raise BadRequest("The body has half a surrogate pair, which is no character.") from None
    except ValueError:
        raise BadRequest("The body is not JSON: it has a number that cannot be read, or a name twice.") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name is given twice")
    return dict(pairs)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
