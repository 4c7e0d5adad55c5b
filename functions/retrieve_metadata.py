"""The functions of the Retrieve transaction (WADO-RS) that send metadata."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions.edge import app
from functions.edge.answers import accepts_gzip, multipart_response, not_modified, text_response
from functions.edge.request import accepted, instance_identifiers, resource, service_url, transaction
from functions.edge.routes import INSTANCE, METHODS, SERIES, STUDY
from shared.web.content_negotiation import negotiate
from shared.web.entity_tags import entity_tag
from shared.web.representations import METADATA

if TYPE_CHECKING:
    from shared.archive.instance import InstanceMetadata

bp = func.Blueprint()


@bp.function_name("RetrieveStudyMetadata")
@bp.route(STUDY + "/metadata", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_study_metadata(req: Request) -> Response:
    """The metadata of all instances of a study."""
    return await _retrieve_several(req)


@bp.function_name("RetrieveSeriesMetadata")
@bp.route(SERIES + "/metadata", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_series_metadata(req: Request) -> Response:
    """The metadata of all instances of a series."""
    return await _retrieve_several(req)


@bp.function_name("RetrieveInstanceMetadata")
@bp.route(INSTANCE + "/metadata", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_instance_metadata(req: Request) -> Response:
    """The metadata of an instance."""
    from shared.services.retrieve.instances import find_instance_metadata

    record = await find_instance_metadata(await app.archive(), instance_identifiers(req))
    return await _answer(req, record.blob_version, _only(record))


async def _retrieve_several(req: Request) -> Response:
    from shared.services.retrieve.metadata import find_metadata, metadata_version

    archive = await app.archive()
    version = await metadata_version(archive, resource(req))
    return await _answer(req, version, find_metadata(archive, resource(req)))


async def _answer(req: Request, version: str, records: AsyncIterator["InstanceMetadata"]) -> Response:
    from shared.services.retrieve.metadata import json_array, xml_documents
    from shared.web.content import begun

    archive = await app.archive()
    offer = negotiate(accepted(req), METADATA)
    tag = entity_tag(version, offer.media_type, accepts_gzip(req), service_url(req))
    if answer := not_modified(req, tag):
        return answer
    if offer.is_multipart:
        documents = await begun(xml_documents(archive, records, service_url(req)))
        return multipart_response(req, offer, documents, tag)
    return text_response(req, offer, await begun(json_array(archive, records, service_url(req))), tag)


async def _only(record: "InstanceMetadata") -> AsyncIterator["InstanceMetadata"]:
    yield record
