"""Studies, series and instances by the UIDs that commands name, and what a server holds of them."""

from collections.abc import AsyncIterator

from dicomweb_cli.connection import Connection, Refused
from dicomweb_cli.results import results, value_of
from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, ResourceIdentifiers, StudyKey, is_uid


def resource_of(study: str, series: str | None, instance: str | None) -> ResourceIdentifiers:
    """What the UIDs name. Raises ValueError, with a message for the user."""
    if instance and not series:
        raise ValueError("--instance needs the --series that contains it.")
    for uid in filter(None, (study, series, instance)):
        checked_uid(uid)
    return ResourceIdentifiers(StudyKey(DEFAULT_PARTITION, study), series or None, instance or None)


def checked_uid(text: str) -> str:
    """The text, if it is a UID. Raises ValueError, with a message for the user."""
    if not is_uid(text):
        raise ValueError(f"{text!r} is not a UID: digits and single dots, at most 64 characters.")
    return text


async def instances_of(connection: Connection, resource: ResourceIdentifiers) -> AsyncIterator[InstanceIdentifiers]:
    """The instances that the server lists of a study or series, or the one named.

    Raises Refused with status 404 where it lists none, and CannotGoOn.
    """
    parent = resource.path.partition("/instances/")[0]
    query = [("SOPInstanceUID", resource.sop_instance_uid)] if resource.sop_instance_uid else []
    is_empty = True
    async for result in results(connection, f"{parent}/instances", query):
        uids = (resource.study_instance_uid, value_of(result, "0020000E"), value_of(result, "00080018"))
        # They become names of files: invalid ones are dropped, whoever sent them.
        if all(map(is_uid, uids)):
            is_empty = False
            yield InstanceIdentifiers(resource.study, *uids[1:])
    if is_empty:
        raise Refused(404, f"there is no such {resource.level.word}")
