"""What a request of the URI Service names in its query (PS3.18 9.4 and 9.5)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shared.dicom.identifiers import InstanceIdentifiers, StudyKey, is_uid
from shared.errors import BadRequest

_UIDS: Final = ("studyUID", "seriesUID", "objectUID")
_REFUSED: Final = ("anonymize", "presentationUID", "presentationSeriesUID")
_MAX_FRAME_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class UriRequest:
    """The instance, the media types asked for, as in an Accept header, and a frame number from 1."""

    identifiers: InstanceIdentifiers
    content_types: Sequence[str]
    frame_number: int | None


def parse_uri_request(partition: str, query: Iterable[tuple[str, str]]) -> UriRequest:
    """Parse the decoded names and values of a query into a request in a data partition; names match in any case.

    `transferSyntax` applies to the application/dicom asked for. Raises BadRequest, naming the parameter, for one
    that is missing or invalid, or that must not be ignored: anonymization, presentation states.
    """
    texts = {name.lower(): value.strip() for name, value in query}
    if texts.get("requesttype", "").upper() != "WADO":
        raise BadRequest("The parameter requestType must be WADO.")
    for name in _REFUSED:
        if texts.get(name.lower()):
            raise BadRequest(f"The parameter {name} is not supported.")
    for name in _UIDS:
        if not is_uid(texts.get(name.lower(), "")):
            raise BadRequest(f"The parameter {name} must be a UID.")
    study, series, instance = (texts[name.lower()] for name in _UIDS)
    return UriRequest(
        InstanceIdentifiers(StudyKey(partition, study), series, instance),
        _content_types(texts.get("contenttype", ""), texts.get("transfersyntax", "")),
        _frame_number(texts.get("framenumber")),
    )


def _content_types(content_type: str, transfer_syntax: str) -> Sequence[str]:
    if not transfer_syntax:
        return [content_type]
    if not is_uid(transfer_syntax) and transfer_syntax != "*":
        raise BadRequest("The parameter transferSyntax must be a UID, or *.")
    asked = content_type or "application/dicom"
    return [f'{name.strip()}; transfer-syntax="{transfer_syntax}"' for name in asked.split(",")]


def _frame_number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_FRAME_DIGITS and int(text)):
        raise BadRequest("The parameter frameNumber must be a whole number from 1.")
    return int(text)
