"""The pipeline of the requests that this project writes itself: the SDK's public parts, but fewer of them.

It has no policies that log, for they would log keys; none that trace, follow redirects or choose a proxy, which storage
does not need and the transport does.
"""

from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, Final

from azure.core import AsyncPipelineClient
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncRetryPolicy,
    AzureSasCredentialPolicy,
    HeadersPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.rest import HttpRequest

from shared.storage.shared_key import SharedKeyPolicy

_SCOPE: Final = "https://storage.azure.com/.default"

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
        case None:
            return []
        case _:
            return [AsyncBearerTokenCredentialPolicy(credential, _SCOPE)]
