"""Each class of error of the storage SDKs and of their HTTP library: whether it means that storage does not answer."""

import ssl
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import azure.core.exceptions
import azure.core.pipeline.transport
import azure.data.tables.aio
import azure.eventgrid.aio
import azure.storage.blob.aio
import azure.storage.queue.aio
import pytest

from shared.errors import Unavailable
from shared.storage.availability import is_unavailable, unavailable_storage

# By their status, and unavailable without one.
BY_STATUS = {
    "azure.core.exceptions": {
        "HttpResponseError",
        "ClientAuthenticationError",
        "ODataV4Error",
        "ResourceExistsError",
        "ResourceModifiedError",
        "ResourceNotFoundError",
        "ResourceNotModifiedError",
        "TooManyRedirectsError",
    },
    "azure.data.tables._error": {"TableTransactionError", "RequestTooLargeError"},
    "azure.data.tables._authentication": {"AzureSigningError"},
    "azure.storage.blob._shared.authentication": {"AzureSigningError"},
    "azure.storage.blob._shared.response_handlers": {"PartialBatchErrorException"},
    "azure.storage.queue._shared.authentication": {"AzureSigningError"},
    "azure.storage.queue._shared.response_handlers": {"PartialBatchErrorException"},
}
UNAVAILABLE = {
    "azure.core.exceptions": {
        "DecodeError",
        "IncompleteReadError",
        "ServiceRequestError",
        "ServiceRequestTimeoutError",
        "ServiceResponseError",
        "ServiceResponseTimeoutError",
    },
}
# We have misused the SDK.
OURS = {
    "azure.core.exceptions": {
        "AzureError",
        "ResponseNotReadError",
        "StreamClosedError",
        "StreamConsumedError",
    },
}
MODULES = ("azure.core", "azure.data", "azure.eventgrid", "azure.storage")


def below(base: type[BaseException]) -> Iterator[type[BaseException]]:
    yield base
    for one in base.__subclasses__():
        yield from below(one)


def named(table: dict[str, set[str]]) -> set[str]:
    return {f"{module}.{name}" for module, names in table.items() for name in names}


SDK_ERRORS = {
    f"{error.__module__}.{error.__qualname__}": error
    for error in below(azure.core.exceptions.AzureError)
    if error.__module__.startswith(MODULES)
}
HTTP_ERRORS = [error for error in below(aiohttp.ClientError) if error.__module__.startswith("aiohttp")]


def made(error: type[BaseException], status: int | None = None) -> BaseException:
    """An instance of the class, whatever its constructor asks for."""
    one = error.__new__(error)
    Exception.__init__(one)
    values: dict[str, Any] = {"status_code": status, "response": SimpleNamespace(status_code=status)}
    one.__dict__.update(values)
    return one


def test_each_class_of_the_sdks_is_known() -> None:
    assert SDK_ERRORS.keys() == named(BY_STATUS) | named(UNAVAILABLE) | named(OURS)


@pytest.mark.parametrize("name", sorted(named(BY_STATUS)))
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, True),
        (200, True),  # the SDK did not understand the answer
        *((status, False) for status in (304, 400, 401, 403, 404, 405, 409, 411, 412, 413, 416)),
        *((status, True) for status in (408, 429, 500, 501, 502, 503, 504)),
    ],
)
def test_an_answer_counts_by_its_status(name: str, status: int | None, expected: bool) -> None:
    assert is_unavailable(made(SDK_ERRORS[name], status)) is expected


@pytest.mark.parametrize("name", sorted(named(UNAVAILABLE)))
@pytest.mark.parametrize("status", [None, 200, 404])
def test_no_whole_answer_is_unavailable(name: str, status: int | None) -> None:
    assert is_unavailable(made(SDK_ERRORS[name], status))


@pytest.mark.parametrize("name", sorted(named(OURS)))
def test_a_misuse_is_ours(name: str) -> None:
    assert not is_unavailable(made(SDK_ERRORS[name]))


@pytest.mark.parametrize("error", HTTP_ERRORS, ids=lambda error: str(error.__name__))
def test_whatever_the_http_library_raises_is_unavailable(error: type[BaseException]) -> None:
    assert is_unavailable(made(error))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        BrokenPipeError(),
        TimeoutError(),
        ssl.SSLError(),
        ssl.SSLEOFError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_breaks_is_unavailable(error: Exception) -> None:
    with pytest.raises(Unavailable) as raised, unavailable_storage():
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyError(), ValueError(), FileNotFoundError(), MemoryError()])
def test_any_other_error_passes(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, unavailable_storage():
        raise error
    assert raised.value is error
