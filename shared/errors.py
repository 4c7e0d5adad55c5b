"""The errors of a DICOMweb transaction, by what the client has to change.

    DicomWebError
     +- BadRequest             400  the request is malformed or names what cannot exist
     +- Unauthorized           401  there is no token, or it is not accepted
     +- Forbidden              403  the token does not permit this
     +- NotFound               404  no such resource
     +- MethodNotAllowed       405  the resource has other methods
     +- NotAcceptable          406  no representation that the client accepts
     +- RequestTimeout         408  the client sends too slowly, or no longer
     +- Conflict               409  it conflicts with what is stored
     +- PayloadTooLarge        413  over one of our limits
     +- UnsupportedMediaType   415  a media type we do not read
     |   +- UnsupportedContentCoding     nor a content coding
     +- Unavailable            503  storage or the authority does not answer; the client may try again

The message is written for the client: what was wrong, where, and what is allowed. It never holds a patient's data. The
HTTP edge renders it; below the edge nothing knows HTTP beyond the status. The failure of one instance in a store is
not an error but data in the Store Instances Response (see store_response).
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar


class DicomWebError(Exception):
    """Any error that is shown to the client; its ``str()`` is the detail."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR


class BadRequest(DicomWebError):
    """The request is malformed, or names what cannot exist."""

    status = HTTPStatus.BAD_REQUEST


class Unauthorized(DicomWebError):
    """No token (`is_token_invalid` is False), or one that is not accepted (RFC 6750 3.1)."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, detail: str, *, is_token_invalid: bool = True) -> None:
        super().__init__(detail)
        self.is_token_invalid = is_token_invalid


class Forbidden(DicomWebError):
    """The token does not permit the request; the message names the roles and scopes that would."""

    status = HTTPStatus.FORBIDDEN


class NotFound(DicomWebError):
    """The resource does not exist."""

    status = HTTPStatus.NOT_FOUND


class MethodNotAllowed(DicomWebError):
    """The resource exists and has the methods `allowed`, but not the one that was asked for."""

    status = HTTPStatus.METHOD_NOT_ALLOWED

    def __init__(self, detail: str, allowed: Sequence[str]) -> None:
        super().__init__(detail)
        self.allowed = allowed


class NotAcceptable(DicomWebError):
    """No representation that the client accepts; the message lists those available (PS3.18 8.7.4)."""

    status = HTTPStatus.NOT_ACCEPTABLE


class RequestTimeout(DicomWebError):
    """The client did not send its request in time; the message names the least rate."""

    status = HTTPStatus.REQUEST_TIMEOUT


class Conflict(DicomWebError):
    """The request conflicts with the state of the archive, now or for good."""

    status = HTTPStatus.CONFLICT


class PayloadTooLarge(DicomWebError):
    """The request exceeds a limit; the message names the limit and its value."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMediaType(DicomWebError):
    """The body's media type is not one that the resource reads."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class UnsupportedContentCoding(UnsupportedMediaType):
    """The body's content coding is not one that is decoded."""


class Unavailable(DicomWebError):
    """Storage or the tokens' authority did not answer, or refused because of load; the client may try again."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
