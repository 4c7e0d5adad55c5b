"""Extended query tags, and their errors, as JSON. Pure."""

from collections.abc import Mapping
from typing import Any

from shared.archive.extended_tags import ExtendedTag
from shared.services.operations.operation_states import reference_to
from shared.storage.tag_table import TagError
from shared.web.extended_query_tag_request import errors_url


def tag_json(tag: ExtendedTag, url: str) -> Mapping[str, Any]:
    """A tag; `url` is the service's, with version."""
    shown: dict[str, Any] = {"path": ".".join(tag.path), "vr": tag.vr}
    if tag.private_creator:
        shown["privateCreator"] = tag.private_creator
    shown["level"] = tag.level.word.capitalize()
    shown["status"] = tag.status.value
    shown["queryStatus"] = tag.query_status.value
    if tag.error_count:
        shown["errors"] = {"count": tag.error_count, "href": errors_url(url, tag.path, tag.private_creator)}
    if tag.operation_id:
        shown["operation"] = reference_to(tag.operation_id, url)
    return shown


def error_json(error: TagError) -> Mapping[str, Any]:
    """Why a tag does not index an instance."""
    return {
        "studyInstanceUid": error.instance.study_instance_uid,
        "seriesInstanceUid": error.instance.series_instance_uid,
        "sopInstanceUid": error.instance.sop_instance_uid,
        "createdTime": error.created.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "errorMessage": error.sentence,
    }
