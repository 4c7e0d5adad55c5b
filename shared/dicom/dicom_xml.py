"""The metadata of an instance in XML: the Native DICOM Model (PS3.19 A.1), made from its DICOM JSON (PS3.18 F)."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from xml.sax.saxutils import escape

from pydicom.datadict import keyword_for_tag

_ROOT: Final = '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">'
_NAME_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")  # PS3.5 6.2.1
_FIRST_BLOCK: Final = "10"

_NO_CHARACTER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
# A parser turns a carriage return into a line feed (XML 1.0, 2.11), and either in an attribute into a space (3.3.3).
_REFERENCES: Final = {'"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


def native_dicom_model(metadata: Mapping[str, Any]) -> bytes:
    """One instance's metadata as an XML document in UTF-8; `metadata` is what `dicom_json` makes, read from its text.

    Attributes, values, items, names and bulk values (by URI) keep their order, and are numbered from 1; a null value
    is empty. Private attributes have their Private Creator, and a tag whose block is 00 (PS3.19 Table A.1.5-2); one
    without a Private Creator in its data set keeps its tag, since nothing else says which block it is in. An empty
    component of a name is left out; what follows the fifth stays in it.

    Numbers are in decimal, as Python writes them; floats that are not finite stay the text that they are. Characters
    that XML does not have, such as most controls, become U+FFFD.
    """
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{_ROOT}{_data_set(metadata)}</NativeDicomModel>\n'
    return text.encode()


def _data_set(data_set: Mapping[str, Any]) -> str:
    return "".join(
        f"<DicomAttribute {_identification(tag, data_set)}>{_content(attribute)}</DicomAttribute>"
        for tag, attribute in data_set.items()
    )


def _identification(tag: str, data_set: Mapping[str, Any]) -> str:
    creator = _private_creator(tag, data_set)
    vr = data_set[tag]["vr"]
    if creator is not None:
        return f'tag="{tag[:4]}00{tag[6:]}" vr="{vr}" privateCreator="{_escaped(creator)}"'
    keyword = _keyword(tag)
    return f'tag="{tag}" vr="{vr}" keyword="{keyword}"' if keyword else f'tag="{tag}" vr="{vr}"'


def _private_creator(tag: str, data_set: Mapping[str, Any]) -> str | None:
    """The Private Creator of the tag's block; None if it has none (PS3.5 7.8.1)."""
    if int(tag[:4], 16) % 2 == 0 or tag[4:6] < _FIRST_BLOCK:
        return None
    creator = data_set.get(f"{tag[:4]}00{tag[4:6]}", {}).get("Value", [None])[0]
    return creator if isinstance(creator, str) else None


@lru_cache(4096)
def _keyword(tag: str) -> str:
    return keyword_for_tag(int(tag, 16))


def _content(attribute: Mapping[str, Any]) -> str:
    uri = attribute.get("BulkDataURI")
    if uri is not None:
        return f'<BulkData uri="{_escaped(uri)}"/>'
    element, convert = _CONTENTS.get(attribute["vr"], ("Value", _plain))
    return "".join(
        f'<{element} number="{number}">{"" if value is None else convert(value)}</{element}>'
        for number, value in enumerate(attribute.get("Value", ()), 1)
    )


def _plain(value: str | float) -> str:
    return _escaped(value) if isinstance(value, str) else str(value)


def _name(groups: Mapping[str, str]) -> str:
    return "".join(f"<{group}>{_components(name)}</{group}>" for group, name in groups.items())


def _components(name: str) -> str:
    components = zip(_NAME_COMPONENTS, name.split("^", 4), strict=False)
    return "".join(f"<{element}>{_escaped(text)}</{element}>" for element, text in components if text)


def _escaped(text: str) -> str:
    """Escape text for an element or an attribute, losing no character that XML has."""
    return escape(_NO_CHARACTER.sub("\ufffd", text), _REFERENCES)


_CONTENTS: Final = {"SQ": ("Item", _data_set), "PN": ("PersonName", _name)}
