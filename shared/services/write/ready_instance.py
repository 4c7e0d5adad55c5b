"""What is entered for an instance whose file has arrived: its facts, metadata, frame table, and values of tags."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.archive.extended_tags import ExtendedTag
from shared.archive.instance import InstanceFacts, NewInstance
from shared.archive.study import split_by_level
from shared.archive.tag_values import TagProblem, tag_values
from shared.dicom.attributes import TAG, Level
from shared.dicom.dicom_file import DicomInstance
from shared.dicom.dicom_json_text import json_texts
from shared.dicom.identifiers import InstanceIdentifiers
from shared.dicom.validation import Finding, finding_of
from shared.services.write.upload import InstanceUpload
from shared.storage.catalog_rows import MAX_ROW_VALUE_BYTES


@dataclass(frozen=True, slots=True)
class ReadyInstance:
    """An instance to be entered, with its metadata and frame table in storage form.

    `errors` are values of tags that are not indexed since they are not valid, `warnings` those that are too much.
    """

    new: NewInstance
    metadata: bytes
    frames: bytes
    errors: Sequence[Finding]
    warnings: Sequence[Finding]


def ready_instance(
    identifiers: InstanceIdentifiers, instance: DicomInstance, upload: InstanceUpload, tags: Sequence[ExtendedTag]
) -> ReadyInstance:
    """What is to be entered for an instance that is indexed by these tags. Slow."""
    # OHIF and cornerstone3D learn the stored syntax from the metadata (PS3.18 10.4.1.1.2 leaves it to the server).
    syntax = {TAG["AvailableTransferSyntaxUID"]: {"vr": "UI", "Value": [instance.transfer_syntax_uid]}}
    compressor = zlib.compressobj()
    texts = json_texts(sorted({**instance.metadata, **syntax}.items()))
    metadata = b"".join([*map(compressor.compress, texts), compressor.flush()])
    frames = instance.frames.to_bytes() if instance.frames else b""
    values = tag_values(sorted(instance.metadata.items()), tags)
    facts = InstanceFacts(
        identifiers,
        upload.blob_version,
        sop_class_uid=instance.sop_class_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        size_bytes=upload.size_bytes,
        header_bytes=instance.header_bytes,
        sha256=upload.sha256,
        stored=datetime.now(UTC),
        has_metadata_blob=len(metadata) > MAX_ROW_VALUE_BYTES,
        has_frames_blob=len(frames) > MAX_ROW_VALUE_BYTES,
        tags=values.by_level[Level.INSTANCE],
    )
    of_study, of_series = split_by_level(instance.metadata)
    new = NewInstance(
        facts,
        b"" if facts.has_metadata_blob else metadata,
        b"" if facts.has_frames_blob else frames,
        {**of_study, **values.by_level[Level.STUDY]},
        {**of_series, **values.by_level[Level.SERIES]},
    )
    errors = [_finding(problem) for problem in values.problems if problem.is_invalid]
    warnings = [_finding(problem) for problem in values.problems if not problem.is_invalid]
    return ReadyInstance(new, metadata, frames, errors, warnings)


def _finding(problem: TagProblem) -> Finding:
    name, sentence = ".".join(problem.tag.path), problem.sentence.removesuffix(".")
    return finding_of(problem.tag.path[-1], f"the extended query tag {name} does not index it: {sentence}")
