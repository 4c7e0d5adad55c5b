"""The functions of the Store transaction (STOW-RS): POST of instances."""

import json
from collections.abc import AsyncIterator

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions.edge import app
from functions.edge.request import accepted, api_version, body, resource, service_url, transaction
from shared.errors import PayloadTooLarge, UnsupportedMediaType
from shared.multipart import (
    Event,
    Headers,
    MessageEnd,
    MultipartDecoder,
    MultipartLimits,
    PartBegin,
    PartData,
    PartEnd,
    decode_events,
)
from shared.web.content_negotiation import negotiate
from shared.web.media_types import boundary_of, parse_media_type
from shared.web.representations import STORE_RESPONSE
from shared.web.store_response import status_of, store_response

bp = func.Blueprint()


@bp.function_name("StoreInstances")
@bp.route("{version}/studies", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def store_instances(req: Request) -> Response:
    """Store instances of any study (PS3.18 10.5)."""
    return await _store(req, None)


@bp.function_name("StoreStudyInstances")
@bp.route("{version}/studies/{study}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def store_study_instances(req: Request) -> Response:
    """Store instances of the study that the path names; those of another fail."""
    return await _store(req, resource(req).study_instance_uid)


async def _store(req: Request, study_instance_uid: str | None) -> Response:
    answer = negotiate(accepted(req), STORE_RESPONSE)
    url = service_url(req)
    events = _events(req)
    service = await app.store_service()
    outcomes = await service.store(events, study_instance_uid=study_instance_uid, version=api_version(req))
    status = status_of(outcomes)
    if not outcomes:
        return Response(status_code=status)
    # dicomweb-client reads the answer only if its Content-Type is this one, without parameters.
    return Response(json.dumps(store_response(outcomes, url)), status, media_type=answer.media_type)


def _events(req: Request) -> AsyncIterator[Event]:
    """The parts of the request; a body of one instance is one part. Raises UnsupportedMediaType and BadRequest."""
    content_type = req.headers.get("content-type")
    if content_type is None:
        raise UnsupportedMediaType(f"The request has no Content-Type. {_ACCEPTED}")
    media_type = parse_media_type(content_type)
    if media_type.name == "application/dicom":
        return _single_part(body(req), app.settings().max_part_bytes)
    part_type = media_type.parameters.get("type", "application/dicom")
    if media_type.name != "multipart/related" or part_type.lower() not in ("application/dicom", "*/*"):
        raise UnsupportedMediaType(f"The request's Content-Type is not one that is read. {_ACCEPTED}")
    settings = app.settings()
    limits = MultipartLimits(
        max_parts=settings.max_parts,
        max_part_bytes=settings.max_part_bytes,
        max_total_bytes=settings.max_request_bytes,
    )
    return decode_events(body(req), MultipartDecoder(boundary_of(media_type), limits=limits))


_ACCEPTED = 'Send multipart/related; type="application/dicom", or application/dicom for one instance.'


async def _single_part(chunks: AsyncIterator[bytes], max_part_bytes: int) -> AsyncIterator[Event]:
    yield PartBegin(Headers({"Content-Type": "application/dicom"}))
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        if received > max_part_bytes:
            raise PayloadTooLarge(f"The instance is larger than {max_part_bytes} bytes (max_part_bytes).")
        yield PartData(chunk)
    yield PartEnd()
    yield MessageEnd()
