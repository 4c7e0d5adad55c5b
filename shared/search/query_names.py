"""Attributes as queries name them: keywords or tags, joined by dots into sequences (PS3.18 8.3.4.1)."""

import re
from typing import Final

from shared.dicom.attributes import BY_KEYWORD

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_MAX_PATH_LENGTH: Final = 65  # sequences that are stored nest 64 deep


def path_of(name: str) -> tuple[str, ...] | None:
    """The tags of a name made of keywords or tags; None where one of them names no attribute."""
    parts = name.split(".")
    if len(parts) > _MAX_PATH_LENGTH:
        return None
    tags = [_tag(part) for part in parts]
    return None if None in tags else tuple(tag for tag in tags if tag is not None)


def name_in_its_case(name: str) -> str | None:
    """The name as it is written, of one whose keywords are in another case; None where it is no such name."""
    from shared.dicom.data_dictionary import keyword_in_its_case  # pydicom, only needed for what is refused

    parts = name.split(".")
    if len(parts) > _MAX_PATH_LENGTH or path_of(name) is not None:
        return None
    meant = [part if _TAG.fullmatch(part) else keyword_in_its_case(part) for part in parts]
    return None if None in meant else ".".join(part for part in meant if part is not None)


def _tag(name: str) -> str | None:
    if known := BY_KEYWORD.get(name):
        return known.tag
    if _TAG.fullmatch(name):
        return name.upper()
    if not _KEYWORD.fullmatch(name):
        return None
    from shared.dicom.data_dictionary import tag_of  # pydicom, only needed for rare keywords

    return tag_of(name)
