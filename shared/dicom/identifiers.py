"""What names studies, series and instances: UIDs, and the data partition in which they are unique."""

import re
from dataclasses import dataclass
from typing import Final, Self

from shared.dicom.attributes import Level
from shared.errors import BadRequest

DEFAULT_PARTITION: Final = "Microsoft.Default"
"""The data partition of a request that names none, as Microsoft's service calls it."""

MAX_UID_LENGTH: Final = 64  # PS3.5 9.1

# PS3.5 9.1 forbids leading zeros in a component; real files have them, so they are allowed, as in Microsoft's
# service. Empty components ("1..2") are not: they would also let a path climb to its parent.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Whether `text` is a UID of PS3.5 9.1, leading zeros allowed."""
    return len(text) <= MAX_UID_LENGTH and _UID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class StudyKey:
    """A study in a data partition; other partitions may have their own study of that UID."""

    partition: str
    study_instance_uid: str

    @property
    def path(self) -> str:
        """The study's path below the service's base URL, without a leading slash, as in Microsoft's service."""
        study = f"studies/{self.study_instance_uid}"
        return study if self.partition == DEFAULT_PARTITION else f"partitions/{self.partition}/{study}"


@dataclass(frozen=True, slots=True)
class InstanceIdentifiers:
    """What identifies an instance: its study, and the UIDs below that; each is valid."""

    study: StudyKey
    series_instance_uid: str
    sop_instance_uid: str

    @property
    def study_instance_uid(self) -> str:
        """The study's UID, as the instance's own attributes have it."""
        return self.study.study_instance_uid

    @property
    def path(self) -> str:
        """The instance's path below the service's base URL, without a leading slash (PS3.18 10.1)."""
        return f"{self.study.path}/series/{self.series_instance_uid}/instances/{self.sop_instance_uid}"


@dataclass(frozen=True, slots=True)
class ResourceIdentifiers:
    """A study, a series or an instance; what is None is not narrowed down."""

    study: StudyKey
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None

    @classmethod
    def of_path(cls, path: str) -> Self:
        """The resource at a path in the form that `path` has."""
        names = path.split("/")
        partition = DEFAULT_PARTITION
        if names[0] == "partitions":
            _, partition, *names = names
        _, study_instance_uid, *below = names
        return cls(StudyKey(partition, study_instance_uid), *below[1::2])

    @property
    def study_instance_uid(self) -> str:
        """The UID of the study, or of the series' or instance's study."""
        return self.study.study_instance_uid

    @property
    def instance(self) -> InstanceIdentifiers | None:
        """The instance, where one is named; else None."""
        if self.series_instance_uid is None or self.sop_instance_uid is None:
            return None
        return InstanceIdentifiers(self.study, self.series_instance_uid, self.sop_instance_uid)

    @property
    def level(self) -> Level:
        """The level of what is named."""
        if self.sop_instance_uid is not None:
            return Level.INSTANCE
        return Level.STUDY if self.series_instance_uid is None else Level.SERIES

    @property
    def path(self) -> str:
        """The resource's path below the service's base URL, without a leading slash (PS3.18 10.1)."""
        path = self.study.path
        if self.series_instance_uid is not None:
            path += f"/series/{self.series_instance_uid}"
        if self.sop_instance_uid is not None:
            path += f"/instances/{self.sop_instance_uid}"
        return path


def uid_of_path(text: str, resource: str) -> str:
    """Check a UID that stands in a URL's path, and return it.

    Raises BadRequest, naming `resource` ("study", "series", "instance"), where `text` is not a UID. The text itself is
    not repeated: it may be anything.
    """
    if not is_uid(text):
        raise BadRequest(
            f"The {resource} UID in the path is not valid: a UID is digits and single dots, at most "
            f"{MAX_UID_LENGTH} characters (PS3.5 9.1)."
        )
    return text
