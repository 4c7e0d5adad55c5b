"""Signing requests to table storage with an account's key (Microsoft's "Authorize with Shared Key")."""

import hmac
from base64 import b64decode, b64encode
from email.utils import formatdate
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import AzureNamedKeyCredential
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy


class SharedKeyPolicy(SansIOHTTPPolicy[Any, Any]):
    """Dates and signs each request as it is sent, and once more where it is sent again."""

    def __init__(self, credential: AzureNamedKeyCredential) -> None:
        self._credential = credential

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Give the request the headers x-ms-date and Authorization."""
        sent = request.http_request
        sent.headers["x-ms-date"] = formatdate(usegmt=True)
        account, key = self._credential.named_key
        text = "\n".join(
            [
                sent.method,
                sent.headers.get("Content-MD5", ""),
                sent.headers.get("Content-Type", ""),
                sent.headers["x-ms-date"],
                f"/{account}{urlsplit(sent.url).path}",
            ]
        )
        signature = hmac.new(b64decode(key), text.encode(), sha256).digest()
        sent.headers["Authorization"] = f"SharedKey {account}:{b64encode(signature).decode()}"
