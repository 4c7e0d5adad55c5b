"""The same study in two data partitions is two studies."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest_asyncio

from shared.dicom.attributes import TAG, Level
from shared.dicom.identifiers import DEFAULT_PARTITION, ResourceIdentifiers, StudyKey
from shared.search.query import parse_search
from shared.services.repair.consistency import repair
from shared.services.repair.differences import Kind
from shared.services.search.search import search
from shared.services.write.delete import delete
from shared.storage import blob_names
from shared.storage.journal import JournalEntry
from shared.web.store_response import Stored
from tests.support.answers import answer_work
from tests.support.damages import LONG_AGO, OTHER_BLOB_VERSION
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import new_uid
from tests.support.stored_instances import data_sets
from tests.support.stores import events, files_of

STUDY, SERIES = new_uid(), new_uid()
DEFAULT, OTHER = StudyKey(DEFAULT_PARTITION, STUDY), StudyKey("hospital-1", STUDY)


@pytest_asyncio.fixture
async def raw(raw: RawArchive) -> RawArchive:
    """An archive that has the same two instances in both partitions."""
    for study in (DEFAULT, OTHER):
        parts = events(files_of(STUDY, 2, series=SERIES))
        outcomes = await raw.stores.store(
            parts, answer_work(), partition=study.partition, study_instance_uid=STUDY, api_version="v2"
        )
        assert [type(outcome) for outcome in outcomes] == [Stored] * 2
    return raw


async def urls(raw: RawArchive, study: StudyKey, scope: ResourceIdentifiers | None, query: str) -> list[str]:
    asked = parse_search(query, Level.SERIES, raw.settings, is_within_study=scope is not None)
    found = await search(raw.archive, study.partition, asked, scope, "http://host/v2", raw.settings, answer_work())
    return [result[TAG["RetrieveURL"]]["Value"][0] for result in data_sets(found)]


async def test_a_search_finds_only_what_its_partition_holds(raw: RawArchive) -> None:
    for study in (DEFAULT, OTHER):
        expected = [f"http://host/v2/{study.path}/series/{SERIES}"]
        for query in ("", f"SeriesInstanceUID={SERIES}", f"StudyInstanceUID={STUDY}", "PatientName=Test*"):
            assert await urls(raw, study, None, query) == expected, query
        assert await urls(raw, study, ResourceIdentifiers(study), "") == expected


async def test_a_delete_leaves_the_other_partition_alone(raw: RawArchive) -> None:
    await delete(raw.archive, ResourceIdentifiers(DEFAULT))
    assert await raw.archive.catalog.read_study(DEFAULT) is None
    assert [rows.study async for rows in raw.archive.catalog.read_study_rows() if rows.is_there] == [OTHER]
    assert {posting.study async for _, posting in raw.archive.postings.read_every_term()} == {OTHER}
    rows = [row async for row in raw.archive.catalog.read_instances(OTHER)]
    blobs = {name async for name in raw.container.list_blob_names()}
    assert blobs == {blob_names.instance_blob(row.identifiers, row.blob_version) for row in rows}
    assert await raw.differences(deep=True) == []


async def test_differences_are_reported_and_repaired_in_their_partition(raw: RawArchive) -> None:
    assert await raw.differences(deep=True) == []
    (first, _) = [row async for row in raw.archive.catalog.read_instances(OTHER)]
    orphan = blob_names.instance_blob(replace(first.identifiers, sop_instance_uid="1.2.3"), OTHER_BLOB_VERSION)
    without_rows = blob_names.instance_blob(
        replace(first.identifiers, study=StudyKey("hospital-2", STUDY)), OTHER_BLOB_VERSION
    )
    foreign = "=hospital-1=/notes.txt"
    for name in (orphan, without_rows, foreign):
        await raw.container.upload_blob(name, b"no instance")
    await raw.archive.journal.insert(JournalEntry("ab" * 16, "store", datetime.now(UTC) - LONG_AGO, OTHER.path))
    found = await raw.differences()
    assert {(one.kind, one.study, one.concerns) for one in found} == {
        (Kind.ABANDONED_REQUEST, OTHER, OTHER.path),
        (Kind.ORPHAN_BLOB, OTHER, orphan),
        (Kind.ORPHAN_BLOB, StudyKey("hospital-2", STUDY), without_rows),
        (Kind.FOREIGN_BLOB, None, foreign),
    }
    for difference in found:
        await repair(raw.archive, raw.settings, difference)
    assert [one.concerns for one in await raw.differences()] == [foreign]
    assert (await raw.archive.catalog.read_study(DEFAULT)) is not None
    await raw.container.delete_blob(foreign)
