"""Values of attributes, as pydicom converts them: they are untrusted, and what cannot be read counts as absent."""

from typing import Any, Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from shared.dicom.parsing import Element, element_of

_MAX_CONVERTED_BYTES: Final = 65536  # pydicom makes an object of each value, and two bytes may hold one


def element_of_keyword(data_set: Dataset, keyword: str) -> Element | None:
    """The element of an attribute, unconverted; None where there is none."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return element_of(data_set, tag)


def value_of(data_set: Dataset, keyword: str) -> Any:
    """The value of an attribute; None where there is none, or it cannot be read or is longer than it can need to be.

    pydicom converts it in `data_set` itself.
    """
    element = element_of_keyword(data_set, keyword)
    if isinstance(element, RawDataElement) and len(element.value or b"") > _MAX_CONVERTED_BYTES:
        return None
    try:
        return data_set.get(keyword)
    except Exception:  # noqa: BLE001
        # pydicom converts it now, which can fail in any way.
        return None
