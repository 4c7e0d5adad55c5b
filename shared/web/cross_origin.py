"""Use by pages of other origins in a browser (CORS, of the Fetch standard): which, and what they may read and send."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from shared.settings import SettingsError

ANY: Final = "*"

_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9.\-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
_EXPOSED: Final = ", ".join(
    (
        "Accept-Ranges",
        "Content-Disposition",
        "Content-Length",
        "Content-Location",
        "Content-Range",
        "ETag",
        "Location",
        "Retry-After",
        "Warning",
        "WWW-Authenticate",
    )
)
_MAX_AGE_SECONDS: Final = 7200  # the most that Chromium heeds


@cache
def allowed_origins(setting: str) -> frozenset[str]:
    """The origins of CORS_ORIGINS, `*` for any; raises SettingsError for one that no browser would send."""
    origins = frozenset(origin.strip().lower() for origin in setting.split(",") if origin.strip())
    for origin in origins - {ANY}:
        if not _ORIGIN.fullmatch(origin):
            raise SettingsError(f"CORS_ORIGINS must be origins such as https://viewer.example.org, not {origin!r}.")
    return origins


def sharing_headers(origins: frozenset[str], origin: str | None) -> dict[str, str]:
    """The headers that let pages of `origin` read an answer, beside Vary; none where they may not.

    Never with credentials: who signs in does so by a token, which a page sends without them.
    """
    if ANY not in origins and origin not in origins:
        return {}
    allowed = ANY if ANY in origins else str(origin)
    return {"Access-Control-Allow-Origin": allowed, "Access-Control-Expose-Headers": _EXPOSED}


def preflight_headers(methods: Iterable[str], asked_headers: str | None) -> dict[str, str]:
    """What pages that may read the answers of a resource may send to it: its methods, with any header they ask for."""
    headers = {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
    }
    return {**headers, "Access-Control-Allow-Headers": asked_headers} if asked_headers else headers
