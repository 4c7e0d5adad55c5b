"""The function of the URI Service (WADO-URI, PS3.18 9): one instance, named and asked for in the query."""

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions.edge import app
from functions.edge.answers import content_response, not_modified
from functions.edge.request import service_url, transaction
from functions.edge.routes import METHODS
from shared.web.content_negotiation import accept_of, negotiate
from shared.web.entity_tags import entity_tag
from shared.web.rendering_parameters import parse_uri
from shared.web.representations import DICOM, uri_offers
from shared.web.uri_request import parse_uri_request

bp = func.Blueprint()


@bp.function_name("RetrieveByUri")
@bp.route("{version}/wado", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_by_uri(req: Request) -> Response:
    """An instance as its file, or rendered, as `contentType` or Accept asks for; images are rendered by default."""
    from shared.services.retrieve.instances import file_in, find_instance
    from shared.services.retrieve.render import can_be_rendered, media_type_as_it_is, picture

    query = req.query_params.multi_items()
    asked = parse_uri_request(query)
    parameters = parse_uri(query)
    archive, work = await app.archive(), app.pixel_work()
    record = await find_instance(archive, asked.identifiers)
    shown_as = media_type_as_it_is(record)
    offers = uri_offers(record.transfer_syntax_uid, shown_as, is_rendered=can_be_rendered(record))
    offer = negotiate(accept_of(req.headers.get("accept"), asked.content_types), offers)
    tag = entity_tag(
        record.blob_version, repr(offer.media_type), sorted(offer.transfer_syntax_uids), query, service_url(req)
    )
    if answer := not_modified(req, tag):
        return answer
    if offer.media_type == DICOM:
        (uid,) = offer.transfer_syntax_uids
        content = await file_in(archive, record, work, uid)
    else:
        numbers = None if asked.frame_number is None else [asked.frame_number]
        content = await picture(archive, record, work, offer.media_type, parameters, numbers)
    return await content_response(req, offer, content, tag)
