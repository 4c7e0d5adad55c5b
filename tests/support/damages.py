"""Every way in which one study of an archive can be damaged, by what should be reported."""

import json
import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.archive.instance import InstanceFacts
from shared.archive.study_terms import terms_of_instance
from shared.archive.terms import Term
from shared.dicom.attributes import Level
from shared.services.indexing.index_study import index_study
from shared.services.indexing.tag_sources import Place
from shared.services.repair.differences import Kind
from shared.storage import blob_names, keys
from shared.storage.journal import JournalEntry
from tests.support.default_partition import study_key
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import new_uid
from tests.support.tags import INSTITUTION, put_tags, tag

LONG_AGO: Final = timedelta(hours=2)
OTHER_BLOB_VERSION: Final = "0" * 38

ROWS: Final = tag("Rows", "US", Level.STUDY)

Damage = Callable[[RawArchive, str], Awaitable[None]]
"""Damages the study with this UID, which has two series, one PatientID `ID` and one PatientName `Test^Case`."""


async def first_instance(raw: RawArchive, study: str) -> InstanceFacts:
    return (await raw.instances(study))[0]


async def first_file(raw: RawArchive, study: str) -> str:
    row = await first_instance(raw, study)
    return blob_names.instance_blob(row.identifiers, row.blob_version)


async def first_row(raw: RawArchive, study: str) -> str:
    identifiers = (await first_instance(raw, study)).identifiers
    return keys.instance_row(identifiers.series_instance_uid, identifiers.sop_instance_uid)


async def first_series(raw: RawArchive, study: str) -> str:
    return keys.series_row((await first_instance(raw, study)).identifiers.series_instance_uid)


async def abandoned_request(raw: RawArchive, study: str) -> None:
    entry = JournalEntry("ab" * 16, "store", datetime.now(UTC) - LONG_AGO, f"studies/{study}")
    await raw.archive.journal.insert(entry)


async def orphan_file(raw: RawArchive, study: str) -> None:
    identifiers = (await first_instance(raw, study)).identifiers
    await raw.container.upload_blob(blob_names.instance_blob(identifiers, OTHER_BLOB_VERSION), b"orphan")


async def orphan_of_an_instance_that_is_not_there(raw: RawArchive, study: str) -> None:
    await raw.container.upload_blob(f"{study}/1.2/1.3_{OTHER_BLOB_VERSION}.dcm", b"orphan")


async def orphan_metadata(raw: RawArchive, study: str) -> None:
    row = await first_instance(raw, study)
    await raw.container.upload_blob(blob_names.metadata_blob(row.identifiers, row.blob_version), b"orphan")


async def foreign_blob(raw: RawArchive, study: str) -> None:
    await raw.container.upload_blob(f"{study}/notes.txt", b"mine")


async def missing_blob(raw: RawArchive, study: str) -> None:
    await raw.container.delete_blob(await first_file(raw, study))


async def wrong_size(raw: RawArchive, study: str) -> None:
    await raw.container.upload_blob(await first_file(raw, study), b"short", overwrite=True)


async def wrong_hash(raw: RawArchive, study: str) -> None:
    row = await first_instance(raw, study)
    await raw.container.upload_blob(await first_file(raw, study), bytes(row.size_bytes), overwrite=True)


async def metadata_that_does_not_inflate(raw: RawArchive, study: str) -> None:
    await raw.replace_row({**await raw.row(study, await first_row(raw, study)), "metadata0": b"rubbish"})


async def metadata_of_another_instance(raw: RawArchive, study: str) -> None:
    entity = await raw.row(study, await first_row(raw, study))
    metadata = json.loads(zlib.decompress(entity["metadata0"]))
    metadata["00080018"]["Value"] = ["1.2.3"]
    await raw.replace_row({**entity, "metadata0": zlib.compress(json.dumps(metadata).encode())})


async def metadata_without_values(raw: RawArchive, study: str) -> None:
    await raw.change_packed(study, await first_row(raw, study), "metadata", {"00080018": None})


async def metadata_blob_of_rubbish(raw: RawArchive, study: str) -> None:
    row = await first_instance(raw, study)
    await raw.container.upload_blob(blob_names.metadata_blob(row.identifiers, row.blob_version), b"rubbish")
    entity = await raw.row(study, await first_row(raw, study))
    del entity["metadata0"]
    await raw.replace_row({**entity, "metadata_blob": True})


async def missing_metadata_blob(raw: RawArchive, study: str) -> None:
    entity = await raw.row(study, await first_row(raw, study))
    await raw.replace_row({**entity, "metadata_blob": True})


async def unreadable_study_row(raw: RawArchive, study: str) -> None:
    await raw.replace_row({**await raw.row(study, "study"), "attributes0": b"rubbish"})


async def unreadable_instance_row(raw: RawArchive, study: str) -> None:
    entity = await raw.row(study, await first_row(raw, study))
    del entity["version"]
    await raw.replace_row(entity)


async def no_study_row(raw: RawArchive, study: str) -> None:
    await raw.remove_row(study, "study")


async def no_series_row(raw: RawArchive, study: str) -> None:
    await raw.remove_row(study, await first_series(raw, study))


async def empty_series(raw: RawArchive, study: str) -> None:
    await raw.replace_row(
        {**await raw.row(study, await first_series(raw, study)), "RowKey": keys.series_row(new_uid())}
    )


