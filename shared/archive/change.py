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
