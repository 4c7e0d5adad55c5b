"""What a request says of extended query tags: those to add, one in a path, which to list. Pure.

What a body gets wrong is said in the words of Microsoft's service, which clients compare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from shared.dicom.attributes import Level
from shared.errors import BadRequest
from shared.web.json_body import read_object, read_objects
from shared.web.query_parameters import number_of, parameters_of

MAX_BODY_BYTES: Final = 256 * 1024
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 200
MAX_OFFSET: Final = 2**31 - 1
PRIVATE_CREATOR: Final = "privateCreator"

LEVELS: Final[Mapping[str, Level]] = {level.word.capitalize(): level for level in reversed(Level)}
QUERY_STATUSES: Final = ("Disabled", "Enabled")

_MEMBERS: Final = ("path", "vr", "privateCreator", "level")
_MAX_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class TagRequest:
    """A tag that is asked for: the attribute by name, and "" where no VR or private creator is given."""

    path: str
    vr: str
    private_creator: str
    level: Level


@dataclass(frozen=True, slots=True)
class TagPage:
    """Which part of a list is asked for: at most `limit`, after the first `offset`."""

    limit: int
    offset: int


def parse_tags(body: bytes) -> list[TagRequest]:
    """Parse the JSON of a request that adds tags. Raises BadRequest, which names the field."""
    given = read_objects(body, _MEMBERS)
    if not given:
        raise BadRequest("The extended query tags are missing: the body must be an array of at least one.")
    return [_tag(one, f"[{index}]") for index, one in enumerate(given)]


def parse_query_status(body: bytes) -> str:
    """Parse the JSON of a request that lets searches use a tag, or not: a word of QUERY_STATUSES. Raises BadRequest."""
    given = read_object(body, ("queryStatus",))
    return _word(given, "queryStatus", "QueryStatus", "", QUERY_STATUSES)


def parse_private_creator(query_string: str) -> str | None:
    """The private creator that a query names to tell tags of a path apart; None: it names none. Raises BadRequest."""
    return _private_creator(parameters_of(query_string, (PRIVATE_CREATOR,)))


def parse_page(query_string: str) -> TagPage:
    """Parse the query of a request for tags. Raises BadRequest."""
    return _page(parameters_of(query_string, ("limit", "offset")))


def parse_errors(query_string: str) -> tuple[str | None, TagPage]:
    """Parse the query of a request for a tag's errors: as `parse_private_creator`, and `parse_page`."""
    given = parameters_of(query_string, (PRIVATE_CREATOR, "limit", "offset"))
    return _private_creator(given), _page(given)


def tag_url(service_url: str, path: Sequence[str], private_creator: str) -> str:
    """The URL of a tag; it names the private creator, since there may be several with the path."""
    url = f"{service_url}/extendedquerytags/{'.'.join(path)}"
    return f"{url}?{urlencode({PRIVATE_CREATOR: private_creator})}" if private_creator else url


def errors_url(service_url: str, path: Sequence[str], private_creator: str) -> str:
    """The URL of a tag's errors."""
    url, mark, query = tag_url(service_url, path, private_creator).partition("?")
    return f"{url}/errors{mark}{query}"


def _tag(given: Mapping[str, Any], item: str) -> TagRequest:
    path = _text(given, "path", f"{item}.Path")
    level = LEVELS[_word(given, "level", "Level", item, list(LEVELS))]
    if not path:
        raise _missing("Path", item)
    return TagRequest(
        path,
        _text(given, "vr", f"{item}.VR").upper(),
        _text(given, "privateCreator", f"{item}.PrivateCreator"),
        level,
    )


def _text(given: Mapping[str, Any], name: str, field: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise BadRequest(f"The field '{field}' in request body is invalid: It must be text.")
    return value.strip()


def _word(given: Mapping[str, Any], name: str, field: str, item: str, words: Sequence[str]) -> str:
    """The word of a member, in its own case."""
    value = given.get(name, "")
    if isinstance(value, str) and not value.strip():
        raise _missing(field, item)
    found = {word.lower(): word for word in words}.get(str(value).lower())
    if found is None:
        shown = str(value)[:_MAX_SHOWN]
        allowed = ", ".join(f"'{word}'" for word in words)
        raise BadRequest(
            f"The field '${item}.{field}' in request body is invalid: Expected value "
            f"'{shown if shown.isprintable() else '…'}' to be one of the following values: [{allowed}]"
        )
    return found


def _missing(field: str, item: str) -> BadRequest:
    place = f"{item}.{field}".removeprefix(".")
    return BadRequest(
        f"The field '{place}' in request body is invalid: The Dicom Tag Property {field} must be specified and must "
        "not be null, empty or whitespace"
    )


def _private_creator(given: Mapping[str, str]) -> str | None:
    return given.get(PRIVATE_CREATOR, "").strip() or None


def _page(given: Mapping[str, str]) -> TagPage:
    return TagPage(number_of(given, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT), number_of(given, "offset", 0, 0, MAX_OFFSET))