async def wrong_sop_class_count(raw: RawArchive, study: str) -> None:
    await raw.change_packed(study, await first_series(raw, study), "sop_classes", {"1.2.840.10008.5.1.4.1.1.7": 3})


async def wrong_transfer_syntax(raw: RawArchive, study: str) -> None:
    await raw.change_packed(study, await first_series(raw, study), "transfer_syntaxes", {"1.2.840.10008.1.2": 2})


async def unlisted_term(raw: RawArchive, study: str) -> None:
    posted = json.loads(zlib.decompress((await raw.row(study, "study"))["posted0"]))
    await raw.change_packed(study, "study", "posted", [term for term in posted if term[0] != "PatientID"])


async def list_term(raw: RawArchive, study: str, term: tuple[str, str]) -> None:
    posted = json.loads(zlib.decompress((await raw.row(study, "study"))["posted0"]))
    await raw.change_packed(study, "study", "posted", [*posted, term])


async def missing_posting_of_the_study(raw: RawArchive, study: str) -> None:
    await raw.remove_posting(Term("PatientID", "id"), study)


async def missing_posting_of_an_instance(raw: RawArchive, study: str) -> None:
    (term,) = terms_of_instance((await first_instance(raw, study)).identifiers)
    await raw.remove_posting(term, study)


async def listed_without_a_posting(raw: RawArchive, study: str) -> None:
    await list_term(raw, study, ("PatientName", "left^over"))


async def surplus_posting(raw: RawArchive, study: str) -> None:
    await raw.posting(Term("PatientName", "left^over"), study, await raw.created(study))


async def surplus_posting_that_is_listed(raw: RawArchive, study: str) -> None:
    await surplus_posting(raw, study)
    await list_term(raw, study, ("PatientName", "left^over"))


async def surplus_posting_of_a_long_value(raw: RawArchive, study: str) -> None:
    await raw.posting(Term("PatientName", "left/over#" * 40), study, await raw.created(study))


async def surplus_posting_of_another_time(raw: RawArchive, study: str) -> None:
    await raw.posting(Term("PatientID", "id"), study, await raw.created(study) - LONG_AGO)


async def surplus_posting_of_an_instance(raw: RawArchive, study: str) -> None:
    series = (await first_instance(raw, study)).identifiers.series_instance_uid
    await raw.posting(Term("SOPInstanceUID", "1.2.3", series), study, await raw.created(study))


async def unreadable_change(raw: RawArchive, study: str) -> None:
    (revision, *_) = await raw.revisions(study)
    await raw.replace_row({**await raw.row(study, keys.change_row(revision)), "changes0": b"damaged"})


async def changes_without_an_entry(raw: RawArchive, study: str) -> None:
    await raw.remove_entries(study)


async def row_without_values_of_a_tag(raw: RawArchive, study: str) -> None:
    row = await raw.row(study, await first_row(raw, study))
    metadata = json.loads(zlib.decompress(row["metadata0"]))
    changed = {**metadata, INSTITUTION.path[0]: {"vr": "LO", "Value": ["Hospital"]}}
    await raw.replace_row({**row, "metadata0": zlib.compress(json.dumps(dict(sorted(changed.items()))).encode())})
    await put_tags(raw.archive, INSTITUTION)


async def values_of_a_tag_that_was_removed(raw: RawArchive, study: str) -> None:
    (number,) = [tag.number for tag in (await put_tags(raw.archive, ROWS)).tags]
    await index_study(raw.archive, study_key(study), [number], Place())
    await put_tags(raw.archive)


DAMAGES: Final[dict[Kind, tuple[Damage, ...]]] = {
    Kind.ABANDONED_REQUEST: (abandoned_request,),
    Kind.ORPHAN_BLOB: (orphan_file, orphan_of_an_instance_that_is_not_there, orphan_metadata),
    Kind.FOREIGN_BLOB: (foreign_blob,),
    Kind.MISSING_BLOB: (missing_blob, missing_metadata_blob),
    Kind.WRONG_SIZE: (wrong_size,),
    Kind.WRONG_HASH: (wrong_hash,),
    Kind.WRONG_METADATA: (
        metadata_that_does_not_inflate,
        metadata_of_another_instance,
        metadata_without_values,
        metadata_blob_of_rubbish,
    ),
    Kind.UNREADABLE_ROW: (unreadable_study_row, unreadable_instance_row),
    Kind.NO_STUDY_ROW: (no_study_row,),
    Kind.NO_SERIES_ROW: (no_series_row,),
    Kind.EMPTY_SERIES: (empty_series,),
    Kind.WRONG_COUNTS: (wrong_sop_class_count, wrong_transfer_syntax),
    Kind.UNLISTED_TERM: (unlisted_term,),
    Kind.MISSING_POSTING: (
        missing_posting_of_the_study,
        missing_posting_of_an_instance,
        listed_without_a_posting,
    ),
    Kind.SURPLUS_POSTING: (
        surplus_posting,
        surplus_posting_that_is_listed,
        surplus_posting_of_a_long_value,
        surplus_posting_of_another_time,
        surplus_posting_of_an_instance,
    ),
    Kind.MISSING_TAG_VALUE: (row_without_values_of_a_tag,),
    Kind.SURPLUS_TAG_VALUE: (values_of_a_tag_that_was_removed,),
    Kind.STRANDED_CHANGES: (changes_without_an_entry,),
    Kind.UNREADABLE_CHANGE: (unreadable_change,),
}
