"""pydicom's data dictionary (PS3.6 6), for attributes that `attributes.py` does not name. Slow to import."""

from pydicom.datadict import dictionary_VR, tag_for_keyword


def tag_of(keyword: str) -> str | None:
    """The tag of an attribute, eight upper-case hexadecimal digits; None where the dictionary has no such keyword."""
    tag = tag_for_keyword(keyword)
    return None if tag is None else f"{tag:08X}"


def vr_of(tag: str) -> str:
    """The VR of a tag's attribute, the first where it is ambiguous; "" where the dictionary does not have it."""
    try:
        return dictionary_VR(int(tag, 16))[:2]
    except KeyError:
        return ""
