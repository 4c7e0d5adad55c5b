"""What a commit did to instances of a study: the changes of which the change feed consists. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from shared.dicom.identifiers import InstanceIdentifiers, StudyKey


class Action(StrEnum):
    """What was done to an instance, in the words of Microsoft's change feed."""

    CREATE = "create"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to an instance, whose blob version this was; `modality` is empty where its series has none."""

    action: Action
    identifiers: InstanceIdentifiers
    blob_version: str
    sop_class_uid: str
    modality: str


@dataclass(frozen=True, slots=True)
class StudyChanges:
    """The changes of one commit, the one that led to this revision of the study. Revisions rise with every commit."""

    study: StudyKey
    revision: int
    changes: tuple[Change, ...]


class State(StrEnum):
    """What has become of the instance of a change since, in the words of Microsoft's change feed."""

    CURRENT = "current"
    REPLACED = "replaced"
    DELETED = "deleted"


def state_of(change: Change, blob_version: str | None) -> State:
    """The state of a change whose instance has this blob version now; None: it is not there."""
    if blob_version is None:
        return State.DELETED
    is_current = change.action is Action.CREATE and change.blob_version == blob_version
    return State.CURRENT if is_current else State.REPLACED
