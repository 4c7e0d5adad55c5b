"""Requests that change the set of tags at once, and what they cost."""

import asyncio
from collections import Counter

import pytest

from shared.archive.extended_tags import QueryStatus
from shared.archive.operation import OperationType
from shared.dicom.attributes import Level
from shared.errors import Conflict, NotFound
from shared.services.operations.engine import cancel
from shared.services.tag_set.add_tags import add_tags
from shared.services.tag_set.change_tags import read_errors, read_tag, read_tags, remove_tag, set_query_status
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.web.extended_query_tag_request import TagPage, TagRequest
from tests.support.storage_operations import Counting
from tests.support.storage_policies import archive_through

URL = "https://dicom.example.org/v2"
ALL = TagPage(200, 0)


def asked(*names: str) -> list[TagRequest]:
    return [TagRequest(name, "", "", Level.STUDY) for name in names]


async def paths(archive: Archive) -> list[str]:
    return [tag["path"] for tag in await read_tags(archive, ALL, URL)]


async def test_changes_at_once_all_count(archive: Archive) -> None:
    names = ["PatientAge", "PatientSize", "PatientWeight", "StationName"]
    await cancel(archive, (await add_tags(archive, asked(*names), URL))["id"])
    statuses = [QueryStatus.DISABLED, QueryStatus.ENABLED, QueryStatus.DISABLED]
    kept = (await archive.tags.read()).tags.tags[:3]
    await asyncio.gather(
        *(set_query_status(archive, tag.path, None, status, URL) for tag, status in zip(kept, statuses, strict=True)),
        remove_tag(archive, ("00081010",), None),
    )
    tags = (await archive.tags.read()).tags
    assert [(tag.path, tag.query_status) for tag in tags.tags] == [
        (tag.path, status) for tag, status in zip(kept, statuses, strict=True)
    ]
    assert tags.generation == 2


async def test_of_several_who_remove_a_tag_all_find_it_gone(archive: Archive) -> None:
    await add_tags(archive, asked("PatientAge"), URL)
    removed = (remove_tag(archive, ("00101010",), None) for _ in range(4))
    results = await asyncio.gather(*removed, return_exceptions=True)
    assert all(result is None or isinstance(result, NotFound) for result in results)
    assert None in results
    assert await paths(archive) == []
    cleanups = [
        await archive.operations.read_specification(one.id)
        async for one in archive.operations.read_all()
        if one.type is OperationType.DATA_CLEANUP and not one.status.has_ended
    ]
    assert {"generation": 2, "name": "~AS1", "number": 1} in cleanups


async def test_of_several_who_add_the_same_one_succeeds_or_takes_over(archive: Archive) -> None:
    results = await asyncio.gather(
        *(add_tags(archive, asked("PatientAge"), URL) for _ in range(4)), return_exceptions=True
    )
    references = [result for result in results if isinstance(result, dict)]
    assert references
    assert all(isinstance(result, dict | Conflict) for result in results)
    (tag,) = (await archive.tags.read()).tags.tags
    assert tag.number == 1
    assert tag.operation_id in {reference["id"] for reference in references}


async def test_what_it_costs(archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting()
    async with archive_through(counting, monkeypatch, settings) as counted:

        def spent() -> Counter[str]:
            found: Counter[str] = Counter()
            for name, count in counting.operations.items():
                method, _, store = name.partition(" ")
                found[f"{method} {'tags' if store.startswith('tags') else 'operations'}"] += count
            counting.operations.clear()
            return found

        reference = await add_tags(counted, asked("PatientAge"), URL)
        # The set is read, written and read; an operation is started.
        assert spent() == {"GET tags": 2, "POST tags": 1, "POST operations": 2}
        await cancel(archive, reference["id"])
        await add_tags(counted, asked("PatientSize"), URL)
        assert spent() == {"GET tags": 2, "PUT tags": 1, "GET operations": 1, "POST operations": 2}
        await read_tags(counted, ALL, URL)
        await read_tag(counted, ("00101010",), None, URL)
        assert spent() == {"GET tags": 2}
        await set_query_status(counted, ("00101010",), None, QueryStatus.DISABLED, URL)
        assert spent() == {"GET tags": 2, "PUT tags": 1}
        await set_query_status(counted, ("00101010",), None, QueryStatus.DISABLED, URL)
        assert spent() == {"GET tags": 1}
        await read_errors(counted, ("00101010",), None, ALL)
        assert spent() == {"GET tags": 2}
        await remove_tag(counted, ("00101010",), None)
        assert spent() == {"GET tags": 2, "PUT tags": 1, "POST operations": 2}
