"""BulkDataURIs (PS3.18 F.2.6): relative to their instance in stored metadata, absolute in responses.

A path names the value: ``7FE00010`` by the tag of its attribute or, within items, which count from 1,
``00880200/1/7FE00010`` by tags and item numbers in turn. It follows the prefix: ``bulkdata/7FE00010``.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

BULK_DATA: Final = "bulkdata"
"""The prefix of every relative BulkDataURI; a slash and the path follow."""

PIXEL_DATA_PATHS: Final = frozenset({"7FE00008", "7FE00009", "7FE00010"})
"""The paths of Pixel Data, integer and floating point."""

# A quote inside a JSON string is escaped, so these bytes are a member's name and the start of its value.
_MEMBER: Final = b'"BulkDataURI":"'

_PATH: Final = re.compile(r"[0-9A-F]{8}(?:/[1-9][0-9]{0,8}/[0-9A-F]{8})*", re.IGNORECASE | re.ASCII)


def is_path(text: str) -> bool:
    """Whether a text is a path; its tags may be in upper or lower case."""
    return _PATH.fullmatch(text) is not None


def with_absolute_uris(pieces: Iterable[bytes], instance_url: str) -> Iterator[bytes]:
    """Make each relative BulkDataURI in compact JSON metadata absolute, under the URL of the instance.

    `pieces` are the text, cut anywhere; so is what is returned.
    """
    absolute = f"{_MEMBER.decode()}{instance_url}/".encode()
    held = b""
    for piece in pieces:
        text = (held + piece).replace(_MEMBER, absolute)
        begun = _begun(text)
        held = text[len(text) - begun :]
        yield text[: len(text) - begun]
    if held:
        yield held


def _begun(text: bytes) -> int:
    """How many bytes at the end of a text may be the beginning of a BulkDataURI's member."""
    start = text.find(b'"', max(0, len(text) - len(_MEMBER) + 1))
    while start != -1 and not _MEMBER.startswith(text[start:]):
        start = text.find(b'"', start + 1)
    return len(text) - start if start != -1 else 0
