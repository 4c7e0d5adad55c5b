"""What the archive knows of an instance. Pure; the catalog keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.dicom.identifiers import InstanceIdentifiers

DicomJson = Mapping[str, Any]
"""A data set in the DICOM JSON Model (PS3.18 F.2): tag to ``{"vr": …, "Value": […]}``."""


@dataclass(frozen=True, slots=True)
class InstanceMetadata:
    """An instance's metadata in storage form, None when it is too large for a row and stands in a blob of its own.

    `version` is new for every store of the same identifiers.
    """

    identifiers: InstanceIdentifiers
    version: str
    metadata: bytes | None


@dataclass(frozen=True, slots=True)
class InstanceRecord(InstanceMetadata):
    """A stored instance. Sizes are bytes of its blob.

    `header_bytes` is where Pixel Data begins, or the whole size where there is none. `metadata` and `frames` are in
    storage form: empty when not read or not there, None when they stand in a blob of their own.
    """

    sop_class_uid: str
    transfer_syntax_uid: str
    size_bytes: int
    header_bytes: int
    sha256: str
    stored: datetime
    frames: bytes | None


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance about to enter the catalog, with the attributes it gives to its study and series."""

    record: InstanceRecord
    study_attributes: DicomJson
    series_attributes: DicomJson
