r"""The names of everything in storage: partition keys, row keys and blob names. Pure: nothing else knows their form.

Table keys may not hold ``/ \ # ?`` or control characters, and are at most 1 KiB. Values are therefore escaped, with
``!`` and not with ``%``, which clients and gateways decode a second time. An escaped character keeps its place, so the
escape of a prefix is the prefix of the escape.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.records import InstanceRecord, Term

STUDY_ROW: Final = "study"
_JOURNAL_SHARDS: Final = 16
_MAX_TERM_LENGTH: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MICROSECOND: Final = 10**17 - 1  # the year 5138; fixes the width of an inverted time

_ESCAPED: Final = re.compile(r"!([0-9a-f]{4})")
_UNSAFE: Final = re.compile(r"[!/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


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


def term(found: Term) -> str:
    """Partition key of the studies that have a term.

    Long values are cut: a posting only proposes a study, which is then matched against its own rows.
    """
    return f"{found.keyword}={escape(found.value[:_MAX_TERM_LENGTH])}"


def in_index(terms: Iterable[Term]) -> frozenset[tuple[str, str]]:
    """What tells the postings of terms of one study apart: two long values may be the same to the index."""
    return frozenset((term(found), found.series_instance_uid) for found in terms)


def posting(created: datetime, study_instance_uid: str, found: Term) -> str:
    """Row key of a study's posting: they sort newest first by when the study was first stored.

    Of a single instance it names the series, so that two instances of one UID have two.
    """
    microseconds = (created - _EPOCH) // timedelta(microseconds=1)
    key = f"{_LAST_MICROSECOND - microseconds:017d}:{study_instance_uid}"
    return f"{key}:{found.series_instance_uid}" if found.series_instance_uid else key


def term_of(partition_key: str) -> tuple[str, str]:
    """A keyword and a value of it, cut if it was long, whose postings stand under this partition key."""
    keyword, _, value = partition_key.partition("=")
    return keyword, unescape(value)


def created_of_posting(row_key: str) -> datetime:
    """When the study that a posting points at was first stored."""
    return _EPOCH + timedelta(microseconds=_LAST_MICROSECOND - int(row_key.partition(":")[0]))


def uids_of_posting(row_key: str) -> tuple[str, str]:
    """The Study and the Series Instance UID that a posting points at; "" for a series unless it is an instance's."""
    _, study_instance_uid, *series = row_key.split(":")
    return study_instance_uid, "".join(series)


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


def instance_blob(identifiers: InstanceIdentifiers, version: str) -> str:
    """Name of the blob that holds an instance's Part 10 file as one store wrote it."""
    return f"{_blob_stem(identifiers, version)}.dcm"


def metadata_blob(identifiers: InstanceIdentifiers, version: str) -> str:
    """Name of the blob that holds an instance's metadata where a catalog row cannot."""
    return f"{_blob_stem(identifiers, version)}.metadata"


def frames_blob(identifiers: InstanceIdentifiers, version: str) -> str:
    """Name of the blob that holds an instance's frame table where a catalog row cannot."""
    return f"{_blob_stem(identifiers, version)}.frames"


def blob_prefix(resource: ResourceIdentifiers) -> str:
    """What the names of all blobs of a resource begin with, and no others'."""
    prefix = f"{resource.study_instance_uid}/"
    if resource.series_instance_uid is not None:
        prefix += f"{resource.series_instance_uid}/"
    if resource.sop_instance_uid is not None:
        prefix += f"{resource.sop_instance_uid}_"
    return prefix


def instance_of_blob(name: str) -> tuple[InstanceIdentifiers, str]:
    """The instance that a blob's name, whichever of its blobs, belongs to, and the version."""
    study_instance_uid, series_instance_uid, rest = name.split("/")
    stem, _, _ = rest.rpartition(".")
    sop_instance_uid, _, version = stem.rpartition("_")
    return InstanceIdentifiers(study_instance_uid, series_instance_uid, sop_instance_uid), version


def blobs_of(instance: InstanceRecord) -> list[str]:
    """Names of all blobs that belong to an instance."""
    names = [instance_blob(instance.identifiers, instance.version)]
    if instance.metadata is None:
        names.append(metadata_blob(instance.identifiers, instance.version))
    if instance.frames is None:
        names.append(frames_blob(instance.identifiers, instance.version))
    return names


def _blob_stem(identifiers: InstanceIdentifiers, version: str) -> str:
    return (
        f"{identifiers.study_instance_uid}/{identifiers.series_instance_uid}/{identifiers.sop_instance_uid}_{version}"
    )
