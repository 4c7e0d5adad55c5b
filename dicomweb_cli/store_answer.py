"""What a Store Instances Response (PS3.18 10.5.3 and I.2.2) says of the files of its request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

import httpx

from dicomweb_cli.connection import reason_of
from dicomweb_cli.report import DUPLICATE_SOP_INSTANCE
from dicomweb_cli.sources import Instance
from shared.web.failure_reasons import Duplicate, FailureReason
from shared.web.store_response import ATTRIBUTES

Fate = Enum("Fate", ["STORED", "ALREADY_THERE", "FAILED"])

_EXISTS: Final = frozenset({FailureReason.INSTANCE_EXISTS, DUPLICATE_SOP_INSTANCE})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file: `reason` and `comments` of its failure or warning."""

    fate: Fate
    reason: int | None = None
    comments: tuple[str, ...] = ()


def outcomes(batch: Sequence[Instance], response: httpx.Response) -> dict[int, Outcome]:
    """What became of the files that the answer names, by their places in the batch; always, if there is only one.

    It names them by SOP Instance UID, but not always: files that cannot be read have none. Where one file and one item
    are left over, they belong together; otherwise the files must be sent again, fewer at a time.
    """
    answer = _data_set(response)
    stored, failed = _items(answer, "ReferencedSOPSequence"), _items(answer, "FailedSOPSequence")
    by_uid = {_value(item, "ReferencedSOPInstanceUID"): _stored(item) for item in stored}
    by_uid |= {_value(item, "ReferencedSOPInstanceUID"): _failed(item) for item in failed}
    unnamed = [item for item in failed if not _value(item, "ReferencedSOPInstanceUID")]
    known = {
        place: by_uid[instance.identifiers.sop_instance_uid]
        for place, instance in enumerate(batch)
        if instance.identifiers and instance.identifiers.sop_instance_uid in by_uid
    }
    if not (stored or failed) and response.status_code == HTTPStatus.OK:  # PS3.18 10.5.3.1: all were stored
        return dict.fromkeys(range(len(batch)), Outcome(Fate.STORED))
    rest = [place for place in range(len(batch)) if place not in known]
    if len(rest) == 1 and len(unnamed) == 1:
        known[rest[0]] = _failed(unnamed[0])
    elif len(batch) == 1 and rest:
        known[0] = _only(response, stored, failed)
    return known


def _only(response: httpx.Response, stored: list[Any], failed: list[Any]) -> Outcome:
    """What became of a request's only file, whatever the answer calls it."""
    if stored and not failed:
        return _stored(stored[0])
    if failed:
        return _failed(failed[0])
    return Outcome(Fate.FAILED, None, (f"{response.status_code} {reason_of(response)}",))


def _stored(item: Mapping[str, Any]) -> Outcome:
    return Outcome(Fate.STORED, _value(item, "WarningReason"), _comments(item))


def _failed(item: Mapping[str, Any]) -> Outcome:
    reason = _value(item, "FailureReason")
    # This project's service compares instances of the same UIDs; from others, a duplicate counts as the same.
    error_ids = [_value(error, "ErrorID") for error in _items(item, "FailedAttributesSequence")]
    exists = reason in _EXISTS and Duplicate.DIFFERENT not in error_ids
    return Outcome(Fate.ALREADY_THERE if exists else Fate.FAILED, reason, _comments(item))


def _comments(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Error Comments (0000,0902) of an item and of its FailedAttributesSequence (0074,1048)."""
    return tuple(
        str(words)
        for one in (item, *_items(item, "FailedAttributesSequence"))
        if (words := _value(one, "ErrorComment"))
    )


def _data_set(response: httpx.Response) -> dict[str, Any]:
    """The answer's data set; an empty one where it has none in JSON."""
    try:
        document = response.json()
    except ValueError:
        return {}
    if isinstance(document, list) and len(document) == 1:  # so some servers send it
        document = document[0]
    return document if isinstance(document, dict) else {}


def _items(data_set: Mapping[str, Any], keyword: str) -> list[Any]:
    tag, _ = ATTRIBUTES[keyword]
    attribute = data_set.get(tag)
    return (attribute.get("Value") or []) if isinstance(attribute, dict) else []


def _value(data_set: Mapping[str, Any], keyword: str) -> Any:
    return next(iter(_items(data_set, keyword)), None)
