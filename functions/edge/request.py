"""The edge between HTTP and the services: what a request names, and how an answer or an error is said in HTTP.

Every function but /health is wrapped by `transaction`, which holds the only error handling of the edge.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from functions.edge.app import settings
from functions.edge.headers import add_headers, client_scheme
from functions.edge.request_log import Handler, observed, trace_id_of
from functions.edge.sign_in import challenge, check_sign_in
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers, uid_of_path
from shared.dicom.validation import ApiVersion
from shared.errors import BadRequest, DicomWebError, NotAcceptable, NotFound, PayloadTooLarge
from shared.failures import described
from shared.settings import SettingsError
from shared.web.content_negotiation import accept_of
from shared.web.cross_origin import allowed_origins
from shared.web.media_types import MediaType

VERSIONS: Final[tuple[ApiVersion, ...]] = ("v1", "v2")

_RETRY_SECONDS: Final = 5
_DRAIN_BYTES: Final = 16 * 1024**2
_DRAIN_SECONDS: Final = 3
_HOST: Final = re.compile(r"[A-Za-z0-9._\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")

_logger = logging.getLogger(__name__)


def transaction(handler: Handler, *, needs_sign_in: bool = True) -> Handler:
    """Wrap a handler: let nobody in who has not signed in, refuse unknown versions, answer errors as problem documents.

    Every answer gets the headers that all have. What tells nothing of the archive may do without sign-in.
    """

    @wraps(handler)
    async def answer(req: Request) -> Response:
        response = await _answer_or_problem(handler, req, needs_sign_in)
        add_headers(req, response)
        return response

    return observed(answer)


async def _answer_or_problem(handler: Handler, req: Request, needs_sign_in: bool) -> Response:
    try:
        return await _answer(handler, req, needs_sign_in)
    except DicomWebError as error:
        await _drain(req)
        return problem(error.status, str(error), challenge(error))
    except ClientDisconnect:
        return problem(HTTPStatus.BAD_REQUEST, "The client went away.")
    except SettingsError as error:
        _logger.error("The service is not configured: %s", error)
        await _drain(req)
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The service is not configured.")
    except Exception as error:  # noqa: BLE001 -- it is logged, without its message, and answered
        _logger.error("%s failed, trace=%s: %s", handler.__name__, trace_id_of(req), described(error))
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed; the fault is the server's.")


async def _answer(handler: Handler, req: Request, needs_sign_in: bool) -> Response:
    allowed_origins(settings().cors_origins)
    if needs_sign_in:
        await check_sign_in(req)
    api_version(req)
    from shared.storage.availability import unavailable_storage

    with unavailable_storage():
        response = await handler(req)
    return _head(response) if req.method == "HEAD" else response


def _head(response: Response) -> Response:
    """The answer to HEAD: that to GET without its body, and with no length where that one has none."""
    head = Response(status_code=response.status_code, headers=dict(response.headers))
    if "content-length" not in response.headers:
        del head.headers["content-length"]
    return head


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document (RFC 9457) for an error; with Retry-After, or other headers of the caller's."""
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    headers = {"Retry-After": str(_RETRY_SECONDS)} if status is HTTPStatus.SERVICE_UNAVAILABLE else headers
    return Response(json.dumps(body), status, headers, media_type="application/problem+json")


async def _drain(req: Request) -> None:
    """Read on before an early refusal: a host that still forwards the body takes an answer to it for a failure."""
    received = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in req.stream():
                received += len(chunk)
                if received > _DRAIN_BYTES:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: the body was read to its end before
        return


def api_version(req: Request) -> ApiVersion:
    """The version that the path names; raises NotFound for another than those served."""
    asked = req.path_params["version"].lower()
    for version in VERSIONS:
        if asked == version:
            return version
    raise NotFound(f"There is no such version of the API; there are {' and '.join(VERSIONS)}.")


def resource(req: Request) -> ResourceIdentifiers:
    """The study, series or instance that the path names; raises BadRequest for a UID that is none."""
    study, series, instance = (
        uid_of_path(req.path_params[name], name) if name in req.path_params else None
        for name in ("study", "series", "instance")
    )
    if study is None:
        raise BadRequest("The path names no study.")
    return ResourceIdentifiers(study, series, instance)


def instance_identifiers(req: Request) -> InstanceIdentifiers:
    """The instance that the path names; raises BadRequest for a UID that is none."""
    return InstanceIdentifiers(*(uid_of_path(req.path_params[name], name) for name in ("study", "series", "instance")))


def accepted(req: Request) -> tuple[MediaType, ...]:
    """The media ranges that the request accepts, by header or query parameter.

    Raises NotAcceptable where the `charset` parameter (PS3.18 8.3.3.2) asks for text in another than UTF-8.
    """
    charsets = [
        name.partition(";")[0].strip().lower() for name in ",".join(req.query_params.getlist("charset")).split(",")
    ]
    if any(charsets) and not {"utf-8", "utf8", "*"} & set(charsets):
        raise NotAcceptable("Text is sent in UTF-8 only.")
    return accept_of(req.headers.get("accept"), req.query_params.getlist("accept"))


def service_url(req: Request) -> str:
    """The service's URL as clients see it, ``scheme://host/version``.

    The public base URL of the settings; else what the host in front says that the client used, if the settings trust
    it; else the request's own Host.
    """
    base = settings().public_base_url.rstrip("/")
    if not base:
        scheme, host = client_scheme(req, settings()), req.headers.get("host", "")
        if settings().trust_forwarded:
            host = _first(req.headers.get("x-forwarded-host")) or host
        if scheme not in ("http", "https") or not _HOST.fullmatch(host):
            raise BadRequest("The Host of the request is not a host name.")
        base = f"{scheme}://{host}"
    return f"{base}/{api_version(req)}"


def _first(header: str | None) -> str:
    return (header or "").partition(",")[0].strip()


async def body(req: Request) -> AsyncIterator[bytes]:
    """The request's body as it arrives; raises PayloadTooLarge, at once where its length is announced."""
    limit = settings().max_request_bytes
    announced = req.headers.get("content-length", "")
    received = 0
    too_large = PayloadTooLarge(f"The body is larger than {limit} bytes.")
    if announced.isdigit() and int(announced) > limit:
        raise too_large
    async for chunk in req.stream():
        received += len(chunk)
        if received > limit:
            raise too_large
        if chunk:
            yield chunk


def frame_numbers(req: Request) -> list[int]:
    """The numbers of the path's frame list, such as ``1,2,3``; raises BadRequest for anything else."""
    numbers = req.path_params["frames"].split(",")
    if not all(number.isascii() and number.isdigit() and len(number) < 10 for number in numbers):
        raise BadRequest("The frame list must be frame numbers from 1, joined by commas.")
    most = settings().max_frames
    if len(numbers) > most:
        raise BadRequest(f"The frame list is longer than {most} frames.")
    return [int(number) for number in numbers]
