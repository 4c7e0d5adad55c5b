"""What the value of an element is: its value representation (VR, PS3.5 6.2) and its text, by pydicom's tables."""

import codecs
import re
from dataclasses import dataclass
from struct import calcsize
from typing import Final

from pydicom.charset import (
    CODES_TO_ENCODINGS,
    STAND_ALONE_ENCODINGS,
    convert_encodings,
    decode_bytes,
    default_encoding,
    python_encoding,
)
from pydicom.datadict import dictionary_VR, private_dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR, PN_DELIMS, STANDARD_VR, TEXT_VR_DELIMS

from shared.dicom.items import UNDEFINED_LENGTH
from shared.dicom.parsing import Element, element_of

BULK_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""The VRs of unstructured values, which the DICOM JSON Model can only encode or refer to: PS3.18 F.2.7."""

NUMBER_CODES: Final = {
    "AT": "HH",
    "FD": "d",
    "FL": "f",
    "SL": "l",
    "SS": "h",
    "SV": "q",
    "UL": "L",
    "US": "H",
    "UV": "Q",
}
"""The VRs of binary numbers, with the struct code of a value: PS3.5 Table 6.2-1."""

NUMBER_BYTES: Final = {vr: calcsize(f"<{code}") for vr, code in NUMBER_CODES.items()}
"""The VRs of binary numbers, with the length of a value in bytes."""

SPECIFIC_CHARACTER_SET: Final = 0x00080005
_PIXEL_REPRESENTATION: Final = 0x00280103

# Where a dictionary leaves a choice, and neither the encoding nor the pixels decide: words are OW (PS3.5 A.1).
_CHOSEN_VRS: Final = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}

# Latin-9 is in the standard, but not yet in pydicom.
python_encoding.setdefault("ISO_IR 203", "iso8859_15")
python_encoding.setdefault("ISO 2022 IR 203", "iso8859_15")
CODES_TO_ENCODINGS.setdefault(b"\x1b-b", "iso8859_15")

_CODECS: Final = frozenset(codecs.lookup(codec).name for codec in python_encoding.values())
_STAND_ALONE_CODECS: Final = frozenset(codecs.lookup(python_encoding[name]).name for name in STAND_ALONE_ENCODINGS)
_SEPARATORS: Final = re.compile(r"[ _\-]+")
_TERMS: Final = {_SEPARATORS.sub("", term): term for term in python_encoding}
_DEFAULT_CODEC: Final = codecs.lookup(default_encoding).name
_DEFAULT_TERM: Final = "ISO_IR 100"  # the default repertoire (PS3.5 6.1.2.1), with what Western devices add to it
_DEFAULT_ENCODINGS: Final = (default_encoding, *CODES_TO_ENCODINGS.values())
_LEFT_IN_TEXT: Final = "\x1b$)A"  # by pydicom, which takes Python's codec of ISO-IR 58 to drop it
# What brings back the first character set (PS3.5 6.1.2.5.3); pydicom expects the values to be split already.
_TEXT_DELIMITERS: Final = TEXT_VR_DELIMS | {ord("\\")}
_NAME_DELIMITERS: Final = _TEXT_DELIMITERS | PN_DELIMS | {ord("=")}


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a data set inherits from the one around it: PS3.5 7.5.3, and the signedness of its pixels.

    `encodings` are Python's, as pydicom has them: first the one that text begins in, then those of escape sequences.
    """

    encodings: tuple[str, ...] = _DEFAULT_ENCODINGS
    is_signed: bool = False

    def by(self, data_set: Dataset) -> "Inherited":
        """What applies to the elements of `data_set`, and the items in them."""
        character_set = raw_value(data_set, SPECIFIC_CHARACTER_SET)
        representation = raw_value(data_set, _PIXEL_REPRESENTATION)
        if representation is not None and len(representation) > NUMBER_BYTES["US"]:
            representation = None  # it is another element, and may be too long to be held
        if character_set is None and representation is None:
            return self
        return Inherited(
            self.encodings if character_set is None else _encodings(character_set),
            self.is_signed if representation is None else any(representation),
        )

    def vr(self, element: Element, data_set: Dataset) -> str:
        """The VR of an element of `data_set`: as encoded, or by the dictionaries where that is missing or UN.

        A value of binary numbers whose length is not a multiple of theirs is UN.
        """
        if not isinstance(element, RawDataElement):
            return "SQ"
        if element.tag == SPECIFIC_CHARACTER_SET:
            return "CS"  # as which it is read, whatever it is encoded as
        vr = element.VR or "UN"
        if vr == "UN" or vr not in STANDARD_VR:
            vr = dictionary_vr(element.tag, data_set)
        if vr == "US or SS":
            vr = "SS" if self.is_signed else "US"
        elif vr == "OB or OW" and element.length == UNDEFINED_LENGTH:
            vr = "OB"  # PS3.5 A.4
        vr = _CHOSEN_VRS.get(vr, vr)
        if element.length == UNDEFINED_LENGTH and vr not in BULK_VRS:
            return "UN"
        return "UN" if vr not in STANDARD_VR or element.length % NUMBER_BYTES.get(vr, 1) else vr

    def text(self, value: bytes, vr: str) -> str:
        """Decode the text of an element, all of its backslash-separated values at once.

        Never fails: what cannot be decoded becomes U+FFFD.
        """
        encodings = self.encodings if vr in CUSTOMIZABLE_CHARSET_VR else _DEFAULT_ENCODINGS[:1]
        try:
            text = decode_bytes(value, encodings, _NAME_DELIMITERS if vr == "PN" else _TEXT_DELIMITERS)
        except (LookupError, ValueError):
            return value.decode(default_encoding)
        return text.replace(_LEFT_IN_TEXT, "")


