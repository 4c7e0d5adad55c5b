"""Which errors of the SDKs mean that storage does not answer, or asks for less load."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from aiohttp import ClientConnectorError
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
)

from shared.errors import Unavailable

_REFUSALS: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)  # Azure's ServerBusy


def is_unavailable(error: AzureError) -> bool:
    """Whether an error is storage's fault: the operation may succeed later, or even have been carried out."""
    if isinstance(error, HttpResponseError):
        return error.status_code in (408, 429) or (error.status_code or 0) >= 500
    return isinstance(error, (ServiceRequestError, ServiceResponseError))


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
    except AzureError as error:
        if is_unavailable(error):
            raise Unavailable("Storage does not answer, or is overloaded; try again.") from error
        raise
