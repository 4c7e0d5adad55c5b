"""Rewrites a data set in Explicit VR Little Endian (PS3.5 A.2), its values bit for bit as they came.

Only heads are made, and the bytes of words swapped; no value is interpreted, so none can fail to be written.
"""

from collections.abc import Mapping
from struct import pack
from types import MappingProxyType
from typing import Final

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STR_VR

from shared.dicom.byte_order import swapped
from shared.dicom.dicom_json import is_attribute
from shared.dicom.element_values import NOTHING_INHERITED, Inherited
from shared.dicom.items import UNDEFINED_LENGTH, encoded_item, sequence_delimitation
from shared.dicom.parsing import DicomFileLimits, Element, Malformed, element_of
from shared.dicom.sequences import NestedReader

_MAX_SHORT_BYTES: Final = 0xFFFE  # the largest even length of 16 bits
_PADDING: Final = {str(vr): b" " for vr in STR_VR if vr != "UI"}  # PS3.5 Table 6.2-1; a null for all other VRs

_DEFAULT_LIMITS: Final = DicomFileLimits()


def explicit_vr_little_endian(
    data_set: Dataset,
    *,
    replaced: Mapping[int, tuple[str, bytes] | None] = MappingProxyType({}),
    inherited: Inherited = NOTHING_INHERITED,
    limits: DicomFileLimits = _DEFAULT_LIMITS,
) -> bytes:
    """The attributes of `data_set`, tags ascending, encoded in Explicit VR Little Endian; no preamble, no file meta.

    `data_set` is as `ElementReader` returns it, in any encoding: its elements are raw, or sequences. `replaced` has, by
    tag, the VR and the little-endian value of attributes to write at the top, in place of or beside those that are
    there, or None for one to leave out. `inherited` is for a data set that is the rest of another.

    Values stay as they are, except for byte order and a padding byte where a length is odd (PS3.5 7.1.1). VRs
    are those of the metadata (`Inherited.vr`): as encoded, or by the dictionaries, and UN where those know none, where
    binary numbers have an impossible length, where a sequence does not hold items, and where a value is too long for a
    length of 16 bits (PS3.5 6.2.2). Sequences and items get defined lengths, which are shorter and let a reader skip
    them; an encapsulated value keeps its fragments. Group lengths (retired, PS3.5 7.2), the file meta group and
    trailing padding are left out, as in the metadata.

    Raises DicomFileError where sequences exceed `limits`, and TypeError for an element that pydicom has converted.
    """
    elements = {tag: element_of(data_set, tag) for tag in data_set.keys()}  # noqa: SIM118
    for number, attribute in replaced.items():
        elements[BaseTag(number)] = None if attribute is None else _raw_element(number, *attribute)
    present = {tag: element for tag, element in elements.items() if element is not None}
    return _encoded(Dataset(present), inherited, NestedReader(limits))


def _raw_element(number: int, vr: str, value: bytes) -> RawDataElement:
    return RawDataElement(BaseTag(number), vr, len(value), value, 0, is_implicit_VR=False, is_little_endian=True)


def _encoded(data_set: Dataset, inherited: Inherited, nested: NestedReader) -> bytes:
    inherited = inherited.by(data_set)
    numbers = sorted(filter(is_attribute, map(int, data_set.keys())))
    elements = (element_of(data_set, number) for number in numbers)
    return b"".join(_element(element, data_set, inherited, nested) for element in elements if element is not None)


def _element(element: Element, data_set: Dataset, inherited: Inherited, nested: NestedReader) -> bytes:
    if not isinstance(element, RawDataElement):
        if element.VR != "SQ":
            raise TypeError("An element of the data set has been converted.")
        return _headed(element.tag, "SQ", _items(element, inherited, nested))
    vr = inherited.vr(element, data_set)
    if vr == "SQ":
        try:
            return _headed(element.tag, vr, _items(element, inherited, nested))
        except Malformed:
            vr = "UN"
    if element.length == UNDEFINED_LENGTH:
        return _encapsulated(element, vr)
    value = element.value or b""
    return _headed(element.tag, vr, value if element.is_little_endian else swapped(value, vr))


def _items(element: Element, inherited: Inherited, nested: NestedReader) -> bytes:
    with nested.items(element) as items:
        return b"".join(encoded_item(_encoded(item, inherited, nested)) for item in items)


def _encapsulated(element: RawDataElement, vr: str) -> bytes:
    """A value of undefined length in its fragments (PS3.5 A.4); without any, as it stands, with a defined length."""
    value = element.value or b""
    if vr == "UN":
        vr = "OB"  # UN of undefined length is a sequence: PS3.5 6.2.2
    try:
        fragments = list(generate_fragments(value, endianness="<" if element.is_little_endian else ">"))
    except ValueError:
        fragments = []
    if not fragments:
        return _headed(element.tag, vr, value)
    items = b"".join(map(encoded_item, fragments))
    return element_head(element.tag, vr, UNDEFINED_LENGTH) + items + sequence_delimitation()


def _headed(tag: int, vr: str, value: bytes) -> bytes:
    if len(value) % 2:
        value += _PADDING.get(vr, b"\0")
    if len(value) > _MAX_SHORT_BYTES and vr not in EXPLICIT_VR_LENGTH_32:
        vr = "UN"
    return element_head(tag, vr, len(value)) + value


def element_head(tag: int, vr: str, length: int) -> bytes:
    """What precedes the value of an element in Explicit VR Little Endian: its tag, VR and length in bytes."""
    form = "<HH2sxxL" if vr in EXPLICIT_VR_LENGTH_32 else "<HH2sH"  # PS3.5 7.1.2
    return pack(form, tag >> 16, tag & 0xFFFF, vr.encode(), length)
