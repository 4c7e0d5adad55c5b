"""The function of the URI Service (WADO-URI, PS3.18 9): one instance, named and asked for in the query."""

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.answers import retrieval_response
from functions.edge.app import App
from functions.edge.function import function
from functions.edge.request import answer_work, listed
from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.web.content_negotiation import accept_of
from shared.web.rendering_parameters import parse_uri
from shared.web.uri_request import parse_uri_request


@function("RetrieveByUri")
async def retrieve_by_uri(req: Request, app: App) -> Response:
    """An instance as its file or rendered, as `contentType` or Accept asks; images are rendered by default."""
    from shared.services.retrieve.wado_uri import retrieve_by_uri  # pydicom

    query = req.query_params.multi_items()
    asked, parameters = parse_uri_request(DEFAULT_PARTITION, query), parse_uri(query)
    found = await retrieve_by_uri(await app.archive(), asked, answer_work(req), parameters)
    return await retrieval_response(req, app, found, accept_of(listed(req, "accept"), asked.content_types))
