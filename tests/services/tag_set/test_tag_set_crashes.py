"""A process dies at each storage operation of a request for tags, or meets a fault there: nothing is in the way."""

from itertools import count

import pytest
from azure.core.exceptions import AzureError

from shared.archive.extended_tags import TagStatus
from shared.dicom.attributes import Level
from shared.errors import DicomWebError
from shared.services.operations.engine import cancel
from shared.services.tag_set.add_tags import OtherTagsUnderWay, add_tags
from shared.services.tag_set.change_tags import remove_tag
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.web.extended_query_tag_request import TagRequest
from tests.support.storage_policies import (
    Fault,
    Faults,
    StopAt,
    archive_through,
    before_or_after,
    die_at,
    fault_at,
    refusing_server,
)

URL = "https://dicom.example.org/v2"
AGE = TagRequest("PatientAge", "", "", Level.STUDY)
TIME = TagRequest("StudyTime", "", "", Level.STUDY)
PATH = ("00101010",)


async def add(archive: Archive) -> None:
    await add_tags(archive, [AGE], URL)


async def remove(archive: Archive) -> None:
    await remove_tag(archive, PATH, None)


async def start_over(archive: Archive) -> None:
    """Leave no tag, and no operation under way."""
    async for operation in archive.operations.read_all():
        await cancel(archive, operation.id)
    await archive.tags.change(lambda tags: tags.without(tags.tags[0].number, "") if tags.tags else tags)


async def with_a_tag(archive: Archive) -> None:
    await start_over(archive)
    await add(archive)


async def check_added(archive: Archive) -> None:
    """Either the tag's operation is under way, or who asks again starts one: for the one tag there is."""
    numbers = [tag.number for tag in (await archive.tags.read()).tags.tags]
    try:
        await add(archive)
    except OtherTagsUnderWay:
        assert len(numbers) == 1
    (tag,) = (await archive.tags.read()).tags.tags
    assert numbers in ([], [tag.number])
    assert tag.status is TagStatus.ADDING
    operation = await archive.operations.read(tag.operation_id)
    assert operation is not None
    assert not operation.status.has_ended


async def check_removed(archive: Archive, number: int, *, is_done: bool = False) -> None:
    """Either the tag is there, or the set names the operation that removes its values: one that there is, once done."""
    if (await archive.tags.read()).tags.tags:
        await remove(archive)
    tags = (await archive.tags.read()).tags
    (left,) = [tag for tag in tags.removed if tag.number == number]
    assert (left.name, left.generation) == (f"~AS{number}", tags.generation)
    operation = await archive.operations.read(left.operation_id)
    assert operation is not None or not is_done
    if operation is not None and not operation.status.has_ended:
        expected = {"generation": left.generation, "name": left.name, "number": number}
        assert await archive.operations.read_specification(left.operation_id) == expected


@before_or_after
async def test_an_addition_that_dies_anywhere(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    for operation in count(1):
        await start_over(archive)
        stop = StopAt(operation, is_done=is_done)
        await die_at(stop, monkeypatch, settings, add)
        await check_added(archive)
        if not stop.has_died:
            break
    assert operation == 6


@before_or_after
async def test_an_addition_with_nothing_to_index_that_dies_anywhere(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    async def add_time(mortal: Archive) -> None:
        await add_tags(mortal, [TIME], URL)

    for operation in count(1):
        await start_over(archive)
        stop = StopAt(operation, is_done=is_done)
        await die_at(stop, monkeypatch, settings, add_time)
        if not [tag for tag in (await archive.tags.read()).tags.tags if tag.status is TagStatus.READY]:
            await add_time(archive)
        (tag,) = (await archive.tags.read()).tags.tags
        assert (tag.status, tag.operation_id) == (TagStatus.READY, "")
        if not stop.has_died:
            break
    assert operation == 8


@before_or_after
async def test_a_removal_that_dies_anywhere(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    for operation in count(1):
        await with_a_tag(archive)
        (tag,) = (await archive.tags.read()).tags.tags
        stop = StopAt(operation, is_done=is_done)
        await die_at(stop, monkeypatch, settings, remove)
        await check_removed(archive, tag.number, is_done=not stop.has_died)
        if not stop.has_died:
            break
    assert operation == 6


@pytest.mark.parametrize("fault", Fault)
async def test_a_fault_at_each_operation(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    async with refusing_server() as url:
        for request, operation in [(add, number) for number in range(1, 6)] + [
            (remove, number) for number in range(1, 6)
        ]:
            await (start_over if request is add else with_a_tag)(archive)
            tags = (await archive.tags.read()).tags.tags
            faults = Faults(fault_at(operation, fault), url, delay_seconds=0.1)
            async with archive_through(faults, monkeypatch, settings) as faulty:
                try:
                    await request(faulty)
                except (DicomWebError, AzureError):
                    pass  # it is answered 503
                else:
                    assert len((await archive.tags.read()).tags.tags) == (request is add)
            assert faults.seen == [fault]
            await (check_added(archive) if request is add else check_removed(archive, tags[0].number))
