"""Which errors mean that storage does not answer, not completely, or asks for less load."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from aiohttp import ClientConnectorError, ClientError
from azure.core.exceptions import (
    AzureError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
)

from shared.errors import Unavailable

_REFUSALS: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)  # Azure's ServerBusy
_BROKEN_OFF: Final = (
    ServiceRequestError,
    ServiceResponseError,
    # From beneath the SDKs, which pass on what they do not expect while a body arrives.
    ClientError,
    ConnectionError,
    ssl.SSLError,
    TimeoutError,
)


def is_unavailable(error: BaseException) -> bool:
    """Whether an error is storage's fault: the operation may succeed later, or even have been carried out."""
    if isinstance(error, HttpResponseError):
        # An error in spite of its status, or without one: an answer that broke off.
        status = 0 if isinstance(error, DecodeError) else error.status_code or 0
        return status < 300 or status in (408, 429) or status >= 500
    return isinstance(error, _BROKEN_OFF)


def was_refused(error: AzureError) -> bool:
    """Whether such an error says that the operation was not carried out, and will not be."""
    if isinstance(error, HttpResponseError):
        return error.status_code in _REFUSALS
    return isinstance(error, ServiceRequestTimeoutError) or isinstance(error.__cause__, ClientConnectorError)


@contextmanager
def unavailable_storage() -> Iterator[None]:
    """Turn such errors, which the SDKs have already retried, into Unavailable; others pass unchanged."""
    try:
        yield
    except Exception as error:
        if is_unavailable(error):
            raise Unavailable("Storage does not answer, or is overloaded; try again.") from error
        raise
