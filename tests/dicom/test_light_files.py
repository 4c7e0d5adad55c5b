"""Which files are finished and validated where others wait for it: those of which little is left to be done."""

import pytest

from shared.dicom.dicom_file import DicomFileError, DicomFileReader
from tests.support.encoded_elements import element, item, sequence
from tests.support.large_headers import large_header
from tests.support.part10_files import sample
from tests.support.served_instances import dataset, part10

NATIVE = part10(dataset())


def is_light(file: bytes) -> bool:
    """Whether a file is light at its end."""
    reader = DicomFileReader()
    reader.feed(file)
    found = reader.is_light
    reader.finish()
    return found


def values(keyword: str, value: str, count: int) -> bytes:
    return part10(dataset(**{keyword: [value] * count}))


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "ExplVR_BigEnd.dcm"])
def test_a_file_of_a_device_is_light(name: str) -> None:
    assert is_light(sample(name))


@pytest.mark.parametrize(
    "file",
    [
        sample("JPEG2000.dcm"),
        sample("image_dfl.dcm"),
        sample("reportsi.dcm"),
        large_header(300_000, 8),
        large_header(300_000, 2000),
        values("ReferringPhysicianName", "A", 5000),
        values("StudyDate", "20200101", 1000),
        NATIVE + b"".join(element(0x7FE10010 + index, "LO", b"") for index in range(512)),
        NATIVE + sequence(0x7FE11010, item(b"") * 500),
    ],
    ids=[
        "encapsulated",
        "deflated",
        "without Pixel Data",
        "many elements",
        "many bytes",
        "many names",
        "many dates",
        "much after Pixel Data",
        "many items after it",
    ],
)
def test_one_of_which_more_is_left_is_not(file: bytes) -> None:
    assert not is_light(file)


@pytest.mark.parametrize(
    "file",
    [
        values("ReferringPhysicianName", "A", 3000),
        values("StudyDescription", "", 6000),
        values("StudyDate", "20200101", 700),
        NATIVE + sequence(0x7FE11010, item(b"") * 110),
    ],
    ids=["names", "empty values", "dates", "items after Pixel Data"],
)
def test_the_most_that_a_light_file_holds(file: bytes) -> None:
    assert is_light(file)


def test_one_that_is_cut_or_not_begun_is_not() -> None:
    assert not DicomFileReader().is_light
    reader = DicomFileReader()
    reader.feed(NATIVE[:200])
    assert not reader.is_light
    reader = DicomFileReader()
    reader.feed(NATIVE[:-1])
    assert reader.is_light
    with pytest.raises(DicomFileError, match="cut short"):
        reader.finish()
