"""The Store Instances Response (PS3.18 10.5.3 and I.2.2), with the status and reason codes of Microsoft's service."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from typing import Any

from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.dicom.validation import Finding


class FailureReason(IntEnum):
    """Why an instance was not stored: Failure Reason (0008,1197). Kept in step with the conformance statement."""

    PROCESSING_FAILURE = 0x0110  # 272: not DICOM, or could not be processed
    VALIDATION_FAILED = 0xA900  # 43264: data set does not match SOP class; here: a required attribute is not valid
    STUDY_MISMATCH = 0xA901  # 43265: of another study than the request names
    INSTANCE_EXISTS = 0xB00E  # 45070: stored already


VALIDATION_WARNING = 1
"""Warning Reason (0008,1196) of an instance that is stored although searchable attributes are not valid (v2)."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance that is now durable, with what was found on the way."""

    identifiers: InstanceIdentifiers
    sop_class_uid: str
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """An instance that was not stored. The UIDs are None where the part did not say them.

    `comments` say what was wrong in words.
    """

    reason: FailureReason
    comments: tuple[str, ...]
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None


Outcome = Stored | Failed


def status_of(outcomes: Sequence[Outcome]) -> HTTPStatus:
    """The status of a store by what became of its parts; none at all is 204."""
    stored = [outcome for outcome in outcomes if isinstance(outcome, Stored)]
    if not outcomes:
        return HTTPStatus.NO_CONTENT
    if not stored:
        return HTTPStatus.CONFLICT
    if len(stored) < len(outcomes) or any(outcome.warnings for outcome in stored):
        return HTTPStatus.ACCEPTED
    return HTTPStatus.OK


def store_response(outcomes: Sequence[Outcome], service_url: str) -> dict[str, Any]:
    """The response's data set in the DICOM JSON Model; `service_url` is ``scheme://host/version``, no final slash."""
    stored = [outcome for outcome in outcomes if isinstance(outcome, Stored)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    response: dict[str, Any] = {}
    studies = {outcome.identifiers.study_instance_uid for outcome in stored}
    if len(studies) == 1:
        response["00081190"] = _attribute("UR", f"{service_url}/{ResourceIdentifiers(studies.pop()).path}")
    if failed:
        response["00081198"] = {"vr": "SQ", "Value": [_failed_item(outcome) for outcome in failed]}
    if stored:
        response["00081199"] = {"vr": "SQ", "Value": [_stored_item(outcome, service_url) for outcome in stored]}
    return response


def _stored_item(outcome: Stored, service_url: str) -> dict[str, Any]:
    item = {
        "00081150": _attribute("UI", outcome.sop_class_uid),
        "00081155": _attribute("UI", outcome.identifiers.sop_instance_uid),
        "00081190": _attribute("UR", f"{service_url}/{outcome.identifiers.path}"),
    }
    if outcome.warnings:
        item["00081196"] = _attribute("US", VALIDATION_WARNING)
    # Microsoft's v2 has the sequence in every item, empty where there is nothing to say.
    item["00741048"] = _comments(tuple(finding.comment for finding in outcome.warnings))
    return item


def _failed_item(outcome: Failed) -> dict[str, Any]:
    item: dict[str, Any] = {}
    if outcome.sop_class_uid:
        item["00081150"] = _attribute("UI", outcome.sop_class_uid)
    if outcome.sop_instance_uid:
        item["00081155"] = _attribute("UI", outcome.sop_instance_uid)
    item["00081197"] = _attribute("US", int(outcome.reason))
    item["00741048"] = _comments(outcome.comments)
    return item


def _comments(comments: tuple[str, ...]) -> dict[str, Any]:
    """A FailedAttributesSequence of Error Comments, or an empty one."""
    if not comments:
        return {"vr": "SQ"}
    return {"vr": "SQ", "Value": [{"00000902": _attribute("LO", comment)} for comment in comments]}


def _attribute(vr: str, value: str | int) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}
