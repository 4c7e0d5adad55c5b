"""Deletes a study, series or instance by the transaction of Microsoft's service, after asking."""

from collections.abc import Callable
from http import HTTPStatus

from dicomweb_cli.connection import DICOM_JSON, CannotGoOn, Connection, expect, reason_of
from dicomweb_cli.resources import instances_of
from dicomweb_cli.results import results, value_of
from dicomweb_cli.terminal import OUT, plain
from shared.dicom.attributes import Level
from shared.dicom.identifiers import ResourceIdentifiers

# Description and date, of a study and of a series.
_DESCRIPTIONS = {Level.STUDY: ("00081030", "00080020"), Level.SERIES: ("0008103E", "00080021")}


async def delete(connection: Connection, resource: ResourceIdentifiers, agrees: Callable[[], bool]) -> bool:
    """Show what would go, delete it if `agrees`, and return whether it was. Raises Refused and CannotGoOn."""
    series, count = set(), 0
    async for instance in instances_of(connection, resource):
        series.add(instance.series_instance_uid)
        count += 1
    OUT.print(f"{connection.url}/{resource.path}", soft_wrap=True)
    if description := await _description(connection, resource):
        OUT.print(description, soft_wrap=True)
    OUT.print(f"{_counted(len(series), 'series', 'series')}, {_counted(count, 'instance', 'instances')}")
    if not agrees():
        return False
    response = await connection.send("DELETE", resource.path, headers={"Accept": DICOM_JSON})
    if response.status_code in (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
        raise CannotGoOn(f"{connection.url} does not delete: {response.status_code} {reason_of(response)}")
    expect(response, HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT)
    return True


async def _description(connection: Connection, resource: ResourceIdentifiers) -> str:
    tags = _DESCRIPTIONS.get(resource.level, ())
    path, key, uid = "studies", "StudyInstanceUID", resource.study_instance_uid
    if resource.series_instance_uid:
        path, key, uid = f"studies/{uid}/series", "SeriesInstanceUID", resource.series_instance_uid
    async for result in results(connection, path, [(key, uid)], wanted=1):
        return plain(", ".join(filter(None, (value_of(result, tag) for tag in tags))))
    return ""


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
