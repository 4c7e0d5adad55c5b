"""What the archive knows about an instance: a type for each selection from its row. Pure; the catalog keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from shared.dicom.identifiers import InstanceIdentifiers

DicomJson = Mapping[str, Any]
"""A data set in the DICOM JSON Model (PS3.18 F.2): tag to ``{"vr": …, "Value": […]}``."""

NOTHING: Final[DicomJson] = MappingProxyType({})


class Elsewhere(Enum):
    """In place of a value that is too large for a row."""

    IN_BLOB = "in a blob of its own"


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """What is known about a stored file. Sizes are bytes of its blob, `sha256` is hexadecimal.

    `blob_version` is new for every store of the same identifiers. `header_bytes` is where Pixel Data begins, or the
    whole size where there is none. `tags` are its values of extended query tags at instance level, by the tags' names.
    """

    identifiers: InstanceIdentifiers
    blob_version: str
    sop_class_uid: str
    transfer_syntax_uid: str
    size_bytes: int
    header_bytes: int
    sha256: str
    stored: datetime
    has_metadata_blob: bool
    has_frames_blob: bool
    tags: DicomJson = field(default_factory=lambda: NOTHING, hash=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class InstanceWithFrames(InstanceFacts):
    """The facts, but for tags, and the frame table in storage form; None where the instance has no frames."""

    frames: bytes | Elsewhere | None


@dataclass(frozen=True, slots=True)
class InstanceMetadata:
    """An instance's metadata in storage form, the blob version that they describe, and its values of tags."""

    identifiers: InstanceIdentifiers
    blob_version: str
    metadata: bytes | Elsewhere
    tags: DicomJson = field(default_factory=lambda: NOTHING, hash=False)


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance about to enter the catalog, with the attributes it gives to its study and series.

    `metadata` and `frames`, in storage form, are what its row will hold: empty where a blob holds them.
    """

    facts: InstanceFacts
    metadata: bytes
    frames: bytes
    study_attributes: DicomJson
    series_attributes: DicomJson
