"""Use by pages of other origins in a browser (CORS, Fetch standard): which origins, and what they may read and send."""

from collections.abc import Iterable
from typing import Final

ANY: Final = "*"

_EXPOSED: Final = ", ".join(
    (
        "Accept-Ranges",
        "Content-Disposition",
        "Content-Length",
        "Content-Location",
        "Content-Range",
        "ETag",
        "Link",
        "Location",
        "Retry-After",
        "Warning",
        "WWW-Authenticate",
        "erroneous-dicom-attributes",
    )
)
_MAX_AGE_SECONDS: Final = 7200  # the most that Chromium honors


def sharing_headers(origins: frozenset[str], origin: str | None) -> dict[str, str]:
    """The headers, besides Vary, that let pages of `origin` read an answer; none where they may not.

    One of `origins` whose port is `*` stands for those of every port that an origin names.

    Never with credentials: clients sign in with a token, which a page sends without them.
    """
    of_any_port = f"{(origin or '').rpartition(':')[0]}:{ANY}"
    if origins.isdisjoint((ANY, origin, of_any_port)):
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
