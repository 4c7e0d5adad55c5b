"""The headers of every answer: what a browser may do with it (nosniff, CSP, CORS), and who may keep it."""

import re
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from shared.settings import Settings
from shared.web.cross_origin import ANY, sharing_headers

_SECURITY: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

# Anyone who may store may store a page with scripts as a bulk value; opened from here it must not act as ours. The
# policy affects pages only, not a picture in a page or what a script fetches.
_NO_SCRIPTS: Final = "default-src 'none'; sandbox"
# Browsers show a PDF in their own viewer, apart from our origin; some refuse to in a sandbox.
_PDF: Final = "application/pdf"
_NO_SCRIPTS_IN_PDF: Final = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'"

_HTTPS_ONLY: Final = "max-age=31536000"
_ADDRESS_AND_PORT: Final = re.compile(r"(\[.+\]|[^:]+):\d+")


def with_headers(req: Request, response: Response, settings: Settings) -> Response:
    """The answer, with the headers that all answers have."""
    headers = response.headers
    headers.update(_SECURITY)
    is_pdf = headers.get("content-type", "").partition(";")[0] == _PDF
    headers["Content-Security-Policy"] = _NO_SCRIPTS_IN_PDF if is_pdf else _NO_SCRIPTS
    if client_scheme(req, settings) == "https":
        headers["Strict-Transport-Security"] = _HTTPS_ONLY
    # An answer with an entity tag already has its own.
    headers.setdefault("Cache-Control", "no-store")
    headers.update(sharing_headers(settings.cors_origins, req.headers.get("origin")))
    if settings.cors_origins and ANY not in settings.cors_origins:
        headers.add_vary_header("Origin")
    return response


def client_address(req: Request, settings: Settings) -> str:
    """The address of the client, from the host in front if the settings trust it, which names it last.

    Azure's front ends add a port, which is another for each connection.
    """
    lines = req.headers.getlist("x-forwarded-for") if settings.trust_forwarded else []
    address: str = ",".join(lines).rpartition(",")[2].strip() or (req.client.host if req.client else "")
    with_port = _ADDRESS_AND_PORT.fullmatch(address)
    return with_port[1] if with_port else address


def client_scheme(req: Request, settings: Settings) -> str:
    """The scheme that the client used, from the settings, or from the host in front if the settings trust it."""
    if settings.public_base_url:
        return settings.public_base_url.partition(":")[0].lower()
    forwarded = req.headers.get("x-forwarded-proto", "") if settings.trust_forwarded else ""
    scheme: str = forwarded.partition(",")[0].strip() or req.scope["scheme"]
    return scheme


def warning(url: str, text: str) -> str:
    """The value of a header Warning (RFC 7234 5.5) of the service at `url`.

    .NET does not see one whose agent is not ``host:port``.
    """
    return f'299 {urlsplit(url).netloc} "{text}"'
