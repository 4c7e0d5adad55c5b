"""Files with sequences in sequences, of defined or undefined length."""

from pydicom.dataset import Dataset
from pydicom.uid import UID

from tests.support.part10_files import part10
from tests.support.served_instances import dataset

Form = tuple[bytes, bytes]


def picture(is_undefined: bool = False, **attributes: object) -> Dataset:
    """An image with a sequence in a sequence, of undefined length or not."""
    inner, outer = Dataset(), Dataset()
    inner.CodeValue = "inner"
    outer.PurposeOfReferenceCodeSequence = [inner]
    found = dataset(SourceImageSequence=[outer, Dataset()], **attributes)
    for holder, keyword in ((found, "SourceImageSequence"), (outer, "PurposeOfReferenceCodeSequence")):
        holder[keyword].is_undefined_length = is_undefined
        for item in holder[keyword].value:
            item.is_undefined_length_sequence_item = is_undefined
    return found


def whole(syntax: UID, *, is_undefined: bool = False, **attributes: object) -> Form:
    file = part10(picture(is_undefined=is_undefined, **attributes), syntax)
    return file, file
