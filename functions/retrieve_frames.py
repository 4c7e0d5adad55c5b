"""The functions of the Retrieve transaction (WADO-RS) that send frames and bulk values."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions.edge import app
from functions.edge.answers import content_response, multipart_response, not_modified
from functions.edge.request import accepted, frame_numbers, instance_identifiers, service_url, transaction
from functions.edge.routes import FRAMES, INSTANCE, METHODS
from shared.dicom.transfer_syntaxes import frame_transfer_syntax
from shared.web.content_negotiation import Offer, negotiate
from shared.web.entity_tags import entity_tag
from shared.web.representations import bulk_value_offers, frame_offers

if TYPE_CHECKING:
    from shared.archive.instance import InstanceWithFrames
    from shared.services.retrieve.stored_file import StoredFile
    from shared.web.content import Content

bp = func.Blueprint()


@bp.function_name("RetrieveFrames")
@bp.route(FRAMES, methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_frames(req: Request) -> Response:
    """Frames of an instance, by number from 1, in the order of the list."""
    from shared.services.retrieve.instances import find_instance

    numbers = frame_numbers(req)
    record = await find_instance(await app.archive(), instance_identifiers(req))
    return await _answer_frames(req, record, numbers)


@bp.function_name("RetrieveBulkdata")
@bp.route(INSTANCE + "/bulkdata/{*path}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_bulkdata(req: Request) -> Response:
    """The value that a BulkDataURI of the metadata names; encapsulated Pixel Data comes as its frames, a part each."""
    from shared.services.retrieve.bulk_data import PIXEL_DATA_PATHS, bulk_value
    from shared.services.retrieve.instances import find_instance
    from shared.services.retrieve.stored_file import open_file

    archive, work = await app.archive(), app.pixel_work()
    record = await find_instance(archive, instance_identifiers(req))
    path = (req.path_params.get("path") or "").upper()
    tag = entity_tag(record.blob_version, "bulkdata", path, req.headers.get("accept"), service_url(req))
    if answer := not_modified(req, tag):
        return answer
    file = await open_file(archive, record, work)
    if path in PIXEL_DATA_PATHS and file.frames is not None and file.frames.is_encapsulated:
        return await _answer_frames(req, record, range(1, file.frames.frame_count + 1))
    content = await bulk_value(file, work, path)
    offer = negotiate(accepted(req), bulk_value_offers(content.media_type))
    # dicomweb-client asks for a range of the value, and takes an answer that is a range of the message for the value.
    is_ranged = content.is_ranged and not offer.is_multipart
    content = replace(content, media_type=offer.media_type, is_ranged=is_ranged)
    return await content_response(req, offer, content, tag)


async def _answer_frames(req: Request, record: "InstanceWithFrames", numbers: Sequence[int]) -> Response:
    from shared.services.retrieve.stored_file import open_file
    from shared.web.content import begun

    offer = negotiate(accepted(req), frame_offers(record.transfer_syntax_uid, are_several=len(numbers) > 1))
    (uid,) = offer.transfer_syntax_uids
    tag = entity_tag(record.blob_version, list(numbers), offer.media_type, offer.is_multipart, uid, service_url(req))
    if answer := not_modified(req, tag):
        return answer
    file = await open_file(await app.archive(), record, app.pixel_work())
    if len(numbers) == 1:
        return await content_response(req, offer, await _frame(file, numbers[0], offer, uid), tag)
    contents = await begun(_frames(file, numbers, offer, uid))
    return multipart_response(req, offer, contents, tag)


async def _frame(file: "StoredFile", number: int, offer: Offer, uid: str) -> "Content":
    from shared.services.retrieve.frames import stored_frame

    if uid == frame_transfer_syntax(file.transfer_syntax_uid):
        return stored_frame(file, number, offer.media_type)
    return await anext(_frames(file, [number], offer, uid))


def _frames(file: "StoredFile", numbers: Sequence[int], offer: Offer, uid: str) -> AsyncIterator["Content"]:
    if uid == frame_transfer_syntax(file.transfer_syntax_uid):
        from shared.services.retrieve.frames import stored_frames

        return stored_frames(file, numbers, offer.media_type)
    from shared.services.retrieve.transcoding import frames_in

    return frames_in(file, app.pixel_work(), numbers, uid, offer.media_type)
