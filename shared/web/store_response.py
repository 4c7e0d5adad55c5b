"""The Store Instances Response (PS3.18 10.5.3 and I.2.2), with the statuses of Microsoft's service."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from shared.dicom.attributes import TAG
from shared.dicom.identifiers import InstanceIdentifiers
from shared.dicom.validation import Finding
from shared.web.failure_reasons import Duplicate, FailureReason, WarningReason

ATTRIBUTES: Final = {
    "ErrorComment": ("00000902", "LO"),
    "ErrorID": ("00000903", "US"),
    "ReferencedSOPClassUID": ("00081150", "UI"),
    "ReferencedSOPInstanceUID": ("00081155", "UI"),
    "RetrieveURL": (TAG["RetrieveURL"], "UR"),
    "WarningReason": ("00081196", "US"),
    "FailureReason": ("00081197", "US"),
    "FailedSOPSequence": ("00081198", "SQ"),
    "ReferencedSOPSequence": ("00081199", "SQ"),
    "FailedAttributesSequence": ("00741048", "SQ"),
}
"""The tags and VRs of a response's attributes, by keyword."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance that is now durable, with the warnings found on the way.

    `assumptions` say what had to be assumed to read its file, `findings` which attributes are not valid.
    """

    identifiers: InstanceIdentifiers
    sop_class_uid: str
    findings: tuple[Finding, ...] = ()
    assumptions: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """In words, what a client should know of the instance."""
        return (*self.assumptions, *(finding.comment for finding in self.findings))


@dataclass(frozen=True, slots=True)
class Failed:
    """An instance that was not stored. The UIDs are None where the part did not give them.

    `comments` say what was wrong; `duplicate` is set where an instance stored before is the reason.
    """

    reason: FailureReason
    comments: tuple[str, ...]
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    duplicate: Duplicate | None = None


Outcome = Stored | Failed


def status_of(outcomes: Sequence[Outcome]) -> HTTPStatus:
    """The status of a store by what became of its parts; 204 where there are none."""
    stored = [outcome for outcome in outcomes if isinstance(outcome, Stored)]
    if not outcomes:
        return HTTPStatus.NO_CONTENT
    if not stored:
        return HTTPStatus.CONFLICT
    if len(stored) < len(outcomes) or any(outcome.warnings for outcome in stored):
        return HTTPStatus.ACCEPTED
    return HTTPStatus.OK


def store_response(outcomes: Sequence[Outcome], service_url: str) -> str:
    """The response's data set in the DICOM JSON Model; `service_url` is ``scheme://host/version``, no final slash.

    Each item is encoded alone: meanwhile the encoder lets no other thread run.
    """
    stored = [outcome for outcome in outcomes if isinstance(outcome, Stored)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    studies = {outcome.identifiers.study for outcome in stored}
    values: dict[str, Iterable[Any]] = {
        "RetrieveURL": (f"{service_url}/{study.path}" for study in studies if len(studies) == 1),
        "FailedSOPSequence": map(_failed_item, failed),
        "ReferencedSOPSequence": (_stored_item(outcome, service_url) for outcome in stored),
    }
    texts = ((*ATTRIBUTES[keyword], ", ".join(map(json.dumps, found))) for keyword, found in values.items())
    attributes = (f'"{tag}": {{"vr": "{vr}", "Value": [{text}]}}' for tag, vr, text in texts if text)
    return f"{{{', '.join(attributes)}}}"


def _stored_item(outcome: Stored, service_url: str) -> dict[str, Any]:
    item = {
        **_attribute("ReferencedSOPClassUID", outcome.sop_class_uid),
        **_attribute("ReferencedSOPInstanceUID", outcome.identifiers.sop_instance_uid),
        **_attribute("RetrieveURL", f"{service_url}/{outcome.identifiers.path}"),
    }
    if outcome.warnings:
        reason = WarningReason.DATA_SET_MISMATCH if outcome.assumptions else WarningReason.VALIDATION
        item |= _attribute("WarningReason", int(reason))
    # Microsoft's v2 has the sequence in every item, empty without comments.
    comments = (_attribute("ErrorComment", comment) for comment in outcome.warnings)
    return item | _attribute("FailedAttributesSequence", *comments)


def _failed_item(outcome: Failed) -> dict[str, Any]:
    item: dict[str, Any] = {}
    if outcome.sop_class_uid:
        item |= _attribute("ReferencedSOPClassUID", outcome.sop_class_uid)
    if outcome.sop_instance_uid:
        item |= _attribute("ReferencedSOPInstanceUID", outcome.sop_instance_uid)
    item |= _attribute("FailureReason", int(outcome.reason))
    error_id = _attribute("ErrorID", int(outcome.duplicate)) if outcome.duplicate else {}
    comments = (_attribute("ErrorComment", comment) | error_id for comment in outcome.comments)
    return item | _attribute("FailedAttributesSequence", *comments)


def _attribute(keyword: str, *values: Any) -> dict[str, Any]:
    tag, vr = ATTRIBUTES[keyword]
    return {tag: {"vr": vr, "Value": list(values)} if values else {"vr": vr}}
