"""Long values are found where the whole header has them, without reading it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from shared.dicom.file_meta import read_header
from shared.dicom.parsing import DicomFileLimits
from shared.services.retrieve.stored_file import StoredFile
from shared.services.retrieve.stored_value import StoredValue, find_long_value
from tests.support.answers import answer_work
from tests.support.part10_files import data_set, part10, read_bulk_value

LITTLE_ENDIAN = pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=lambda syntax: syntax.name
)
LENGTH = 1_000_000

# An attribute of each VR that is sent as it is.
VALUES = {
    "OB": ("EncapsulatedDocument", bytes(range(250)) * (LENGTH // 250)),
    "OW": ("RedPaletteColorLookupTableData", bytes(range(250)) * (LENGTH // 250)),
    "OF": ("FloatPixelData", bytes(LENGTH)),
    "OD": ("DoubleFloatPixelData", bytes(LENGTH)),
    "OL": ("LongPrimitivePointIndexList", bytes(LENGTH)),
    "OV": ("ExtendedOffsetTable", bytes(LENGTH)),
    "UT": ("TextValue", "x" * LENGTH),
}


def file_of(syntax: UID, **attributes: Any) -> bytes:
    item = Dataset()
    item.CodeValue = "1"
    return part10(data_set(ConceptNameCodeSequence=[item], **attributes), syntax)


class ReadFile:
    """A file in memory that counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.bytes_read = 0
        self.file = StoredFile("path", "", len(data), len(data), None, self._read)

    async def _read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        self.bytes_read += length
        yield self.data[offset : offset + length]

    async def find(self, keyword: str) -> StoredValue | None:
        return await find_long_value(self.file, tag_for_keyword(keyword) or 0, answer_work())


@LITTLE_ENDIAN
@pytest.mark.parametrize("vr", VALUES)
async def test_a_long_value_is_where_the_whole_header_has_it(syntax: UID, vr: str) -> None:
    keyword, value = VALUES[vr]
    data = file_of(syntax, **{keyword: value, "MIMETypeOfEncapsulatedDocument": "text/plain", "PatientID": "1"})
    read = ReadFile(data)
    found = await read.find(keyword)
    assert found is not None
    assert read.bytes_read < 2 * 256 * 1024
    sent = b"".join([chunk async for chunk in found.read(0, found.size_bytes)])
    assert sent == read_bulk_value(data, f"{tag_for_keyword(keyword):08X}")[0]
    assert b"".join([chunk async for chunk in found.read(10, 20)]) == sent[10:30]
    _, whole = read_header(data, DicomFileLimits())
    assert found.others.keys() == whole.keys() - {tag_for_keyword(keyword)}
    assert found.others.PatientID == "1"


@pytest.mark.parametrize(
    ("asked", "attributes"),
    [
        pytest.param("EncapsulatedDocument", {"PatientID": "1"}, id="not there"),
        pytest.param("EncapsulatedDocument", {"EncapsulatedDocument": b"short"}, id="in a short header"),
        pytest.param(
            "TextValue",
            {"TextValue": "x" * LENGTH, "EncapsulatedDocument": bytes(LENGTH)},
            id="before another long one",
        ),
        pytest.param(
            "EncapsulatedDocument", {"TextValue": "x" * LENGTH, "EncapsulatedDocument": b"12"}, id="after a long one"
        ),
        pytest.param("ConceptNameCodeSequence", {"TextValue": "x" * LENGTH}, id="a sequence"),
        pytest.param("PatientID", {"PatientID": "1", "TextValue": "x" * LENGTH}, id="a VR that is not sent as it is"),
    ],
)
async def test_others_are_left_to_who_parses_the_header(asked: str, attributes: dict[str, Any]) -> None:
    assert await ReadFile(file_of(ExplicitVRLittleEndian, **attributes)).find(asked) is None


async def test_big_endian_words_are_left_to_who_swaps_them() -> None:
    data = file_of(ExplicitVRBigEndian, EncapsulatedDocument=bytes(LENGTH))
    assert await ReadFile(data).find("EncapsulatedDocument") is None


async def test_a_file_that_is_none_is_left_to_who_says_so() -> None:
    for data in (b"\xff" * LENGTH, bytes(LENGTH), file_of(ExplicitVRLittleEndian)[:300] + b"\xff" * LENGTH):
        assert await ReadFile(data).find("EncapsulatedDocument") is None
