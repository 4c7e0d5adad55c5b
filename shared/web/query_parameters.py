"""The parameters of a query string that has few of them, each once. Names are told without regard to case. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from shared.errors import BadRequest

_REPRESENTATION: Final = ("accept", "charset")  # PS3.18 8.3.3: parameters of any request


def parameters_of(query_string: str, names: Sequence[str]) -> dict[str, str]:
    """The parameters by the names that are given here. Raises BadRequest for others, and for one that comes twice."""
    known = {name.lower(): name for name in names}
    found: dict[str, str] = {}
    try:
        decoded = parse_qsl(query_string, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("The query string is not UTF-8, percent-encoded.") from None
    for given, value in decoded:
        if given.lower() in _REPRESENTATION:
            continue
        name = known.get(given.lower())
        if name is None:
            raise BadRequest(f"Unknown parameter: the parameters are {', '.join(names)}.")
        if name in found:
            raise BadRequest(f"The parameter {name} is given twice.")
        found[name] = value
    return found


def number_of(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A parameter that is a whole number. Raises BadRequest, which names it and what it may be."""
    text = given.get(name, str(default))
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not least <= number <= most:
        raise BadRequest(f"The parameter {name} must be a whole number from {least} to {most}.")
    return number
