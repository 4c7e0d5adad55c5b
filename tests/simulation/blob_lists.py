"""Listings of a container: blobs by prefix, page by page, those behind a delimiter as one folder."""

from collections.abc import Iterator, Mapping
from email.utils import format_datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from tests.simulation.table_values import time_of
from tests.support.storage_messages import Answer

if TYPE_CHECKING:
    from tests.simulation.blobs import Blob


def listed(blobs: "Mapping[str, Blob]", query: Mapping[str, str], page: int) -> Answer:
    """A page of so many entries of a listing."""
    prefix, delimiter, marker = (query.get(name, "") for name in ("prefix", "delimiter", "marker"))
    entries: list[str] = []
    following = ""
    for name, is_folder in _entries(blobs, prefix, delimiter):
        if name < marker:
            continue
        if len(entries) == page:
            following = name
            break
        entries.append(_folder(name) if is_folder else _blob(name, blobs[name]))
    # The SDK asks for the next page as the answer repeats what was asked.
    echoed = {"Prefix": prefix, "Marker": marker, "Delimiter": delimiter, "MaxResults": query.get("maxresults", "")}
    asked = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in echoed.items() if text)
    body = f"{asked}<Blobs>{''.join(entries)}</Blobs><NextMarker>{escape(following)}</NextMarker>"
    text = f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults>{body}</EnumerationResults>'
    return Answer(200, {"Content-Type": "application/xml"}, text.encode())


def _entries(blobs: "Mapping[str, Blob]", prefix: str, delimiter: str) -> Iterator[tuple[str, bool]]:
    """The names of blobs and folders in order, and which of them is a folder."""
    last = None
    for name in sorted(blobs):
        if not name.startswith(prefix):
            continue
        end = name.find(delimiter, len(prefix)) if delimiter else -1
        if end < 0:
            yield name, False
        elif (folder := name[: end + len(delimiter)]) != last:
            last = folder
            yield folder, True


def _folder(name: str) -> str:
    return f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>"


def _blob(name: str, blob: "Blob") -> str:
    values = {
        "Last-Modified": format_datetime(time_of(blob.written), usegmt=True),
        "Etag": blob.etag.strip('"'),
        "Content-Length": str(len(blob.content)),
        "Content-Type": blob.content_type,
        "BlobType": "BlockBlob",
    }
    properties = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in values.items())
    return f"<Blob><Name>{escape(name)}</Name><Properties>{properties}</Properties></Blob>"
