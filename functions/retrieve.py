"""The functions of the Retrieve transaction (WADO-RS) that send instances: of a study, of a series, or one."""

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from functions.edge import app
from functions.edge.answers import content_response, multipart_response, not_modified
from functions.edge.request import accepted, instance_identifiers, resource, service_url, transaction
from functions.edge.routes import INSTANCE, METHODS, SERIES, STUDY
from shared.web.content_negotiation import negotiate
from shared.web.entity_tags import entity_tag
from shared.web.representations import ZIP, instance_offers, several_offers

bp = func.Blueprint()


@bp.function_name("RetrieveStudy")
@bp.route(STUDY, methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_study(req: Request) -> Response:
    """All instances of a study."""
    return await _retrieve_several(req)


@bp.function_name("RetrieveSeries")
@bp.route(SERIES, methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_series(req: Request) -> Response:
    """All instances of a series."""
    return await _retrieve_several(req)


@bp.function_name("RetrieveInstance")
@bp.route(INSTANCE, methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_instance(req: Request) -> Response:
    """An instance, as a part of its own or alone."""
    from shared.services.retrieve.instances import file_in, find_instance

    archive = await app.archive()
    record = await find_instance(archive, instance_identifiers(req))
    offer = negotiate(accepted(req), instance_offers(record.transfer_syntax_uid))
    (uid,) = offer.transfer_syntax_uids
    tag = entity_tag(record.blob_version, uid, offer.is_multipart, service_url(req))
    if answer := not_modified(req, tag):
        return answer
    return await content_response(req, offer, await file_in(archive, record, app.pixel_work(), uid), tag)


async def _retrieve_several(req: Request) -> Response:
    from shared.services.retrieve.instances import (
        files_as_stored,
        files_in,
        find_instances,
        find_instances_with_frames,
        find_transfer_syntaxes,
    )
    from shared.services.retrieve.zip_archive import zip_archive
    from shared.web.content import begun

    archive = await app.archive()
    stored = await find_transfer_syntaxes(archive, resource(req))
    offer = negotiate(accepted(req), several_offers(stored))
    if offer.transfer_syntax_uids in (stored, frozenset()):
        opened = files_as_stored(archive, find_instances(archive, resource(req)))
    else:
        (uid,) = offer.transfer_syntax_uids
        opened = files_in(archive, find_instances_with_frames(archive, resource(req)), app.pixel_work(), uid)
    files = opened if req.method == "HEAD" else await begun(opened)
    if offer.media_type == ZIP:
        name = (resource(req).series_instance_uid or resource(req).study_instance_uid) + ".zip"
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(zip_archive(files), headers=disposition, media_type=ZIP)
    return multipart_response(req, offer, files)
