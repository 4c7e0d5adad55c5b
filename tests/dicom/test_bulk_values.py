"""Bulk values: which values metadata refers to, and what the references give."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
)

from shared.dicom import sequences
from shared.dicom.bulk_values import NoSuchBulkValue, find_bulk_values
from shared.dicom.dicom_file import DicomFileLimits, inflate_file
from shared.dicom.file_meta import read_header
from tests.support.part10_files import (
    ALL_ENCODINGS,
    SAMPLES,
    data_set,
    image,
    part10,
    read,
    read_bulk_value,
)


class TestBulkValues:
    @ALL_ENCODINGS
    def test_are_read_in_little_endian(self, syntax: UID) -> None:
        icon = Dataset()
        icon.Rows, icon.Columns, icon.BitsAllocated = 1, 2, 16
        icon.add_new("PixelData", "OW", b"\1\2\3\4")
        dataset = data_set()
        dataset.add_new("IconImageSequence", "SQ", [Dataset(), icon])
        dataset.add_new("EncapsulatedDocument", "OB", b"%PDF" * 1_000_000)
        if syntax == ExplicitVRBigEndian:
            icon["PixelData"].value = b"\2\1\4\3"
        stored, instance = read(part10(dataset, syntax))
        nested = instance.metadata["00880200"]["Value"][1]["7FE00010"]
        assert nested == {"vr": "OW", "BulkDataURI": "bulkdata/00880200/2/7FE00010"}
        assert read_bulk_value(stored, "00880200/2/7FE00010") == (b"\1\2\3\4", "OW")
        assert instance.metadata["00420011"] == {"vr": "OB", "BulkDataURI": "bulkdata/00420011"}
        assert read_bulk_value(stored, "00420011") == (b"%PDF" * 1_000_000, "OB")
        assert read_bulk_value(stored, "0020000d")[1] == "UI"

    def test_of_one_sequence_are_read_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        dataset, paths = data_set(), []
        items = [Dataset() for _ in range(30)]
        for number, item in enumerate(items, 1):
            inner = Dataset()
            inner.add_new("EncapsulatedDocument", "OB", f"inner {number:04}".encode())
            item.add_new("EncapsulatedDocument", "OB", f"item {number:05}".encode())
            item.add_new("IconImageSequence", "SQ", [inner])
            paths += [f"00081110/{number}/00420011", f"00081110/{number}/00880200/1/00420011"]
        dataset.add_new("ReferencedStudySequence", "SQ", items)
        stored, _ = read(part10(dataset))
        _, found = read_header(stored, DicomFileLimits())
        read_items: list[object] = []
        reading = sequences.raw_items

        def noted(*given: Any) -> Iterator[Dataset]:
            read_items.append(given[0])
            return reading(*given)

        monkeypatch.setattr(sequences, "raw_items", noted)
        values = [(path, value) for path, value, _ in find_bulk_values(found, paths)]
        assert len(read_items) == 31
        assert values == [(path, read_bulk_value(stored, path)[0]) for path in paths]

    def test_that_are_encapsulated_are_joined(self) -> None:
        icon = Dataset()
        icon.add_new("PixelData", "OB", bytes.fromhex("feff00e000000000 feff00e002000000ffd8 feff00e002000000ffd9"))
        icon["PixelData"].is_undefined_length = True
        dataset = data_set()
        dataset.add_new("IconImageSequence", "SQ", [icon])
        stored, _ = read(part10(dataset))
        assert read_bulk_value(stored, "00880200/1/7FE00010") == (b"\xff\xd8\xff\xd9", "OB")

    def test_after_pixel_data_need_what_follows_it(self) -> None:
        dataset = image(b"pixels")
        signature = Dataset()
        signature.add_new("Signature", "OB", b"signed")
        dataset.add_new("DigitalSignaturesSequence", "SQ", [signature])
        stored, instance = read(part10(dataset))
        assert instance.frames is not None
        path = "FFFAFFFA/1/04000120"
        assert instance.metadata["FFFAFFFA"]["Value"][0]["04000120"]["BulkDataURI"] == f"bulkdata/{path}"
        header, tail = stored[: instance.header_bytes], stored[instance.frames.end_offset :]
        with pytest.raises(NoSuchBulkValue):
            read_bulk_value(header, path)
        assert read_bulk_value(header + tail, path) == (b"signed", "OB")

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "../x",
            "7FE0001",
            "7FE00010",
            "00100020",
            "00880200",
            "00880200/1",
            "00880200/0/7FE00010",
            "00880200/2/00280010",
            "00080060/1/00080060",
        ],
    )
    def test_that_are_not_there(self, path: str) -> None:
        dataset = data_set(Modality="CT", PatientID="")
        dataset.add_new("IconImageSequence", "SQ", [Dataset()])
        with pytest.raises(NoSuchBulkValue):
            read_bulk_value(read(part10(dataset))[0], path)

    @pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
    def test_exist_for_every_reference_in_the_samples(self, path: Any) -> None:
        stored, instance = read(path.read_bytes())
        if instance.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
            stored, instance = inflate_file(stored)
        readable = stored
        if instance.frames is not None:
            readable = stored[: instance.header_bytes] + stored[instance.frames.end_offset :]
        for uri in references(instance.metadata):
            if instance.frames is None or uri != "bulkdata/7FE00010":
                assert read_bulk_value(readable, uri.removeprefix("bulkdata/"))[0]


def references(metadata: dict[str, Any]) -> list[str]:
    """Every BulkDataURI, also those in items."""
    found = []
    for attribute in metadata.values():
        found += [attribute["BulkDataURI"]] if "BulkDataURI" in attribute else []
        if attribute["vr"] == "SQ":
            found += [uri for item in attribute.get("Value", []) for uri in references(item)]
    return found
