r"""The partition keys and row keys of everything in tables except postings. Pure.

Table keys may not hold ``/ \ # ?`` or control characters, and are at most 1 KiB. Values are therefore escaped, and so
is ``:``, the separator; with ``!`` and not with ``%``, which clients and gateways decode a second time. An escaped
prefix is a prefix of the escaped text.
"""

import re
from typing import Final

from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, StudyKey

STUDY_ROW: Final = "study"
SUBSCRIPTION_ROW: Final = "subscription"
WAKE: Final = ("wake", "wake")
"""Partition key and row key, beside subscriptions, of whether a wake is on its way."""

_JOURNAL_SHARDS: Final = 16

_ESCAPED: Final = re.compile(r"!([0-9a-f]{4})")
_UNSAFE: Final = re.compile(r"[!:/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def escape(text: str) -> str:
    """`text` in a form that a key may hold: ``!`` and four hexadecimal digits for each character that it may not."""
    return _UNSAFE.sub(lambda match: f"!{ord(match[0]):04x}", text)


def unescape(text: str) -> str:
    """The text that was escaped."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def table_partition(partition: str, key: str) -> str:
    """Partition key of what a data partition keeps under `key`, which has no ``:``; `key` itself in the default one."""
    return key if partition == DEFAULT_PARTITION else f"{escape(partition)}:{key}"


def split_table_partition(partition_key: str) -> tuple[str, str]:
    """The data partition and the key that `table_partition` was given."""
    partition, is_named, key = partition_key.rpartition(":")
    return unescape(partition) if is_named else DEFAULT_PARTITION, key


def study_partition(study: StudyKey) -> str:
    """Partition key of a study's rows in the catalog."""
    return table_partition(study.partition, escape(study.study_instance_uid))


def study_of_partition(partition_key: str) -> StudyKey:
    """The study whose rows a table partition of the catalog holds."""
    partition, key = split_table_partition(partition_key)
    return StudyKey(partition, unescape(key))


def instance_row(series_instance_uid: str, sop_instance_uid: str) -> str:
    """Row key of an instance in the catalog partition of its study."""
    return f"instance:{series_instance_uid}:{sop_instance_uid}"


def row_of_instance(identifiers: InstanceIdentifiers) -> str:
    """The same, of an instance that is named whole."""
    return instance_row(identifiers.series_instance_uid, identifiers.sop_instance_uid)


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
    """First row key and the first one past the end of the instances of a study or of one series."""
    prefix = "instance" if series_instance_uid is None else f"instance:{series_instance_uid}"
    return f"{prefix}:", f"{prefix};"


def first_row_after(instance_row_key: str) -> str:
    """A row key that is greater than an instance's, and than no other instance's that follows."""
    return f"{instance_row_key}!"


def is_instance_row(row_key: str) -> bool:
    """Whether a row key of the catalog is an instance's."""
    first, end = instance_rows()
    return first <= row_key < end


def is_change_row(row_key: str) -> bool:
    """Whether a row key of the catalog is that of a commit's changes."""
    first, end = change_rows()
    return first <= row_key < end


def change_row(revision: int) -> str:
    """Row key, beside its study's rows, of the changes of the commit that led to a revision."""
    return f"change:{revision:016x}"


def revision_of_change_row(row_key: str) -> int:
    """The revision that the row key of a commit's changes holds."""
    return int(row_key.partition(":")[2], 16)


def change_rows() -> tuple[str, str]:
    """First row key and the first one past the end of a study's changes."""
    return "change:", "change;"


def summary_rows() -> tuple[str, str]:
    """First row key and the first one past the end of a study's series rows and its study row, which sort together."""
    return "series:", f"{STUDY_ROW}~"


def study_rows() -> tuple[str, str]:
    """First row key and the first one past the end of a study's instances, series and own row, not of its changes."""
    return "instance:", "~"


def journal_shard(request_id: str) -> str:
    """Partition key of a request's journal row: one of a few shards, so that no table partition takes every store."""
    return f"{int(request_id[:8], 16) % _JOURNAL_SHARDS:02d}"


def journal_row(request_id: str, resource: str) -> str:
    """Row key of a request's entry for a resource, given by its path."""
    return f"{request_id}:{escape(resource)}"


def entry_of_journal_row(row_key: str) -> tuple[str, str]:
    """The request id and the resource's path that a journal's row key holds."""
    request_id, _, resource = row_key.partition(":")
    return request_id, unescape(resource)


def settling_row(study: StudyKey) -> str:
    """Row key, beside its subscription's row, of a study that may settle."""
    return f"settling:{study_partition(study)}"


def study_of_settling_row(row_key: str) -> StudyKey:
    """The study that such a row key holds."""
    return study_of_partition(row_key.partition(":")[2])


def settling_rows() -> tuple[str, str]:
    """First row key and the first one past the end of the studies that may settle."""
    return "settling:", "settling;"
