"""Rows of the catalog for tests, made without files."""

from datetime import UTC, datetime
from uuid import uuid4

from shared.archive.instance import InstanceFacts, NewInstance
from shared.archive.study import StudyRecord, with_instances
from shared.dicom.attributes import TAG
from tests.support.default_partition import identifiers_of


def new_uid() -> str:
    """A UID that no other test has."""
    return f"2.25.{uuid4().int}"


def new_instance(
    study: str,
    series: str,
    instance: str,
    *,
    version: str = "a",
    metadata: bytes | None = b"m",
    patient: str = "ID1",
) -> NewInstance:
    """An instance of Modality OT, too large for 32 bits; `metadata` None: in a blob of its own."""
    facts = InstanceFacts(
        identifiers_of(study, series, instance),
        blob_version=version,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        size_bytes=2**33,
        header_bytes=5,
        sha256="0" * 64,
        stored=datetime(2026, 1, 1, tzinfo=UTC),
        has_metadata_blob=metadata is None,
        has_frames_blob=False,
    )
    study_attributes = {
        TAG["PatientID"]: {"vr": "LO", "Value": [patient]},
        TAG["StudyInstanceUID"]: {"vr": "UI", "Value": [study]},
    }
    return NewInstance(facts, metadata or b"", b"f", study_attributes, {TAG["Modality"]: {"vr": "CS", "Value": ["OT"]}})


def study_of(*instances: NewInstance) -> StudyRecord:
    """The record of a new study that holds these instances."""
    return with_instances(None, instances, datetime.now(UTC))
