"""Elements too long to be held: they are read like short ones (tests/property), in as little memory."""

import struct
import tracemalloc

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from shared.archive.study import split_by_level
from shared.dicom.dicom_file import DicomFileError, DicomFileLimits, DicomFileReader
from shared.dicom.dicom_json_text import DeflatedValues
from tests.support.part10_files import chunks, image, part10, part10_of, read, read_bulk_value, read_chunks

FRAMES = 1_000
CUT_SHORT = [b"\xfe\xff\x00\xe0\x10\x00\x00\x00", b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b""]


def enhanced_image(frames: int, *, is_undefined: bool) -> bytes:
    """An image with an item of functional groups for each frame."""
    items = []
    for number in range(1, frames + 1):
        content, position, item = Dataset(), Dataset(), Dataset()
        content.FrameAcquisitionNumber = number
        content.DimensionIndexValues = [1, number]
        position.ImagePositionPatient = [number, -120.5, 33.25]
        item.FrameContentSequence = Sequence([content])
        item.PlanePositionSequence = Sequence([position])
        item.is_undefined_length_sequence_item = is_undefined
        items.append(item)
    data_set = image(bytes(6 * frames), NumberOfFrames=frames, PerFrameFunctionalGroupsSequence=Sequence(items))
    data_set["PerFrameFunctionalGroupsSequence"].is_undefined_length = is_undefined
    return part10(data_set)


@pytest.mark.parametrize("is_undefined", [False, True])
def test_a_sequence_of_many_items_is_read_in_little_memory(is_undefined: bool) -> None:
    parts = list(chunks(enhanced_image(FRAMES, is_undefined=is_undefined), seed=1))
    read_chunks(parts)  # so that what is imported and cached does not count
    reader = DicomFileReader()
    held_bytes = 0
    tracemalloc.start()
    try:
        for part in parts:
            reader.feed(part)
            held_bytes = max(held_bytes, reader.held_bytes)
        _, instance = reader.finish()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # As objects, the items take 2.5 MB.
    assert peak_bytes < 1_500_000
    assert held_bytes < 150_000
    items = instance.metadata["52009230"]["Value"]
    assert isinstance(items, DeflatedValues)
    assert len(items) == FRAMES
    assert items[-1]["00209111"]["Value"][0]["00209157"]["Value"] == [1, FRAMES]


def test_the_identity_is_known_and_bytes_pass_while_a_sequence_is_still_read() -> None:
    data = enhanced_image(FRAMES, is_undefined=True)
    reader = DicomFileReader()
    half = len(data) // 2
    assert len(reader.feed(data[:half])) > half - 100_000
    assert reader.identity is not None
    assert not reader.is_header_read


def test_long_attributes_stay_with_the_instance() -> None:
    item = Dataset()
    item.StudyInstanceUID, item.RequestedProcedureDescription = "1.2.3", "x" * 60
    data_set = image(b"pixels", RequestAttributesSequence=Sequence([item] * 2_000))
    _, instance = read(part10(data_set))
    assert isinstance(instance.metadata["00400275"]["Value"], DeflatedValues)
    assert not any("00400275" in attributes for attributes in split_by_level(instance.metadata))


def test_a_bulk_value_passes_unread_and_can_be_read_back() -> None:
    value = bytes(range(256)) * 4_000
    data = part10(image(b"pixels", EncapsulatedDocument=value))
    reader = DicomFileReader()
    held_bytes = 0
    for part in chunks(data, seed=2):
        reader.feed(part)
        held_bytes = max(held_bytes, reader.held_bytes)
    _, instance = reader.finish()
    assert held_bytes < 150_000
    assert instance.metadata["00420011"] == {"vr": "OB", "BulkDataURI": "bulkdata/00420011"}
    assert read_bulk_value(data[: instance.header_bytes], "00420011") == (value, "OB")


def test_a_sequence_that_holds_no_items_is_a_bulk_value() -> None:
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 10_000
    for value in (b"\1" * 80_000, items + b"\1" * 8, items[:-4] + struct.pack("<L", 100)):
        encoded = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, len(value)) + value
        _, instance = read_chunks(chunks(part10_of(encoded), seed=3))
        assert instance.metadata["0040A730"] == {"vr": "UN", "BulkDataURI": "bulkdata/0040A730"}


@pytest.mark.parametrize("announced_bytes", [80_001, 0xFFFFFFF0])
def test_a_header_over_its_limit_is_refused_when_it_is_announced(announced_bytes: int) -> None:
    for vr, tag in ((b"SQ", 0xA730), (b"OB", 0xA123)):
        reader = DicomFileReader(limits=DicomFileLimits(max_header_bytes=80_000))
        head = struct.pack("<HH2sHL", 0x0040, tag, vr, 0, announced_bytes)
        with pytest.raises(DicomFileError, match="larger than 80000 bytes besides its Pixel Data"):
            reader.feed(part10_of(head))


def test_a_header_without_end_is_refused_at_its_limit() -> None:
    item = b"\xfe\xff\x00\xe0\x08\x00\x00\x00" + bytes.fromhex("0800000155530000")
    reader = DicomFileReader(limits=DicomFileLimits(max_header_bytes=100_000))
    head = part10_of(struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF))
    with pytest.raises(DicomFileError, match="larger than 100000 bytes besides its Pixel Data"):
        reader.feed(head + item * 10_000)


@pytest.mark.parametrize("end", CUT_SHORT)
@pytest.mark.parametrize("length", [90_000, 0xFFFFFFFF])
def test_a_file_that_ends_within_a_long_element_is_refused(end: bytes, length: int) -> None:
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 10_000
    data = part10_of(struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, length) + items + end)
    with pytest.raises(DicomFileError, match="cut short in element 0040,A730"):
        read_chunks(chunks(data, seed=4))


def test_an_identity_that_changes_after_bytes_have_passed_is_refused() -> None:
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 10_000
    sequence = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, len(items)) + items
    uid = struct.pack("<HH2sH", 0x0008, 0x0018, b"UI", 4) + b"1.2\0"
    with pytest.raises(DicomFileError, match="out of order"):
        read(part10_of(uid + sequence + uid.replace(b"1.2", b"1.3")))
    assert read(part10_of(sequence.replace(b"\x40\x00\x30\xa7", b"\x08\x00\x40\x11") + uid))
