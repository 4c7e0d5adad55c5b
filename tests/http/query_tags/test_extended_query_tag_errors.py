"""In which instances extended query tags could not be indexed, over HTTP."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx

from shared.archive.extended_tags import ExtendedTag, QueryStatus
from shared.archive.operation import OperationStatus
from shared.dicom.identifiers import InstanceIdentifiers
from shared.storage.archive import Archive
from shared.storage.tag_table import TagError
from tests.support.default_partition import identifiers_of
from tests.support.query_tags import AGE, PRIVATE, TAGS, URL, added, check, ended
from tests.support.served_instances import dataset, new_uid, part10


async def stored(client: httpx.AsyncClient) -> InstanceIdentifiers:
    image = dataset(StudyInstanceUID=new_uid())
    headers = {"Content-Type": "application/dicom"}
    assert (await client.post("/studies", content=part10(image), headers=headers)).status_code == 200
    return identifiers_of(image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID)


async def test_errors_are_listed_by_time_without_what_has_gone(client: httpx.AsyncClient, archive: Archive) -> None:
    await ended(archive, await added(client, AGE, PRIVATE), OperationStatus.SUCCEEDED)
    path = f"{TAGS}/00101010"
    assert await check(client, await client.get(f"{path}/errors?limit=100&offset=0"), "ExtendedQueryTagErrors") == []
    instances = [await stored(client) for _ in range(4)]
    begun = datetime(2026, 5, 4, 12, tzinfo=UTC)
    errors = [
        TagError(instance, begun - timedelta(seconds=index), "It must be three digits and one of D, W, M, Y.")
        for index, instance in enumerate(instances)
    ]
    await archive.tags.add_errors(1, errors)

    def disabled(tag: ExtendedTag) -> ExtendedTag:
        return replace(tag, error_count=4, query_status=QueryStatus.DISABLED)

    await archive.tags.change(lambda tags: tags.with_changed(disabled(tags.tags[0])))
    tag = await check(client, await client.get(path), "ExtendedQueryTag")
    assert tag == {
        **AGE,
        "status": "Ready",
        "queryStatus": "Disabled",
        "errors": {"count": 4, "href": f"{URL}{path}/errors"},
    }
    shown = await check(client, await client.get(tag["errors"]["href"].removeprefix(URL)), "ExtendedQueryTagErrors")
    assert [one["sopInstanceUid"] for one in shown] == [one.sop_instance_uid for one in reversed(instances)]
    assert shown[0] == {
        "studyInstanceUid": instances[3].study_instance_uid,
        "seriesInstanceUid": instances[3].series_instance_uid,
        "sopInstanceUid": instances[3].sop_instance_uid,
        "createdTime": "2026-05-04T11:59:57.000000Z",
        "errorMessage": "It must be three digits and one of D, W, M, Y.",
    }
    page = await client.get(f"{path}/errors", params={"limit": 2, "offset": 1})
    assert page.json() == shown[1:3]
    assert (await client.delete(f"/{instances[2].study.path}")).status_code == 204
    assert (await client.get(f"{path}/errors")).json() == [shown[0], *shown[2:]]
    assert (await client.get(f"{path}/errors", params={"limit": 2})).json() == shown[:1]
    assert (await client.get(f"{TAGS}/00991001/errors")).json() == []  # those of another tag
    for query in ("limit=0", "limit=201", "offset=-1"):
        assert (await client.get(f"{path}/errors?{query}")).status_code == 400


async def test_the_errors_of_a_private_tag_name_its_creator(client: httpx.AsyncClient, archive: Archive) -> None:
    await added(client, PRIVATE)
    await archive.tags.change(lambda tags: tags.with_changed(replace(tags.tags[0], error_count=1)))
    href = (await client.get(f"{TAGS}/00991001")).json()["errors"]["href"]
    assert href == f"{URL}{TAGS}/00991001/errors?privateCreator=X"
    assert (await client.get(href.removeprefix(URL))).json() == []
