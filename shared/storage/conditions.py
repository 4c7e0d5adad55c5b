"""Changing a row only if it is as it was read."""

from http import HTTPStatus
from typing import Any, Final

from azure.core import MatchConditions

MOVED: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED)
"""What storage answers where a row has changed or gone since, or one that was to be new is there."""


def under(etag: str) -> dict[str, Any]:
    """The options of an operation of the SDKs that is only carried out while the row has this ETag."""
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}
