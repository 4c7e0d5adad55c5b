"""Media types (RFC 9110 8.3.1): the one parser of such header values, in requests and in parts."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from shared.errors import BadRequest

# Every expression here is linear in any header: nothing after a repetition could match what the repetition matched.
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 5.6.2
_NAME: Final = re.compile(rf"{_TOKEN.pattern}/{_TOKEN.pattern}")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)  # RFC 9110 5.6.4
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
# A quote that is never closed runs to the end: if it failed, the search would start again at each quote.
_QUOTED_OR_SEPARATOR: Final = {
    separator: re.compile(rf'"(?:[^"\\]|\\.)*"?|{separator}', re.DOTALL) for separator in (",", ";")
}
WHITESPACE: Final = " \t"  # OWS, RFC 9110 5.6.3


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type of Content-Type, or a media range of Accept with its weight.

    `name` is type and subtype in lower case. `parameters` cannot be changed; their names are in lower case, their
    values as sent but without quotes and escapes. `q` is 0 to 1, and 1 for a Content-Type.
    """

    name: str
    parameters: Mapping[str, str] = field(hash=False)
    q: float = 1.0


def parse_media_type(text: str) -> MediaType:
    """Parse the Content-Type of a request or of a part (RFC 9110 8.3.1).

    Lenient where clients need it: an unquoted value is whatever comes before the next ";" (`type=application/dicom`,
    as OHIF and most curl recipes send it), spaces may surround ";" and "=", a ";" may end the text. Where a parameter
    is repeated, the first counts; one without "=" is left out. Raises BadRequest where there is no type/subtype or a
    quote is out of place.
    """
    name, *rest = (piece.strip(WHITESPACE) for piece in split_unquoted(text, ";"))
    if not _NAME.fullmatch(name):
        raise BadRequest('The media type has no "type/subtype"; it is, for example, application/dicom.')
    parameters: dict[str, str] = {}
    for piece in rest:
        attribute, equals, value = piece.partition("=")
        if equals:
            parameters.setdefault(attribute.rstrip(WHITESPACE).lower(), _unquoted(value.lstrip(WHITESPACE)))
    return MediaType(name.lower(), MappingProxyType(parameters))


def boundary_of(media_type: MediaType) -> str:
    """The boundary of a multipart body, never empty; raises BadRequest where the media type has none (RFC 2046 5.1)."""
    boundary = media_type.parameters.get("boundary")
    if not boundary:
        raise BadRequest(f"The media type {media_type.name} of a multipart body has no boundary parameter.")
    return boundary


def format_media_type(name: str, parameters: Mapping[str, str]) -> str:
    """The text of a media type; `parse_media_type` turns it back into the same name and parameters.

    A value is quoted only where RFC 9110 5.6.6 demands it: `type="application/dicom"` is, a part's
    `transfer-syntax=1.2.840.10008.1.2.1` is not, as in PS3.18 8.7.3.5.2 and from Microsoft's service.
    """
    return "; ".join([name, *(f"{attribute}={_quoted(value)}" for attribute, value in parameters.items())])


def split_unquoted(text: str, separator: str) -> Iterator[str]:
    """The pieces of a header value between those separators, "," or ";", that are not within quotes."""
    start = 0
    for found in _QUOTED_OR_SEPARATOR[separator].finditer(text):
        if found[0] == separator:
            yield text[start : found.start()]
            start = found.end()
    yield text[start:]


def _unquoted(value: str) -> str:
    if quoted := _QUOTED.fullmatch(value):
        return _ESCAPED.sub(r"\1", quoted[1])
    if '"' in value:
        raise BadRequest("A parameter of the media type has a quote that is not closed or is out of place.")
    return value


def _quoted(value: str) -> str:
    if _TOKEN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
