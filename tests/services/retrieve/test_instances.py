"""Files of instances that disappear while they are sent."""

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

import pytest
from azure.storage.blob.aio import ContainerClient

from shared.archive.instance import Elsewhere, InstanceFacts, InstanceMetadata, InstanceWithFrames
from shared.errors import NotFound, Unavailable
from shared.services.retrieve.instances import files_as_stored, files_in
from shared.services.retrieve.metadata import json_array
from shared.services.retrieve.stored_instances import find_instances_with_frames
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.storage import blob_names
from shared.storage.archive import Archive
from tests.support.answers import answer_work
from tests.support.default_partition import resource_of, study_key
from tests.support.served_instances import dataset, long_content, new_uid, part10
from tests.support.stores import files_of, store

Record = TypeVar("Record", bound=InstanceFacts | InstanceMetadata)

WORK = answer_work()


async def each(records: Iterable[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record


async def stored(stores: StoreService, archive: Archive, count: int) -> list[InstanceWithFrames]:
    study = new_uid()
    await store(stores, *files_of(study, count))
    records = find_instances_with_frames(archive, resource_of(study))
    return [record async for record in records]


@pytest.mark.parametrize("syntax", [None, "1.2.840.10008.1.2.5"])
async def test_a_deleted_instance_is_left_out(stores: StoreService, archive: Archive, syntax: str | None) -> None:
    records = await stored(stores, archive, 6)
    gone = records[3].identifiers
    await delete(archive, resource_of(gone.study_instance_uid, gone.series_instance_uid, gone.sop_instance_uid))
    opened = files_in(archive, each(records), WORK, syntax) if syntax else files_as_stored(archive, each(records), WORK)
    sent = [content.path async for content in opened]
    assert sent == [record.identifiers.path for record in records if record.identifiers != gone]


async def test_a_missing_file_ends_the_answer(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    records = await stored(stores, archive, 6)
    await container.delete_blob(blob_names.instance_blob(records[3].identifiers, records[3].blob_version))
    files = files_as_stored(archive, each(records), WORK)
    sent = [(await anext(files)).path for _ in range(3)]
    assert sent == [record.identifiers.path for record in records[:3]]
    with pytest.raises(Unavailable):
        await anext(files)


async def test_a_file_that_disappears_midway_is_cut(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study = new_uid()
    await store(stores, part10(dataset(StudyInstanceUID=study, Rows=3000, Columns=3000, PixelData=bytes(9_000_000))))
    (record,) = [record async for record in find_instances_with_frames(archive, resource_of(study))]
    (content,) = [content async for content in files_as_stored(archive, each([record]), WORK)]
    chunks = content.all()
    assert len(await anext(chunks)) < record.size_bytes
    await container.delete_blob(blob_names.instance_blob(record.identifiers, record.blob_version))
    with pytest.raises(NotFound):
        [chunk async for chunk in chunks]


async def test_a_missing_metadata_blob_ends_the_answer(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study = new_uid()
    await store(stores, part10(dataset(StudyInstanceUID=study, ContentSequence=long_content(400_000))))
    records = [record async for record in archive.catalog.read_metadata(study_key(study))]
    assert records[0].metadata is Elsewhere.IN_BLOB
    await container.delete_blob(blob_names.metadata_blob(records[0].identifiers, records[0].blob_version))
    with pytest.raises(Unavailable):
        [text async for text in json_array(archive, each(records), "http://host/v2", WORK)]
    one = records[0].identifiers
    await delete(archive, resource_of(one.study.study_instance_uid))
    assert [text async for text in json_array(archive, each(records), "http://host/v2", WORK)] == []