NOTHING_INHERITED: Final = Inherited()


def raw_value(data_set: Dataset, tag: int) -> bytes | None:
    """The value of an element as encoded; None when it is absent, or a sequence."""
    element = element_of(data_set, tag)
    return element.value or b"" if isinstance(element, RawDataElement) else None


def dictionary_vr(tag: BaseTag, data_set: Dataset) -> str:
    """The VR of an attribute of `data_set` by the dictionaries, perhaps ambiguous; UN if they do not know the tag."""
    try:
        if not tag.is_private:
            return dictionary_VR(tag)
        if tag.is_private_creator:
            return "LO"
        creator = raw_value(data_set, tag.group << 16 | tag.element >> 8) or b""
        return private_dictionary_VR(tag, creator.decode(default_encoding).strip("\0 "))
    except KeyError:
        return "UN" if tag.element else "UL"  # a group length: PS3.5 7.2


def assumed_character_set(character_set: bytes) -> str:
    """What an encoded Specific Character Set is read as where its first value is no defined term; else ""."""
    term = _first_term(character_set)
    if term in python_encoding:
        return ""
    known = _known_term(term)
    if known in python_encoding:
        return known
    codec = _codec(term)
    return codec if codec and codec != _DEFAULT_CODEC else _DEFAULT_TERM


def _encodings(character_set: bytes) -> tuple[str, ...]:
    """By the encoded first value of Specific Character Set; each escape sequence names its own set."""
    codec = _codec(_first_term(character_set))
    if not codec:
        return _DEFAULT_ENCODINGS
    return (codec,) if codec in _STAND_ALONE_CODECS else (codec, *_DEFAULT_ENCODINGS[1:])


def _first_term(character_set: bytes) -> str:
    return character_set.split(b"\\")[0].decode(default_encoding).strip("\0 ")


def _known_term(term: str) -> str:
    """The defined term that differs only in case and separators, where there is one."""
    return _TERMS.get(_SEPARATORS.sub("", term.upper()), term)


def _codec(term: str) -> str:
    """Python's codec of a character set, "" where there is none."""
    try:
        codec = codecs.lookup(convert_encodings([_known_term(term)])[0]).name
    except (LookupError, ValueError):
        return ""
    return codec if codec in _CODECS else ""  # pydicom takes any that Python knows; some are not for text, or very slow
