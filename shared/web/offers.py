"""Which representations instances, series and studies and their resources have, in order of preference.

The stored form comes first, so that nothing is transcoded for a client that also accepts it (PS3.18 8.7.3).
"""

from collections.abc import Iterator
from typing import Final

from shared.dicom.transfer_syntaxes import (
    DECODABLE,
    DEFLATED,
    ENCODABLE,
    EXPLICIT_VR_LITTLE_ENDIAN,
    OCTET_STREAM,
    frame_media_type,
    frame_transfer_syntax,
)
from shared.web.content_negotiation import Offer

DICOM: Final = "application/dicom"
ZIP: Final = "application/zip"
DICOM_XML: Final = "application/dicom+xml"

_JSON: Final = (Offer("application/dicom+json", False), Offer("application/json", False))

STORE_RESPONSE: Final = (*_JSON, Offer(DICOM_XML, False))

METADATA: Final = (*_JSON, Offer(DICOM_XML, True))
"""Offers of metadata: an array of all instances, or a part for each."""

CHANGES: Final = (Offer("application/json", False),)
"""The offer of the change feed."""

DOCUMENTS: Final = {
    "1.2.840.10008.5.1.4.1.1.104.1": "application/pdf",
    "1.2.840.10008.5.1.4.1.1.104.2": "text/xml",
    "1.2.840.10008.5.1.4.1.1.104.3": "model/stl",
    "1.2.840.10008.5.1.4.1.1.104.4": "model/obj",
    "1.2.840.10008.5.1.4.1.1.104.5": "model/mtl",
}
"""The SOP classes whose instances hold a document (PS3.3 A.45), with its media type."""

PICTURES: Final = ("image/jpeg", "image/png", "image/gif")
"""The media types of rendered images, the default first; only the last can hold several frames."""


def instance_offers(transfer_syntax_uid: str) -> list[Offer]:
    """The offers of an instance stored in a transfer syntax."""
    uids = [transfer_syntax_uid, *_transcoded(frozenset({transfer_syntax_uid}))]
    return [Offer(DICOM, is_multipart, frozenset({uid})) for uid in uids for is_multipart in (True, False)]


def several_offers(transfer_syntax_uids: frozenset[str]) -> list[Offer]:
    """The offers of a study or series whose instances are stored in these transfer syntaxes.

    Of those that are offered in one transfer syntax, `is_available_in` says which can be sent.
    """
    uids = dict.fromkeys([*_transcoded(transfer_syntax_uids), *sorted(transfer_syntax_uids)])
    in_one = [Offer(DICOM, True, frozenset({uid})) for uid in uids if transfer_syntax_uids != {uid}]
    return [Offer(DICOM, True, transfer_syntax_uids), *in_one, Offer(ZIP, False)]


def is_available_in(transfer_syntax_uid: str, stored_uid: str) -> bool:
    """Whether instances stored in a transfer syntax can be sent in another, as far as that alone decides."""
    return transfer_syntax_uid == stored_uid or (transfer_syntax_uid in ENCODABLE and stored_uid in DECODABLE)


def frame_offers(transfer_syntax_uid: str, *, are_several: bool) -> list[Offer]:
    """The offers of frames of an instance stored in a transfer syntax; several frames need parts."""
    stored = (
        EXPLICIT_VR_LITTLE_ENDIAN if transfer_syntax_uid in DEFLATED else frame_transfer_syntax(transfer_syntax_uid)
    )
    uids = [stored, *(uid for uid in _transcoded(frozenset({transfer_syntax_uid})) if uid != stored)]
    return [
        # The standard's media type of the frame first, then octets, which viewers ask for.
        Offer(media_type, is_multipart, frozenset({uid}))
        for uid in uids
        for is_multipart in ((True,) if are_several else (True, False))
        for media_type in dict.fromkeys((frame_media_type(uid), OCTET_STREAM))
    ]


def bulk_value_offers(media_type: str) -> list[Offer]:
    """The offers of a bulk value of a media type."""
    return [
        Offer(name, is_multipart)
        for is_multipart in (True, False)
        for name in dict.fromkeys((OCTET_STREAM, media_type))
    ]


def bulk_values_offers(transfer_syntax_uids: frozenset[str]) -> list[Offer]:
    """The offers of all bulk values of instances whose frames are stored in these transfer syntaxes."""
    return [
        Offer(OCTET_STREAM, True, uids)
        for uids in dict.fromkeys((transfer_syntax_uids, frozenset({EXPLICIT_VR_LITTLE_ENDIAN})))
    ]


def pixel_data_offers(transfer_syntax_uids: frozenset[str]) -> list[Offer]:
    """The offers of all frames of instances whose frames are stored in these transfer syntaxes."""
    is_one = len(transfer_syntax_uids) == 1
    first = transfer_syntax_uids if is_one else ()
    uids = dict.fromkeys([*first, *_transcoded(transfer_syntax_uids), *sorted(transfer_syntax_uids)])
    in_one = [
        Offer(media_type, True, frozenset({uid}))
        for uid in uids
        for media_type in dict.fromkeys((frame_media_type(uid), OCTET_STREAM))
    ]
    return in_one if is_one else [Offer(OCTET_STREAM, True, transfer_syntax_uids), *in_one]


def rendered_offers(media_type: str | None) -> list[Offer]:
    """The offers of a rendered resource: pictures or, for a document or a video, its `media_type`.

    Single-part ones first, as they suit a page that shows them.
    """
    media_types = (media_type,) if media_type else PICTURES
    return [Offer(name, is_multipart) for is_multipart in (False, True) for name in media_types]


def uri_offers(transfer_syntax_uid: str, media_type: str | None, *, is_rendered: bool) -> list[Offer]:
    """The offers of an instance to the URI Service, without parts; an image is rendered by default (PS3.18 9.5)."""
    rendered = [offer for offer in rendered_offers(media_type) if not offer.is_multipart] if is_rendered else []
    files = [offer for offer in instance_offers(transfer_syntax_uid) if not offer.is_multipart]
    return files + rendered if media_type else rendered + files


def _transcoded(transfer_syntax_uids: frozenset[str]) -> Iterator[str]:
    """The transfer syntaxes that some instances stored in these can be sent in, except one that all are stored in."""
    for uid in ENCODABLE:
        if transfer_syntax_uids != {uid} and any(is_available_in(uid, stored) for stored in transfer_syntax_uids):
            yield uid
