"""The pipeline of the requests that this project writes itself: the SDK's public parts, but fewer of them.

It has no policies that log, for they would log keys; none that trace, follow redirects or choose a proxy, which storage
does not need and the transport does.
"""

from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

from azure.core import AsyncPipelineClient
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncRetryPolicy,
    AzureSasCredentialPolicy,
    HeadersPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.data.tables import RequestTooLargeError

from shared.storage.shared_key import SharedKeyPolicy

_SCOPE: Final = "https://storage.azure.com/.default"

_BY_CODE: Final[Mapping[str, type[HttpResponseError]]] = {
    "EntityAlreadyExists": ResourceExistsError,
    "AuthenticationFailed": ClientAuthenticationError,
    "InvalidAuthenticationInfo": ClientAuthenticationError,
}
_BY_STATUS: Final[Mapping[int, type[HttpResponseError]]] = {
    HTTPStatus.UNAUTHORIZED: ClientAuthenticationError,
    HTTPStatus.NOT_FOUND: ResourceNotFoundError,
    HTTPStatus.PRECONDITION_FAILED: ResourceModifiedError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: RequestTooLargeError,
}

Pipeline = AsyncPipelineClient[HttpRequest, Any]


def pipeline(url: str, credential: Any, headers: Mapping[str, str], options: Mapping[str, Any]) -> Pipeline:
    """A pipeline that gives each request these headers, and signs it with the credential of an SDK's client.

    `options` are the transport and the retries, as the SDK's clients take them.
    """
    policies = [
        HeadersPolicy(dict(headers)),
        UserAgentPolicy(),
        AsyncRetryPolicy(**options),
        _DatePolicy(),
        *_signing(credential),
    ]
    return AsyncPipelineClient(url, policies=policies, transport=options["transport"])


def error_of(response: AsyncHttpResponse, error_code: str, message: str) -> HttpResponseError:
    """The error that the SDK raises for an answer that is no success."""
    error = _BY_CODE.get(error_code) or _BY_STATUS.get(response.status_code, HttpResponseError)
    return coded(error(message=f"{message}\nErrorCode:{error_code}", response=response), error_code)


def coded(error: HttpResponseError, error_code: str) -> HttpResponseError:
    """The error, with the code as the SDK gives it."""
    error.error_code = error_code  # type: ignore[attr-defined]
    return error


class _DatePolicy(SansIOHTTPPolicy[Any, Any]):
    def on_request(self, request: PipelineRequest[Any]) -> None:
        request.http_request.headers["x-ms-date"] = formatdate(usegmt=True)


def _signing(credential: Any) -> list[Any]:
    """The policy that signs requests; none where the URL is signed."""
    match credential:
        case AzureNamedKeyCredential():
            return [SharedKeyPolicy(credential)]
        case AzureSasCredential():
            return [AzureSasCredentialPolicy(credential)]
        case SansIOHTTPPolicy():  # as the client of blobs keeps a key
            return [credential]
        case None:
            return []
        case _:
            return [AsyncBearerTokenCredentialPolicy(credential, _SCOPE)]
