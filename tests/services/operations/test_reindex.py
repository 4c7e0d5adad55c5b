"""Reindexing: what was stored before there was a tag is found by it, wherever its values stand."""

import pytest

from shared.archive.extended_tags import TagStatus
from shared.archive.operation import OperationStatus
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.default_partition import study_key
from tests.support.invariants import check_archive
from tests.support.operation_messages import Messages, now
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.stores import store
from tests.support.tags import OF_EACH_LEVEL, add_tags, remove_tag


async def test_what_is_there_is_indexed(archive: Archive, settings: Settings, messages: Messages) -> None:
    stores, study = StoreService(archive, settings), new_uid()
    files = [
        part10(dataset(StudyInstanceUID=study, InstitutionName="A", BodyPartExamined="HEAD", AcquisitionNumber=number))
        for number in range(3)
    ]
    await store(stores, *files)
    operation = await add_tags(archive, *OF_EACH_LEVEL)
    await messages.deliver_all(archive, settings)
    ended = await now(archive, operation)
    assert ended.status is OperationStatus.SUCCEEDED
    assert ended.totals == {"studies": 1, "instances": 3, "errors": 0}
    tags = (await archive.tags.read()).tags
    assert [(tag.status, tag.operation_id) for tag in tags.tags] == [(TagStatus.READY, "")] * 3
    found = await archive.catalog.read_study(study_key(study))
    assert found is not None
    assert found.record.attributes["~LO1"] == {"vr": "LO", "Value": ["A"]}
    print(sorted(found.record.posted))
    await check_archive(archive, settings)
    for one in tags.tags:
        await remove_tag(archive, one.number)
    await messages.deliver_all(archive, settings)
    tags = (await archive.tags.read()).tags
    assert (tags.tags, tags.removed) == ((), ())
    left = [term async for term, _ in archive.postings.read_every_term() if term.keyword.startswith("~")]
    assert left == []
    await check_archive(archive, settings)
