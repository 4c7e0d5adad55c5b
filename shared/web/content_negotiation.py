"""The choice of a representation by what a request accepts (RFC 9110 12.5.1, PS3.18 8.7).

The caller knows which representations a resource has and what each costs to make, and lists them as offers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, OCTET_STREAM
from shared.errors import BadRequest, NotAcceptable
from shared.web.media_types import WHITESPACE, MediaType, format_media_type, parse_media_type, split_unquoted

_MULTIPART: Final = "multipart/related"
_ANY_TYPE: Final = "*/*"
_ANY_TRANSFER_SYNTAX: Final = "*"  # PS3.18 8.7.3.5.2

# What a range that names no transfer syntax asks for (PS3.18 Tables 8.7.3-2 to 8.7.3-5). The image and video types
# also have defaults there, which do not apply here: viewers ask for the family (`type="image/jls"`) and decode by the
# part's Content-Type.
_DEFAULT_TRANSFER_SYNTAX: Final = {
    "application/dicom": EXPLICIT_VR_LITTLE_ENDIAN,
    OCTET_STREAM: EXPLICIT_VR_LITTLE_ENDIAN,
}

# RFC 9110 12.4.2 allows three decimals and wants the zero; Java's URLConnection sends ".2", scripts whole floats.
_WEIGHT: Final = re.compile(r"[01]\.?|[01]?\.[0-9]+")
# The "+" of "application/dicom+json" in a query is a space once the query is decoded as a form.
_DECODED_PLUS: Final = re.compile(r"(?<=[0-9A-Za-z]) (?=[0-9A-Za-z])")
_MISMATCH: Final = -1
_MAX_RANGES: Final = 100


@dataclass(frozen=True, slots=True)
class Offer:
    """A representation that a resource can be sent in.

    `media_type` is in lower case, and is each part's where `is_multipart`. The content would be sent in
    `transfer_syntax_uids`: one for an instance, maybe several for a study, none where nothing is encoded in a transfer
    syntax, as in metadata.
    """

    media_type: str
    is_multipart: bool
    transfer_syntax_uids: frozenset[str] = frozenset()


_ANYTHING: Final = MediaType(_ANY_TYPE, MappingProxyType({}))


def parse_accept(text: str | None) -> tuple[MediaType, ...]:
    """Parse an Accept header into its media ranges, in order (RFC 9110 12.5.1).

    A missing or empty header is `*/*`. A malformed member is left out and the others count, so a header of malformed
    members alone gives none: it did ask for something, but nobody can tell what. A weight that cannot be read counts
    as 1, since the client does name the type, and a weight above 1 as 1. Raises BadRequest for over 100 ranges: each is
    compared with each offer.
    """
    members = [stripped for member in split_unquoted(text or "", ",") if (stripped := member.strip(WHITESPACE))]
    if not members:
        return (_ANYTHING,)
    if len(members) > _MAX_RANGES:
        raise BadRequest(f"More than {_MAX_RANGES} media ranges are accepted.")
    return tuple(accepted for member in members if (accepted := _media_range(member)) is not None)


def accept_of(header: str | None, query: Sequence[str]) -> tuple[MediaType, ...]:
    """The media ranges of a request from its Accept header and its decoded `accept` query parameters (PS3.18 8.3.3.1).

    A query parameter that is not empty replaces the header. PS3.18 8.7.8.1 falls back to the header; but a browser's
    ends in `*/*`, so a link that asks for an unavailable type would download something else.
    """
    asked = ",".join(query)
    return parse_accept(_DECODED_PLUS.sub("+", asked) if asked.strip(f"{WHITESPACE},") else header)


def negotiate(accept: Sequence[MediaType], offers: Sequence[Offer]) -> Offer:
    """Choose the representation to send from `offers`, at least one, in the server's order of preference.

    Each offer has the weight of the most specific range that matches it, the highest of several equally specific ones,
    and 0 where none matches (RFC 9110 12.5.1). The first offer with the highest weight is chosen. Raises NotAcceptable,
    listing the offers as an Accept header would name them, where every weight is 0.

    `*/*` matches any offer in any transfer syntax. `multipart/related; type=T` matches multipart offers with parts of
    type T; without `type`, with any parts. Any other range matches single-part offers only (PS3.18 10.4.4). T and the
    range may end in `/*`. A `transfer-syntax` matches an offer wholly in that syntax, `*` one in any; an offer without
    transfer syntaxes matches both. A range without one means its type's default (PS3.18 8.7.3): Explicit VR Little
    Endian for application/dicom and application/octet-stream, any for others; with q=0 it refuses the type in all.
    """
    best = max(offers, key=lambda offer: _weight(accept, offer))
    if _weight(accept, best) == 0:
        available = ", ".join(_described(offer) for offer in offers)
        raise NotAcceptable(f"Nothing that the request accepts is available. Available: {available}.")
    return best


def _media_range(text: str) -> MediaType | None:
    try:
        parsed = parse_media_type(text)
    except BadRequest:
        return None
    parameters = dict(parsed.parameters)
    weight = parameters.pop("q", "")
    q = min(float(weight), 1.0) if _WEIGHT.fullmatch(weight) else 1.0
    return MediaType(parsed.name, MappingProxyType(parameters), q)


def _weight(accept: Sequence[MediaType], offer: Offer) -> float:
    ranges = ((_specificity(accepted, offer), accepted.q) for accepted in accept)
    _, q = max(((specificity, q) for specificity, q in ranges if specificity is not None), default=((), 0.0))
    return q


def _specificity(accepted: MediaType, offer: Offer) -> tuple[int, int, int] | None:
    """How exactly the range names the offer, for comparison; None where it does not match."""
    if offer.is_multipart:
        name, content = _MULTIPART, (accepted.parameters.get("type") or _ANY_TYPE).lower()
    else:
        name, content = offer.media_type, accepted.name
    precisions = (
        _type_precision(accepted.name, name),
        _type_precision(content, offer.media_type),
        _transfer_syntax_precision(_transfer_syntax(accepted, content), offer),
    )
    return None if _MISMATCH in precisions else precisions


def _type_precision(pattern: str, name: str) -> int:
    patterns = (_ANY_TYPE, f"{name.partition('/')[0]}/*", name)
    return patterns.index(pattern) if pattern in patterns else _MISMATCH


def _transfer_syntax_precision(pattern: str, offer: Offer) -> int:
    if pattern == _ANY_TRANSFER_SYNTAX:
        return 0
    return 1 if offer.transfer_syntax_uids in ({pattern}, frozenset()) else _MISMATCH


def _transfer_syntax(accepted: MediaType, content: str) -> str:
    default = _DEFAULT_TRANSFER_SYNTAX.get(content) if accepted.q else None
    return accepted.parameters.get("transfer-syntax") or default or _ANY_TRANSFER_SYNTAX


def _described(offer: Offer) -> str:
    name, parameters = (_MULTIPART, {"type": offer.media_type}) if offer.is_multipart else (offer.media_type, {})
    match sorted(offer.transfer_syntax_uids):
        case []:
            return format_media_type(name, parameters)
        case [uid]:
            return format_media_type(name, parameters | {"transfer-syntax": uid})
        case uids:
            any_of_them = format_media_type(name, parameters | {"transfer-syntax": _ANY_TRANSFER_SYNTAX})
            return f"{any_of_them} (in {' and '.join(uids)})"
