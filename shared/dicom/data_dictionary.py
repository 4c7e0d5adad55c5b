"""pydicom's data dictionary (PS3.6 6), for attributes that `attributes.py` does not name. Slow to import."""

from collections.abc import Mapping
from functools import cache

from pydicom.datadict import dictionary_VR, keyword_dict, keyword_for_tag, tag_for_keyword


def tag_of(keyword: str) -> str | None:
    """The tag of an attribute, eight upper-case hexadecimal digits; None where the dictionary has no such keyword."""
    tag = tag_for_keyword(keyword)
    return None if tag is None else f"{tag:08X}"


def keyword_of(tag: str) -> str:
    """The keyword of a tag; "" where the dictionary does not have it."""
    return keyword_for_tag(int(tag, 16))


def keyword_in_its_case(keyword: str) -> str | None:
    """The keyword that differs at most in case; None where the dictionary has none."""
    return _keywords().get(keyword.lower())


@cache
def _keywords() -> Mapping[str, str]:
    return {keyword.lower(): keyword for keyword in keyword_dict if keyword}  # some attributes have none


def vr_of(tag: str) -> str:
    """The VR of a tag's attribute, the first where it is ambiguous; "" where the dictionary does not have it."""
    return next(iter(vrs_of(tag)), "")


def vrs_of(tag: str) -> list[str]:
    """The VRs that a tag's attribute may have; none where the dictionary does not have it."""
    try:
        return [vr for vr in dictionary_VR(int(tag, 16)).split(" or ") if vr != "NONE"]  # as of an item delimiter
    except KeyError:
        return []
