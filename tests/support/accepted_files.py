"""What holds for every file: it is read in one way or refused, and what is accepted can be retrieved and read again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from pydicom.dataset import Dataset

from shared.dicom.bulk_data_uris import BULK_DATA
from shared.dicom.bulk_values import find_bulk_value
from shared.dicom.dicom_file import DicomFileError, DicomFileLimits, DicomFileReader, DicomInstance, inflate_file
from shared.dicom.dicom_json import JsonConverter
from shared.dicom.dicom_json_text import json_texts
from shared.dicom.dicom_xml import native_dicom_model
from shared.dicom.element_reader import ElementReader
from shared.dicom.element_values import NOTHING_INHERITED
from shared.dicom.explicit_vr import explicit_vr_little_endian
from shared.dicom.file_meta import read_header
from shared.dicom.frame_table import MAX_FRAME_FRAGMENTS, FrameTable
from shared.dicom.parsing import Encoding
from shared.dicom.transfer_syntaxes import DEFLATED

LIMITS: Final = DicomFileLimits()
TIGHT: Final = DicomFileLimits(
    max_header_bytes=20_000,
    max_inflated_bytes=100_000,
    max_sequence_depth=8,
    max_elements=1_000,
    max_values=2_000,
    max_fragments=100,
)

Outcome = tuple[bytes, DicomInstance] | None
"""What is stored, and what it is; None for a refusal."""


def outcome(chunks: Sequence[bytes], limits: DicomFileLimits = LIMITS) -> Outcome:
    """What becomes of a file that arrives in these chunks. Raises whatever is not DicomFileError."""
    reader = DicomFileReader(limits=limits)
    try:
        stored = b"".join(map(reader.feed, chunks))
        last, instance = reader.finish()
    except DicomFileError:
        return None
    return stored + last, instance


@contextmanager
def long_from(size_bytes: int) -> Iterator[None]:
    """Elements from `size_bytes` on count as long inside the context, so that small files have some."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("shared.dicom.data_set_reader.LONG_BYTES", size_bytes)
        patched.setattr("shared.dicom.long_elements._HELD_BYTES", size_bytes)
        yield


def plain_metadata(instance: DicomInstance) -> Any:
    """The metadata as a client reads it."""
    return json.loads(b"".join(json_texts(instance.metadata.items())))


def check_accepted(stored: bytes, instance: DicomInstance) -> None:
    """Check that what was accepted can be written, retrieved and read again, in every form that is sent."""
    assert instance.size_bytes == len(stored)
    assert 132 <= instance.header_bytes <= len(stored)
    again = outcome([stored])
    assert again is not None
    assert again[0] == stored
    # What the file left open, such as its transfer syntax, its stored form says.
    assert replace(again[1], assumptions=()) == replace(instance, assumptions=())
    metadata = plain_metadata(instance)
    ElementTree.fromstring(b"".join(native_dicom_model(metadata.items())))  # noqa: S314 -- our own
    if instance.transfer_syntax_uid in DEFLATED:
        stored, instance = inflate_file(stored)
        assert plain_metadata(instance) == metadata
    without_pixels = stored
    if instance.frames is not None:
        check_frames(instance.frames)
        assert instance.header_bytes < instance.frames.value_offset <= instance.frames.end_offset <= len(stored)
        without_pixels = stored[: instance.header_bytes] + stored[instance.frames.end_offset :]
        metadata = {tag: attribute for tag, attribute in metadata.items() if not tag.startswith("7FE000")}
    _, data_set = read_header(without_pixels, LIMITS)
    for path, vr in bulk_values(metadata):
        assert find_bulk_value(data_set, path)[1] == vr, path
    check_rewritten(data_set)


def check_frames(table: FrameTable) -> None:
    """Check that the frames lie within Pixel Data, one after another, and that a stored table is the same."""
    stored = FrameTable.from_bytes(table.to_bytes())
    assert _facts(stored) == _facts(table)
    end = table.value_offset
    for number in sorted({1, 2, (table.frame_count + 1) // 2, table.frame_count} & {*range(1, table.frame_count + 1)}):
        if table.is_encapsulated and (
            table.first_fragments[number] - table.first_fragments[number - 1] > MAX_FRAME_FRAGMENTS
        ):
            continue
        ranges = table.byte_ranges(number)
        assert ranges
        begin = ranges[0][0]
        # Pixels of a bit share a byte, those of a byte may share a word.
        assert begin >= end - (2 if table.is_swapped else 1 if table.frame_bits % 8 else 0)
        for offset, length in ranges:
            assert length >= 0
            assert begin <= offset <= offset + length <= table.end_offset
            begin = end = offset + length
        size_bytes = sum(length for _, length in ranges)
        assert len(table.cut(number, bytes(size_bytes))) == (-(-table.frame_bits // 8) or size_bytes)


def _facts(table: FrameTable) -> dict[str, Any]:
    """What a table says, whatever kind of sequence holds its numbers."""
    facts = {name: getattr(table, name) for name in FrameTable.__slots__}
    return facts | {name: list(facts[name]) for name in ("fragment_offsets", "first_fragments")}


def bulk_values(data_set: Mapping[str, Any], path: str = BULK_DATA) -> Iterator[tuple[str, str]]:
    """The path and VR of each bulk value of a data set in DICOM JSON, whose URIs have to begin with `path`."""
    for tag, attribute in data_set.items():
        if "BulkDataURI" in attribute:
            assert attribute["BulkDataURI"] == f"{path}/{tag}"
            yield attribute["BulkDataURI"].removeprefix(f"{BULK_DATA}/"), attribute["vr"]
        elif attribute["vr"] == "SQ":
            for number, item in enumerate(attribute.get("Value", ()), 1):
                yield from bulk_values(item, f"{path}/{tag}/{number}")


def check_rewritten(data_set: Dataset) -> None:
    """Check that a data set has the same attributes in Explicit VR Little Endian, and is the same if written again."""
    once = _rewritten(data_set)
    assert _attributes(once).keys() == _attributes(data_set).keys()
    # What was a sequence without items is UN once written, and then what the dictionary says.
    twice = explicit_vr_little_endian(_rewritten(once))
    assert explicit_vr_little_endian(_parsed(twice)) == twice


def _rewritten(data_set: Dataset) -> Dataset:
    return _parsed(explicit_vr_little_endian(data_set))


def _parsed(encoded: bytes) -> Dataset:
    reader = ElementReader(Encoding(), limits=LIMITS)
    reader.feed(encoded, is_last=True)
    return reader.data_set


def _attributes(data_set: Dataset) -> dict[str, dict[str, Any]]:
    return JsonConverter(LIMITS).attributes(data_set, BULK_DATA, NOTHING_INHERITED)
