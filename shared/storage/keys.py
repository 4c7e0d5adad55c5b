r"""The names of everything in storage but postings: partition keys, row keys and blob names. Pure.

Table keys may not hold ``/ \ # ?`` or control characters, and are at most 1 KiB. Values are therefore escaped, and
``:`` with them, which separates; with ``!`` and not with ``%``, which clients and gateways decode a second time. The
escape of a prefix is the prefix of the escape.
"""

import re
from typing import Final

from shared.archive.instance import InstanceFacts
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers

STUDY_ROW: Final = "study"
_JOURNAL_SHARDS: Final = 16

_ESCAPED: Final = re.compile(r"!([0-9a-f]{4})")
_UNSAFE: Final = re.compile(r"[!:/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def escape(text: str) -> str:
    """`text` in a form that a key may hold: ``!`` and four hexadecimal digits for each character that it may not."""
    return _UNSAFE.sub(lambda match: f"!{ord(match[0]):04x}", text)


def unescape(text: str) -> str:
    """The text that was escaped."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def instance_row(series_instance_uid: str, sop_instance_uid: str) -> str:
    """Row key of an instance in the catalog partition of its study."""
    return f"instance:{series_instance_uid}:{sop_instance_uid}"


def series_row(series_instance_uid: str) -> str:
    """Row key of a series in the catalog partition of its study."""
    return f"series:{series_instance_uid}"


def uids_of_instance_row(row_key: str) -> tuple[str, str]:
    """The Series and SOP Instance UID that an instance's row key holds."""
    _, series_instance_uid, sop_instance_uid = row_key.split(":")
    return series_instance_uid, sop_instance_uid


def series_of_row(row_key: str) -> str:
    """The Series Instance UID that a series' row key holds."""
    return row_key.partition(":")[2]


def instance_rows(series_instance_uid: str | None = None) -> tuple[str, str]:
    """First row key and the first one past the end of a study's instances, or of those of one series."""
    prefix = "instance" if series_instance_uid is None else f"instance:{series_instance_uid}"
    return f"{prefix}:", f"{prefix};"


def summary_rows() -> tuple[str, str]:
    """First row key and the first one past the end of a study's series rows and its study row, which sort together."""
    return "series:", f"{STUDY_ROW}~"


def journal_shard(request_id: str) -> str:
    """Partition key of a request's journal row: a few shards, so that no partition takes every store."""
    return f"{int(request_id[:8], 16) % _JOURNAL_SHARDS:02d}"


def journal_row(request_id: str, resource: str) -> str:
    """Row key of what a request does to a resource, given by its path."""
    return f"{request_id}:{escape(resource)}"


def entry_of_journal_row(row_key: str) -> tuple[str, str]:
    """The request id and the resource's path that a journal's row key holds."""
    request_id, _, resource = row_key.partition(":")
    return request_id, unescape(resource)


def instance_blob(identifiers: InstanceIdentifiers, blob_version: str) -> str:
    """Name of the blob that holds an instance's Part 10 file as one store wrote it."""
    return f"{_blob_stem(identifiers, blob_version)}.dcm"


def metadata_blob(identifiers: InstanceIdentifiers, blob_version: str) -> str:
    """Name of the blob that holds an instance's metadata where a catalog row cannot."""
    return f"{_blob_stem(identifiers, blob_version)}.metadata"


def frames_blob(identifiers: InstanceIdentifiers, blob_version: str) -> str:
    """Name of the blob that holds an instance's frame table where a catalog row cannot."""
    return f"{_blob_stem(identifiers, blob_version)}.frames"


def blob_prefix(resource: ResourceIdentifiers) -> str:
    """What the names of all blobs of a resource begin with, and no others'."""
    prefix = f"{resource.study_instance_uid}/"
    if resource.series_instance_uid is not None:
        prefix += f"{resource.series_instance_uid}/"
    if resource.sop_instance_uid is not None:
        prefix += f"{resource.sop_instance_uid}_"
    return prefix


def instance_of_blob(name: str) -> tuple[InstanceIdentifiers, str]:
    """The instance that a blob's name, whichever of its blobs, belongs to, and the blob version."""
    study_instance_uid, series_instance_uid, rest = name.split("/")
    stem, _, _ = rest.rpartition(".")
    sop_instance_uid, _, blob_version = stem.rpartition("_")
    return InstanceIdentifiers(study_instance_uid, series_instance_uid, sop_instance_uid), blob_version


def blobs_of(instance: InstanceFacts) -> list[str]:
    """Names of all blobs that belong to an instance."""
    names = [instance_blob(instance.identifiers, instance.blob_version)]
    if instance.has_metadata_blob:
        names.append(metadata_blob(instance.identifiers, instance.blob_version))
    if instance.has_frames_blob:
        names.append(frames_blob(instance.identifiers, instance.blob_version))
    return names


def _blob_stem(identifiers: InstanceIdentifiers, blob_version: str) -> str:
    series = f"{identifiers.study_instance_uid}/{identifiers.series_instance_uid}"
    return f"{series}/{identifiers.sop_instance_uid}_{blob_version}"
