"""The UIDs that name studies, series and instances."""

import re
from dataclasses import dataclass
from typing import Final, Self

from shared.errors import BadRequest

MAX_UID_LENGTH: Final = 64  # PS3.5 9.1

# PS3.5 9.1 forbids leading zeros in a component; real files have them, so they are let through, as in Microsoft's
# service. Empty components ("1..2") are not: they would also let a path climb.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Whether `text` is a UID of PS3.5 9.1, leading zeros allowed."""
    return len(text) <= MAX_UID_LENGTH and _UID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class InstanceIdentifiers:
    """The three UIDs that place an instance; each is a valid UID."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str

    @property
    def path(self) -> str:
        """The instance's path below the service's base URL, without a leading slash (PS3.18 10.1)."""
        return f"studies/{self.study_instance_uid}/series/{self.series_instance_uid}/instances/{self.sop_instance_uid}"


@dataclass(frozen=True, slots=True)
class ResourceIdentifiers:
    """A study, a series of it or an instance of that: the `None` ones are not narrowed down."""

    study_instance_uid: str
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None

    @classmethod
    def of_path(cls, path: str) -> Self:
        """The resource of such a path as `path` gives."""
        _, study_instance_uid, *rest = path.split("/")
        return cls(study_instance_uid, *rest[1::2])

    @property
    def instance(self) -> InstanceIdentifiers | None:
        """The instance, where one is named."""
        if self.series_instance_uid is None or self.sop_instance_uid is None:
            return None
        return InstanceIdentifiers(self.study_instance_uid, self.series_instance_uid, self.sop_instance_uid)

    @property
    def level(self) -> str:
        """The word for what is named: study, series or instance."""
        if self.sop_instance_uid is not None:
            return "instance"
        return "study" if self.series_instance_uid is None else "series"

    @property
    def path(self) -> str:
        """The resource's path below the service's base URL, without a leading slash (PS3.18 10.1)."""
        path = f"studies/{self.study_instance_uid}"
        if self.series_instance_uid is not None:
            path += f"/series/{self.series_instance_uid}"
        if self.sop_instance_uid is not None:
            path += f"/instances/{self.sop_instance_uid}"
        return path


def uid_of_path(text: str, resource: str) -> str:
    """The UID that stands in a URL's path.

    Raises BadRequest, naming `resource` ("study", "series", "instance"), where `text` is not a UID. The text itself is
    not repeated: it may be anything.
    """
    if not is_uid(text):
        raise BadRequest(
            f"The {resource} UID in the path is not valid: a UID is digits and single dots, at most "
            f"{MAX_UID_LENGTH} characters (PS3.5 9.1)."
        )
    return text
