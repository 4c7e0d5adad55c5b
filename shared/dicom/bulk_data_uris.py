"""BulkDataURIs (PS3.18 F.2.6): relative to their instance in stored metadata, absolute in responses.

A path names the value: ``7FE00010`` by the tag of its attribute or, within items, which count from 1,
``00880200/1/7FE00010`` by tags and item numbers in turn. It follows the prefix: ``bulkdata/7FE00010``.
"""

import re
from typing import Final

BULK_DATA: Final = "bulkdata"
"""The prefix of every relative BulkDataURI; a slash and the path follow."""

PIXEL_DATA_PATHS: Final = frozenset({"7FE00008", "7FE00009", "7FE00010"})
"""The paths of Pixel Data, integer and floating point."""

_PATH: Final = re.compile(r"[0-9A-F]{8}(?:/[1-9][0-9]{0,8}/[0-9A-F]{8})*", re.IGNORECASE | re.ASCII)


def is_path(text: str) -> bool:
    """Whether a text is a path; its tags may be in upper or lower case."""
    return _PATH.fullmatch(text) is not None


def with_absolute_uris(text: bytes, instance_url: str) -> bytes:
    """Make each relative BulkDataURI in compact JSON metadata absolute, under the URL of the instance."""
    # A quote inside a JSON string is escaped, so these bytes are a member's name and the start of its value.
    return text.replace(b'"BulkDataURI":"', f'"BulkDataURI":"{instance_url}/'.encode())
