"""From errors to answers: problem documents (RFC 9457), and how much of a body is read before a refusal."""

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from functions.edge.request_record import trace_id_of
from functions.edge.sign_in import challenge
from shared.errors import DicomWebError, MethodNotAllowed, UnsupportedContentCoding
from shared.failures import described
from shared.settings import SettingsError
from shared.web.problem_document import PROBLEM, problem_document

_RETRY_SECONDS: Final = 5
_DRAIN_BYTES: Final = 16 * 1024**2
_DRAIN_SECONDS: Final = 3

_logger = logging.getLogger(__name__)


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document for an error, with the given headers; for 503, with Retry-After instead."""
    headers = {"Retry-After": str(_RETRY_SECONDS)} if status is HTTPStatus.SERVICE_UNAVAILABLE else headers
    return Response(problem_document(status, detail), status, headers, media_type=PROBLEM)


async def problem_of(error: Exception, handler: str, req: Request) -> Response:
    """The answer to a request whose handler failed. Missing settings and unforeseen errors are logged."""
    match error:
        case DicomWebError():
            await _drain(req)
            return problem(error.status, str(error), _headers_of(error))
        case ClientDisconnect():
            return problem(HTTPStatus.BAD_REQUEST, "The client went away.")
        case SettingsError():
            _logger.error("The service is not configured: %s", error)
            await _drain(req)
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The service is not configured.")
        case _:
            _logger.error("%s failed, trace=%s: %s", handler, trace_id_of(req), described(error))
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed; the fault is the server's.")


def _headers_of(error: DicomWebError) -> Mapping[str, str] | None:
    match error:
        case MethodNotAllowed():
            return {"Allow": ", ".join(error.allowed)}
        case UnsupportedContentCoding():
            return {"Accept-Encoding": "gzip"}  # RFC 9110 12.5.3
        case _:
            return challenge(error)


async def _drain(req: Request) -> None:
    """Read on before an early refusal: a host that is still forwarding the body takes an early answer for a failure."""
    received = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in req.stream():
                received += len(chunk)
                if received > _DRAIN_BYTES:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: the body was read to its end before
        return
