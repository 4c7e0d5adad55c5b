"""Signing requests to table storage with an account's key (Microsoft's "Authorize with Shared Key")."""

import hmac
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Any

from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from yarl import URL


class SharedKeyPolicy(SansIOHTTPPolicy[Any, Any]):
    """Signs each request, which has its x-ms-date, as it is sent."""

    def __init__(self, credential: AzureNamedKeyCredential) -> None:
        self._credential = credential

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Give the request its header Authorization. Raises ClientAuthenticationError where the key is none."""
        sent = request.http_request
        account, key = self._credential.named_key
        text = "\n".join(
            [
                sent.method,
                sent.headers.get("Content-MD5", ""),
                sent.headers.get("Content-Type", ""),
                sent.headers["x-ms-date"],
                f"/{account}{URL(sent.url).raw_path}",  # as aiohttp quotes it
            ]
        )
        try:
            signature = hmac.digest(b64decode(key), text.encode(), sha256)
        except ValueError:  # which may quote the key
            raise ClientAuthenticationError("The account's key is not base64.") from None
        sent.headers["Authorization"] = f"SharedKey {account}:{b64encode(signature).decode()}"
