"""The multipart codec: bytes to events and events to bytes, without I/O (RFC 2046 5.1.1, PS3.18 8.6.1.2.1).

Not done here: parameters of a Content-Type (see media_types), multiparts within parts, base64 and quoted-printable, any
checks of what a part holds. Only CRLF ends a line, and no byte of a body is changed: bodies are pixel data.
"""

from shared.multipart.decoder import MultipartDecoder, decode_events
from shared.multipart.encoder import MultipartEncoder, new_boundary
from shared.multipart.events import NEED_DATA, Event, Headers, MessageEnd, PartBegin, PartData, PartEnd
from shared.multipart.limits import (
    MultipartError,
    MultipartLimitExceeded,
    MultipartLimits,
    MultipartMisuse,
    MultipartTruncated,
)

__all__ = [
    "NEED_DATA",
    "Event",
    "Headers",
    "MessageEnd",
    "MultipartDecoder",
    "MultipartEncoder",
    "MultipartError",
    "MultipartLimitExceeded",
    "MultipartLimits",
    "MultipartMisuse",
    "MultipartTruncated",
    "PartBegin",
    "PartData",
    "PartEnd",
    "decode_events",
    "new_boundary",
]
