"""Attributes as queries name them: keywords or tags, joined by dots into sequences (PS3.18 8.3.4.1)."""

import re
from typing import Final

from shared.dicom.attributes import BY_KEYWORD

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_MAX_PATH_LENGTH: Final = 65  # sequences that are stored nest 64 deep


def path_of(name: str) -> tuple[str, ...] | None:
    """The tags that a name gives by keyword or tag; None where one of them is no attribute."""
    parts = name.split(".")
    if len(parts) > _MAX_PATH_LENGTH:
        return None
    tags = [_tag(part) for part in parts]
    return None if None in tags else tuple(tag for tag in tags if tag is not None)


def vr_of(tag: str) -> str:
    """The VR of the data dictionary (PS3.6 6); "" for a private attribute, whose VR is not known."""
    from pydicom.datadict import dictionary_VR

    try:
        return dictionary_VR(int(tag, 16))[:2]  # of "US or SS" the first: numbers are compared alike
    except KeyError:
        return ""


def _tag(name: str) -> str | None:
    if known := BY_KEYWORD.get(name):
        return known.tag
    if _TAG.fullmatch(name):
        return name.upper()
    if not _KEYWORD.fullmatch(name):
        return None
    from pydicom.datadict import tag_for_keyword  # the whole dictionary, needed for the rare keyword only

    tag = tag_for_keyword(name)
    return None if tag is None else f"{tag:08X}"
