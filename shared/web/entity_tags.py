"""Entity tags, which tell apart the states of a resource and its representations (RFC 9110 8.8.3)."""

import re
from hashlib import sha256
from typing import Final

_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')


def entity_tag(*facts: object) -> str:
    """A strong entity tag, with its quotes; the same for the same facts, which are all that the bytes depend on."""
    return f'"{sha256(repr(facts).encode()).hexdigest()[:32]}"'


def names_tag(header: str | None, tag: str) -> bool:
    """Whether an If-None-Match header names `tag`, by weak comparison, or is ``*`` (RFC 9110 13.1.2)."""
    return header is not None and (header.strip() == "*" or tag in _TAG.findall(header))


def caching_headers(tag: str) -> dict[str, str]:
    """The headers of an answer with an entity tag: a browser may keep it, and has to ask each time if it holds."""
    return {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept, Accept-Encoding"}
