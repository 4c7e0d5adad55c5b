"""What always holds for an archive, checked on what is really stored."""

from azure.storage.blob.aio import ContainerClient

from shared.archive.study_terms import terms_of, terms_of_instance
from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.services.repair.consistency import examine
from shared.settings import Settings
from shared.storage import blob_names
from shared.storage.archive import Archive
from shared.storage.posting_keys import in_index
from tests.support.default_partition import study_key
from tests.support.tags import check_tags


async def blobs_of_study(container: ContainerClient, study_instance_uid: str) -> set[str]:
    return {name async for name in container.list_blob_names(name_starts_with=f"{study_instance_uid}/")}


async def check_study(archive: Archive, container: ContainerClient, study_instance_uid: str) -> int:
    """Check a study's counts, postings and blobs against its instance rows; return how many instances it has."""
    rows = [row async for row in archive.catalog.read_instances(study_key(study_instance_uid))]
    study = await archive.catalog.read_study(study_key(study_instance_uid))
    expected = {name for row in rows for name in blob_names.blobs_of(row)}
    assert await blobs_of_study(container, study_instance_uid) == expected
    if study is None:
        assert rows == []
        return 0
    record = study.record
    counted = {uid: series.instance_count for uid, series in record.series.items()}
    assert counted == {uid: sum(row.identifiers.series_instance_uid == uid for row in rows) for uid in counted}
    assert record.instance_count == len(rows) > 0
    syntaxes = {uid for series in record.series.values() for uid in series.transfer_syntaxes}
    assert syntaxes == {row.transfer_syntax_uid for row in rows}
    assert record.sop_classes == sorted({row.sop_class_uid for row in rows})
    needed = terms_of(record).union(*(terms_of_instance(row.identifiers, row.tags) for row in rows))
    assert terms_of(record) <= record.posted
    for term in needed:
        postings = archive.postings.read_term(DEFAULT_PARTITION, term)
        found = [(posting.study, posting.series_instance_uid, posting.sop_instance_uid) async for posting in postings]
        assert (study_key(study_instance_uid), term.series_instance_uid, term.sop_instance_uid) in found, term
    return len(rows)


async def check_postings(archive: Archive, study_instance_uid: str) -> None:
    """Check that a study has no posting which it does not need; looks at those of all studies."""
    key = study_key(study_instance_uid)
    study = await archive.catalog.read_study(key)
    rows = [row async for row in archive.catalog.read_instances(key)]
    needed = (
        terms_of(study.record).union(*(terms_of_instance(row.identifiers, row.tags) for row in rows)) if study else ()
    )
    expected = {(term, study.record.created) for term in in_index(needed)} if study else set()
    postings = [(term, posting) async for term, posting in archive.postings.read_every_term()]
    found = {(one, posting.created) for term, posting in postings if posting.study == key for one in in_index([term])}
    assert found == expected


async def requests_in_journal(archive: Archive) -> int:
    return len([entry async for entry in archive.journal.read()])


async def check_archive(archive: Archive, settings: Settings) -> None:
    """Check everything that holds for a whole archive once no request is in flight and maintenance has run."""
    assert await requests_in_journal(archive) == 0
    differences = [difference async for difference in examine(archive, settings)]
    assert differences == [], differences
    await check_tags(archive)
