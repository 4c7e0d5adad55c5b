"""What a request says of an operation: one to start, one in a path, which to list. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.dicom.identifiers import is_uid
from shared.errors import BadRequest, NotFound
from shared.web.json_body import read_object
from shared.web.query_parameters import number_of, parameters_of

MAX_BODY_BYTES: Final = 2 * 1024**2
"""About 30,000 of the longest UIDs."""
COMPLETED: Final = "completed"
"""What Microsoft's v1 says for `succeeded`."""
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 200
MAX_RESULTS_LIMIT: Final = 1000

_MEMBERS: Final = ("type", "studies", "digests")
_VERIFY: Final = "verify"
_GUID: Final = re.compile(
    r"(?P<open>[{(])?([0-9a-f]{8})(?P<dash>-)?([0-9a-f]{4})(?(dash)-)([0-9a-f]{4})(?(dash)-)([0-9a-f]{4})(?(dash)-)"
    r"([0-9a-f]{12})(?(open)[})])",
    re.IGNORECASE,
)
_PLACE: Final = re.compile(r"([0-9a-f]{8}:[0-9a-f]{8}:[0-9a-f]{8}):([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """The archive is to be examined, or only these studies, by UID; with `has_digests`, each file is read."""

    studies: Sequence[str] | None
    has_digests: bool


@dataclass(frozen=True, slots=True)
class OperationsQuery:
    """Which operations are asked for: at most `limit`, after an id; None: of any type, of any status."""

    limit: int
    after: str
    type: str | None
    status: str | None


@dataclass(frozen=True, slots=True)
class ResultsQuery:
    """Which results are asked for: at most `limit`, from the item of an index on in a place of the operation's rows."""

    limit: int
    place: str
    index: int


def parse_verify(body: bytes) -> VerifyRequest:
    """Parse the JSON of a request that starts an operation. Raises BadRequest, which names the member."""
    given = read_object(body, _MEMBERS)
    if str(given.get("type")).lower() != _VERIFY:
        raise BadRequest(f"The member type must be {_VERIFY}: other operations have routes of their own.")
    if not isinstance(has_digests := given.get("digests", False), bool):
        raise BadRequest("The member digests must be true or false.")
    return VerifyRequest(_uids(given["studies"]) if "studies" in given else None, has_digests)


def operation_id_of(text: str) -> str:
    """The id that a path gives in any form of a GUID. Raises NotFound for anything else."""
    found = _GUID.fullmatch(text)
    if found is None:
        raise NotFound("There is no such operation: an id is a GUID, such as 32 hexadecimal digits.")
    return re.sub("[^0-9a-f]", "", text.lower())


def parse_operations(query_string: str, types: Sequence[str], statuses: Sequence[str]) -> OperationsQuery:
    """Parse the query of a request for operations, by the words of types and statuses. Raises BadRequest."""
    given = parameters_of(query_string, ("type", "status", "limit", "after"))
    after = given.get("after", "")
    if after and not _GUID.fullmatch(after):
        raise BadRequest("The parameter after must be the id of an operation.")
    return OperationsQuery(
        number_of(given, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT),
        operation_id_of(after) if after else "",
        _word(given, "type", types),
        _word(given, "status", statuses),
    )


def parse_results(query_string: str) -> ResultsQuery:
    """Parse the query of a request for an operation's results. Raises BadRequest."""
    given = parameters_of(query_string, ("limit", "after"))
    found = _PLACE.fullmatch(given.get("after", ""))
    if found is None and "after" in given:
        raise BadRequest("The parameter after must be as it is in the Link of the page before.")
    limit = number_of(given, "limit", DEFAULT_LIMIT, 1, MAX_RESULTS_LIMIT)
    return ResultsQuery(limit, found[1], int(found[2])) if found else ResultsQuery(limit, "", 0)


def _uids(given: Any) -> list[str]:
    if not isinstance(given, list) or not given:
        raise BadRequest("The member studies must be an array of Study Instance UIDs, and not empty.")
    for index, uid in enumerate(given):
        if not isinstance(uid, str) or not is_uid(uid):
            raise BadRequest(f"The member studies[{index}] is not a UID.")
    return list(dict.fromkeys(given))


def _word(given: dict[str, str], name: str, words: Sequence[str]) -> str | None:
    known = {word.lower(): word for word in words}
    if name in given and given[name].lower() not in known:
        raise BadRequest(f"The parameter {name} must be one of {', '.join(words)}.")
    return known[given[name].lower()] if name in given else None
