"""The functions of the Store transaction (STOW-RS): POST of instances."""

import asyncio
import json
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.app import App
from functions.edge.function import function
from functions.edge.request import accepted, answer_work, api_version, resource, service_url
from functions.edge.request_body import part_events
from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.web.content_negotiation import negotiate
from shared.web.offers import DICOM_XML, STORE_RESPONSE
from shared.web.store_response import Outcome, status_of, store_response


@function("StoreInstances")
async def store_instances(req: Request, app: App) -> Response:
    """Store instances of any study (PS3.18 10.5)."""
    return await _store(req, app, None)


@function("StoreStudyInstances")
async def store_study_instances(req: Request, app: App) -> Response:
    """Store instances of the study that the path names; instances of other studies fail."""
    return await _store(req, app, resource(req).study_instance_uid)


async def _store(req: Request, app: App, study_instance_uid: str | None) -> Response:
    answer = negotiate(accepted(req), STORE_RESPONSE)
    url = service_url(req, app.settings)
    events = part_events(req, app.settings)
    service = await app.store_service()
    outcomes = await service.store(
        events,
        answer_work(req),
        partition=DEFAULT_PARTITION,
        study_instance_uid=study_instance_uid,
        api_version=api_version(req),
    )
    status = status_of(outcomes)
    if not outcomes:
        return Response(status_code=status)
    body = await asyncio.to_thread(_body, outcomes, url, answer.media_type)
    # dicomweb-client reads the answer only if its Content-Type is this one, without parameters.
    return Response(body, status, {"Content-Type": answer.media_type})


def _body(outcomes: Sequence[Outcome], url: str, media_type: str) -> str | bytes:
    text = store_response(outcomes, url)
    if media_type != DICOM_XML:
        return text
    from shared.dicom.dicom_xml import native_dicom_model  # pydicom

    return b"".join(native_dicom_model(json.loads(text).items()))
