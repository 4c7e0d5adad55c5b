"""The metadata of an instance in XML: the Native DICOM Model (PS3.19 A.1), made from its DICOM JSON (PS3.18 F)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final
from xml.sax.saxutils import escape

from pydicom.datadict import keyword_for_tag

from shared.dicom.dicom_json_reader import Attribute, LongAttribute, attributes_of

_ROOT: Final = '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">'
_NAME_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")  # PS3.5 6.2.1
_FIRST_BLOCK: Final = "10"

_NO_CHARACTER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
# A parser turns a carriage return into a line feed (XML 1.0, 2.11), and either in an attribute into a space (3.3.3).
_REFERENCES: Final = {'"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


def native_dicom_model(attributes: Iterable[tuple[str, Attribute]]) -> Iterator[bytes]:
    """One instance's metadata as an XML document in UTF-8, in pieces; `attributes` are as `read_attributes` gives them.

    Attributes, values, items, names and bulk values (by URI) keep their order, and are numbered from 1; a null value
    is empty. Private attributes have their Private Creator, and a tag whose block is 00 (PS3.19 Table A.1.5-2); one
    without a Private Creator in its data set keeps its tag, since nothing else says which block it is in. An empty
    component of a name is left out; what follows the fifth stays in it.

    Numbers are in decimal, as Python writes them; floats that are not finite stay the text that they are. Characters
    that XML does not have, such as most controls, become U+FFFD.
    """
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n{_ROOT}'.encode()
    for text in _data_set(attributes):
        yield text.encode()
    yield b"</NativeDicomModel>\n"


def _data_set(attributes: Iterable[tuple[str, Attribute]]) -> Iterator[str]:
    creators: dict[str, str] = {}
    for tag, attribute in attributes:
        if isinstance(attribute, LongAttribute):
            yield f"<DicomAttribute {_identification(tag, attribute.vr, creators)}>"
            yield from _values(attribute.vr, attribute.values)
        else:
            vr, values = attribute["vr"], attribute.get("Value", ())
            yield f"<DicomAttribute {_identification(tag, vr, creators)}>"
            if "BulkDataURI" in attribute:
                yield f'<BulkData uri="{_escaped(attribute["BulkDataURI"])}"/>'
            else:
                yield from _values(vr, values)
            if values and int(tag[:4], 16) % 2 and tag[4:6] == "00" and isinstance(values[0], str):
                creators[f"{tag[:4]}{tag[6:]}"] = values[0]
        yield "</DicomAttribute>"


def _identification(tag: str, vr: str, creators: Mapping[str, str]) -> str:
    """Its XML attributes; `creators` are the Private Creators of its data set, by group and block (PS3.5 7.8.1)."""
    creator = creators.get(tag[:6]) if tag[4:6] >= _FIRST_BLOCK else None
    if creator is not None:
        return f'tag="{tag[:4]}00{tag[6:]}" vr="{vr}" privateCreator="{_escaped(creator)}"'
    keyword = _keyword(tag)
    return f'tag="{tag}" vr="{vr}" keyword="{keyword}"' if keyword else f'tag="{tag}" vr="{vr}"'


@lru_cache(4096)
def _keyword(tag: str) -> str:
    return keyword_for_tag(int(tag, 16))


def _values(vr: str, values: Iterable[Any]) -> Iterator[str]:
    if vr == "SQ":
        for number, item in enumerate(values, 1):
            yield f'<Item number="{number}">'
            yield from _data_set(attributes_of(item))
            yield "</Item>"
        return
    element, convert = ("PersonName", _name) if vr == "PN" else ("Value", _plain)
    for number, value in enumerate(values, 1):
        yield f'<{element} number="{number}">{"" if value is None else convert(value)}</{element}>'


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
