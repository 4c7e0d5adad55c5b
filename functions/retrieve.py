"""The functions of the Retrieve transaction (WADO-RS): instances, metadata, frames and bulk values."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from functions import _services
from functions._http import accepted, begun, instance_identifiers, resource, service_url, transaction
from functions._multipart import multipart_response, single_response
from shared.errors import BadRequest, NotAcceptable
from shared.media_types import Offer, negotiate
from shared.transfer_syntaxes import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    OCTET_STREAM,
    frame_media_type,
    frame_transfer_syntax,
)

if TYPE_CHECKING:
    from shared.records import InstanceRecord
    from shared.services.retrieve import Content

bp = func.Blueprint()

_STUDY: Final = "{version}/studies/{study}"
_SERIES: Final = _STUDY + "/series/{series}"
_INSTANCE: Final = _SERIES + "/instances/{instance}"
_METHODS: Final = ["GET", "HEAD"]

_DICOM: Final = "application/dicom"
_METADATA_OFFERS: Final = (Offer("application/dicom+json", False), Offer("application/json", False))


@bp.function_name("RetrieveStudy")
@bp.route(_STUDY, methods=_METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_study(req: Request) -> Response:
    """All instances of a study."""
    return await _retrieve_several(req)


@bp.function_name("RetrieveSeries")
@bp.route(_SERIES, methods=_METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_series(req: Request) -> Response:
    """All instances of a series."""
    return await _retrieve_several(req)


@bp.function_name("RetrieveInstance")
@bp.route(_INSTANCE, methods=_METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_instance(req: Request) -> Response:
    """An instance, as a part of its own or alone."""
    from shared.services import retrieve

    archive = await _services.archive()
    record = await retrieve.find_instance(archive, instance_identifiers(req))
    syntaxes = frozenset({record.transfer_syntax_uid})
    offer = _negotiate(req, (Offer(_DICOM, True, syntaxes), Offer(_DICOM, False, syntaxes)))
    content = await retrieve.file(archive, record)
    return single_response(offer, record.transfer_syntax_uid, content, service_url(req))


@bp.function_name("RetrieveStudyMetadata")
@bp.route(_STUDY + "/metadata", methods=_METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_study_metadata(req: Request) -> Response:
    """The metadata of all instances of a study."""
    return await _retrieve_metadata(req)


@bp.function_name("RetrieveSeriesMetadata")
@bp.route(_SERIES + "/metadata", methods=_METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_series_metadata(req: Request) -> Response:
    """The metadata of all instances of a series."""
    return await _retrieve_metadata(req)


@bp.function_name("RetrieveInstanceMetadata")
@bp.route(_INSTANCE + "/metadata", methods=_METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_instance_metadata(req: Request) -> Response:
    """The metadata of an instance."""
    return await _retrieve_metadata(req)


@bp.function_name("RetrieveFrames")
@bp.route(_INSTANCE + "/frames/{frames}", methods=_METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_frames(req: Request) -> Response:
    """Frames of an instance, by number from 1, in the order of the list."""
    from shared.services import retrieve

    numbers = _frame_numbers(req.path_params["frames"])
    archive = await _services.archive()
    record = await retrieve.find_instance(archive, instance_identifiers(req), with_frames=True)
    table = await retrieve.frame_table(archive, record)
    return await _frames_response(req, record, retrieve.frames(archive, record, table, numbers), len(numbers) == 1)


@bp.function_name("RetrieveBulkdata")
@bp.route(_INSTANCE + "/bulkdata/{*path}", methods=_METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_bulkdata(req: Request) -> Response:
    """The value that a BulkDataURI of the metadata names; encapsulated Pixel Data comes as its frames, a part each."""
    from shared.services import retrieve

    archive = await _services.archive()
    record = await retrieve.find_instance(archive, instance_identifiers(req), with_frames=True)
    path = (req.path_params.get("path") or "").upper()
    if path == retrieve.PIXEL_DATA and record.frames != b"":
        table = await retrieve.frame_table(archive, record)
        if table.is_encapsulated:
            numbers = range(1, table.frame_count + 1)
            return await _frames_response(req, record, retrieve.frames(archive, record, table, numbers), False)
    offer = negotiate(accepted(req), (Offer(OCTET_STREAM, True), Offer(OCTET_STREAM, False)))
    content = await retrieve.bulk_value(archive, record, path)
    return single_response(offer, EXPLICIT_VR_LITTLE_ENDIAN, content, service_url(req))


async def _retrieve_several(req: Request) -> Response:
    from shared.services import retrieve

    archive = await _services.archive()
    offer = _negotiate(req, (Offer(_DICOM, True, await retrieve.find_transfer_syntaxes(archive, resource(req))),))
    files = await begun(retrieve.files(archive, retrieve.find_instances(archive, resource(req))))
    contents = ((record.transfer_syntax_uid, content) async for record, content in files)
    return multipart_response(offer, contents, service_url(req))


async def _retrieve_metadata(req: Request) -> Response:
    from shared.services import retrieve

    archive = await _services.archive()
    offer = negotiate(accepted(req), _METADATA_OFFERS)
    records = retrieve.find_instances(archive, resource(req), with_metadata=True)
    text = await begun(retrieve.metadata(archive, records, service_url(req)))
    return StreamingResponse(text, media_type=offer.media_type)


async def _frames_response(
    req: Request, record: "InstanceRecord", frames: AsyncIterator["Content"], may_be_single: bool
) -> Response:
    syntax = frame_transfer_syntax(record.transfer_syntax_uid)
    # The standard's media type of the stored frame first; the octets of it are what viewers ask for.
    media_types = dict.fromkeys((frame_media_type(record.transfer_syntax_uid), OCTET_STREAM))
    offers = [Offer(media_type, True, frozenset({syntax})) for media_type in media_types]
    if may_be_single:
        offers += [Offer(media_type, False, frozenset({syntax})) for media_type in media_types]
    offer = _negotiate(req, offers)
    frames = await begun(frames)
    if may_be_single:
        return single_response(offer, syntax, await anext(frames), service_url(req))
    return multipart_response(offer, ((syntax, frame) async for frame in frames), service_url(req))


def _negotiate(req: Request, offers: Sequence[Offer]) -> Offer:
    """The offer to send, all of them as stored; raises NotAcceptable, saying so."""
    try:
        return negotiate(accepted(req), offers)
    except NotAcceptable as error:
        raise NotAcceptable(f"{error} Instances are sent as they are stored; they are not transcoded.") from error


def _frame_numbers(text: str) -> list[int]:
    """The frame numbers of a list such as ``1,2,3``; raises BadRequest for anything else."""
    numbers = text.split(",")
    if not all(number.isascii() and number.isdigit() and len(number) < 10 for number in numbers):
        raise BadRequest("The frame list must be frame numbers from 1, joined by commas.")
    most = _services.settings().max_frames
    if len(numbers) > most:
        raise BadRequest(f"The frame list is longer than {most} frames.")
    return [int(number) for number in numbers]
