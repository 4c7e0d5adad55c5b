"""Extended query tags over HTTP from the request to the end of its operation, and of the one that cleans up."""

from typing import Any

import httpx
import pytest

from shared.services.operations import upkeep
from shared.services.tag_set import add_tags
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.operation_messages import messages_of
from tests.support.query_tags import AGE, TAGS, URL, added, check
from tests.support.served_instances import dataset, new_uid, part10


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations begin at once: there is no other process."""
    for module in (add_tags, upkeep):
        monkeypatch.setattr(module, "UNSEEN_SECONDS", 0)


async def store(client: httpx.AsyncClient, **attributes: Any) -> str:
    image = dataset(StudyInstanceUID=new_uid(), **attributes)
    headers = {"Content-Type": "application/dicom"}
    assert (await client.post("/studies", content=part10(image), headers=headers)).status_code in (200, 202)
    return str(image.SOPInstanceUID)


async def test_tags_become_ready_and_go_without_a_trace(
    client: httpx.AsyncClient, archive: Archive, settings: Settings
) -> None:
    await store(client, PatientAge="050Y")
    wrong = await store(client, PatientAge="fifty")
    station = {"path": "00081010", "vr": "SH", "level": "Series"}
    async with messages_of(settings) as messages:
        operation_id = await added(client, AGE, station)
        await messages.deliver_all(archive, settings)
        for version, word in (("v1", "completed"), ("v2", "succeeded")):
            root = URL.removesuffix("v2") + version
            response = await client.get(f"http://localhost:7071/{version}/operations/{operation_id}")
            state = await check(client, response, "Operation")
            assert (state["type"], state["status"], state["percentComplete"]) == ("reindex", word, 100)
            assert state["resources"] == [f"{root}{TAGS}/00101010", f"{root}{TAGS}/00081010"]
        ready = {"status": "Ready", "queryStatus": "Enabled"}
        errors = {"count": 1, "href": f"{URL}{TAGS}/00101010/errors"}
        assert await check(client, await client.get(TAGS), "ExtendedQueryTags") == [
            {**AGE, **ready, "queryStatus": "Disabled", "errors": errors},
            station | ready,
        ]
        (error,) = await check(client, await client.get(f"{TAGS}/00101010/errors"), "ExtendedQueryTagErrors")
        assert error["sopInstanceUid"] == wrong
        assert "fifty" not in error["errorMessage"]

        assert (await client.delete(f"{TAGS}/00101010")).status_code == 204
        again = await added(client, AGE)  # while the other one still cleans up
        await messages.deliver_all(archive, settings)
        assert (await client.get(f"/operations/{again}")).json()["status"] == "succeeded"
        (cleanup,) = (await client.get("/operations?type=dataCleanup")).json()
        assert cleanup["status"] == "succeeded"
        tags = (await archive.tags.read()).tags
        assert [tag.number for tag in tags.tags] == [2, 3]
        assert tags.removed == ()
        assert [error async for error in archive.tags.read_errors(1)] == []
        assert len((await client.get(f"{TAGS}/00101010/errors")).json()) == 1  # those of the new one
        assert (await client.get(f"/operations/{operation_id}")).json()["resources"] == [f"{URL}{TAGS}/00081010"]
