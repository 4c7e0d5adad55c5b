import struct
import subprocess
import sys
import threading
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import encaps
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from shared.dicom.dicom_file import DicomFileError, DicomFileLimits, DicomFileReader, inflate_file
from shared.dicom.identifiers import DEFAULT_PARTITION
from tests.support.default_partition import identifiers_of
from tests.support.part10_files import (
    REFUSED_SAMPLES,
    SAMPLES,
    chunks,
    data_set,
    frames_of,
    image,
    nested,
    part10,
    part10_of,
    read,
    read_bulk_value,
    read_chunks,
    refusal,
    sample,
)

SAMPLE = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)


class TestSamples:
    @SAMPLE
    def test_are_stored_as_they_came_except_the_preamble(self, path: Path) -> None:
        data = path.read_bytes()
        stored, instance = read_chunks(chunks(data, seed=1))
        assert stored == bytes(128) + data[128:]
        assert instance.size_bytes == len(data)

    @SAMPLE
    def test_are_the_same_however_they_are_cut(self, path: Path) -> None:
        data = path.read_bytes()
        whole = read(data)
        for seed in range(3):
            assert read_chunks(chunks(data, seed)) == whole
        if len(data) < 4_000:
            assert read_chunks(bytes([byte]) for byte in data) == whole

    @SAMPLE
    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_have_the_frames_that_pydicom_finds(self, path: Path) -> None:
        dataset = pydicom.dcmread(path)
        stored, instance = read(path.read_bytes())
        if "PixelData" not in dataset or dataset.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
            assert instance.frames is None
            return
        assert instance.frames is not None
        if path.name == "nested_priv_SQ.dcm":
            assert instance.frames.unavailable
            return
        found = frames_of(stored, instance)
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            frame_count = int(dataset.get("NumberOfFrames", 1))
            assert found == list(encaps.generate_frames(dataset.PixelData, number_of_frames=frame_count))
        else:
            words = instance.frames.is_swapped
            pixels = np.frombuffer(dataset.PixelData, ">u2").astype("<u2").tobytes() if words else dataset.PixelData
            assert pixels.startswith(b"".join(found))
            assert path.name in ("MR_small_padded.dcm", "badVR.dcm") or len(b"".join(found)) + 1 >= len(
                dataset.PixelData
            )

    @SAMPLE
    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_have_the_identifiers_of_their_data_set(self, path: Path) -> None:
        dataset = pydicom.dcmread(path, specific_tags=["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
        _, instance = read(path.read_bytes())
        assert instance.study_instance_uid == str(dataset.get("StudyInstanceUID", ""))
        assert instance.series_instance_uid == str(dataset.get("SeriesInstanceUID", ""))
        assert instance.sop_instance_uid == str(dataset.get("SOPInstanceUID", ""))
        assert instance.transfer_syntax_uid == str(dataset.file_meta.TransferSyntaxUID)

    @pytest.mark.parametrize("name", REFUSED_SAMPLES)
    def test_that_are_broken_are_refused(self, name: str) -> None:
        assert refusal(sample(name))


class TestCutShort:
    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(sample("SC_rgb_jls_lossy_line.dcm"), id="encapsulated"),
            pytest.param(sample("UN_sequence.dcm"), id="sequence of undefined length"),
            pytest.param(sample("priv_SQ.dcm"), id="private sequence"),
            pytest.param(part10(image(b"pixels"), ImplicitVRLittleEndian), id="implicit"),
            pytest.param(part10(image(b"pixels"), ExplicitVRBigEndian), id="big endian"),
            pytest.param(part10(image(b"pixels"), DeflatedExplicitVRLittleEndian), id="deflated"),
        ],
    )
    def test_file_is_never_taken_for_a_whole_one(self, data: bytes) -> None:
        taken = []
        for length in range(0, len(data), 1 + len(data) // 2000):
            reader = DicomFileReader()
            try:
                reader.feed(data[:length])
                taken.append((length, reader.finish()[1]))
            except DicomFileError:
                pass
        # Cut between two attributes before Pixel Data, it is a whole file, with fewer attributes and no image. A
        # deflated data set has its own end.
        whole = read(data)[1]
        assert all(len(instance.metadata) < len(whole.metadata) for length, instance in taken if length < len(data) - 1)
        if b"\xe0\x7f\x10\x00" in data:
            begin = data.index(b"\xe0\x7f\x10\x00")
            assert [length for length, _ in taken if length > begin] == []

    @pytest.mark.parametrize(
        ("encoded", "reason"),
        [
            pytest.param(struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 8) + b"Doe", "0010,0010", id="value"),
            pytest.param(nested(2, is_undefined=True)[:-8], "0040,A730", id="sequence delimiter"),
            pytest.param(nested(2, is_undefined=True)[:-16], "0040,A730", id="item delimiter"),
            pytest.param(nested(2, is_undefined=False)[:-1], "0040,A730", id="sequence"),
            pytest.param(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, 9) + b"12345678", "Pixel Data", id="pixels"),
            pytest.param(
                bytes.fromhex("e07f1000 4f420000 ffffffff feff00e0 00000000"), "Pixel Data", id="fragments' delimiter"
            ),
        ],
    )
    def test_says_where(self, encoded: bytes, reason: str) -> None:
        message = refusal(part10_of(encoded))
        assert "cut short" in message
        assert reason in message

    def test_after_pixel_data(self) -> None:
        data = part10(image(b"pixels", DataSetTrailingPadding=b"1234"))
        assert "cut short" in refusal(data[:-1])

    @pytest.mark.parametrize("value", [b"", b"12345678", b"1" * 9000])
    def test_a_value_of_undefined_length_may_end_anywhere(self, value: bytes) -> None:
        encoded = struct.pack("<HH2sHL", 0x0009, 0x1001, b"OB", 0, 0xFFFFFFFF) + value
        delimiter = bytes.fromhex("feffdde000000000")
        data = part10_of(encoded + delimiter)
        _, instance = read(data)
        assert instance.metadata["00091001"]["vr"] == "OB"
        if value:
            assert read_bulk_value(data, "00091001") == (value, "OB")
        for missing in (1, 4, 8):
            assert "cut short" in refusal(part10_of((encoded + delimiter)[:-missing]))


class TestHeader:
    def test_is_known_before_pixel_data_has_come(self) -> None:
        data = part10(image(bytes(200_000), Rows=1000, Columns=200, PatientName="Doe^Jane"))
        reader = DicomFileReader()
        begin = len(data) - 200_000
        assert reader.feed(data[: begin - 20]) == b""
        too_early = reader.identity
        assert too_early is None
        assert len(reader.feed(data[begin - 20 : begin])) == begin
        identity = reader.identity
        assert identity is not None
        assert identity.identifiers_in(DEFAULT_PARTITION) == identifiers_of("1.2", "1.2.3", "1.2.3.4")
        assert reader.is_header_read
        assert reader.feed(data[begin:]) == data[begin:]
        last, instance = reader.finish()
        assert last == b""
        assert instance.metadata["7FE00010"] == {"vr": "OB", "BulkDataURI": "bulkdata/7FE00010"}
        assert instance.metadata["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]

    def test_of_a_file_without_pixel_data_is_all_of_it(self) -> None:
        data = part10(data_set(Modality="SR"))
        reader = DicomFileReader()
        assert reader.feed(data) == b""
        last, instance = reader.finish()
        assert last == bytes(128) + data[128:]
        assert reader.identity is not None
        assert reader.identity.sop_instance_uid == instance.sop_instance_uid

    @pytest.mark.parametrize(
        ("study", "identifiers"),
        [
            ("1.2", identifiers_of("1.2", "1.2.3", "1.2.3.4")),
            ("1..2", None),
            ("../../x", None),
            ("", None),
            (" 1.2", None),
        ],
    )
    def test_has_identifiers_only_if_they_are_valid(self, study: str, identifiers: object) -> None:
        valid = part10(data_set(StudyInstanceUID="9" * 8))
        value = study.encode().ljust(8, b"\0")
        _, instance = read(valid.replace(b"99999999", value))
        assert instance.study_instance_uid == study
        assert instance.identifiers_in(DEFAULT_PARTITION) == identifiers

    def test_uids_are_those_of_the_data_set(self) -> None:
        data = part10(data_set())
        first = data.index(b"1.2.3.4\0")
        _, instance = read(data[:first] + b"1.9.9.9\0" + data[first + 8 :])
        assert instance.sop_instance_uid == "1.2.3.4"


class TestStoredForm:
    def test_of_a_preamble_is_zeros(self) -> None:
        data = part10(data_set())
        stored, _ = read(b"MZ" + b"\x90" * 126 + data[128:])
        assert stored == bytes(128) + data[128:]

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
    def test_of_a_missing_preamble_is_put_in_front(self, syntax: UID) -> None:
        data = part10(data_set(Modality="SR"), syntax)
        stored, instance = read_chunks(chunks(data[132:], seed=1))
        assert stored == data
        assert instance.transfer_syntax_uid == syntax

    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
    @pytest.mark.parametrize("pixels", [b"pixels", b""])
    def test_of_a_missing_file_meta_group_is_put_in_front(self, syntax: UID, pixels: bytes) -> None:
        whole = part10(image(pixels), syntax)
        encoded = whole[144 + int.from_bytes(whole[140:144], "little") :]
        stored, instance = read_chunks(chunks(encoded, seed=1))
        assert stored.endswith(encoded)
        assert stored[:132] == bytes(128) + b"DICM"
        again = pydicom.dcmread(BytesIO(stored))
        assert again.file_meta.TransferSyntaxUID == instance.transfer_syntax_uid == syntax
        assert again.file_meta.MediaStorageSOPInstanceUID == again.SOPInstanceUID == "1.2.3.4"
        assert again.file_meta.FileMetaInformationGroupLength == len(stored) - len(encoded) - 144
        assert (again.PixelData or b"") == pixels
        if pixels:
            assert frames_of(stored, instance) == [pixels]
        assert "Transfer Syntax UID" in "".join(instance.assumptions)
        assert read(stored)[0] == stored

    def test_of_a_file_meta_group_names_the_transfer_syntax(self) -> None:
        data = part10(data_set())
        element = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
        stored, instance = read(data.replace(element, b""))
        assert instance.transfer_syntax_uid == ExplicitVRLittleEndian
        assert stored == data

    def test_of_a_file_meta_group_has_its_own_length(self) -> None:
        syntax = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
        data = part10(data_set()).replace(syntax, b"")
        stored, _ = read(data[:132] + struct.pack("<HH2sH", 2, 0, b"UL", 8) + bytes(8) + data[144:])
        assert stored == part10(data_set())
        assert read(stored)[0] == stored

    @pytest.mark.parametrize(
        "data",
        [b"", b"\0" * 500, b"%PDF-1.7 " * 100, b"\x89PNG\r\n\x1a\n" + b"\0" * 300, bytes(128) + b"DICM"],
        ids=["empty", "zeros", "PDF", "PNG", "nothing but a prefix"],
    )
    def test_does_not_exist_of_what_is_not_a_dicom_file(self, data: bytes) -> None:
        assert "not a DICOM file" in refusal(data)

    def test_does_not_exist_of_an_invalid_transfer_syntax_uid(self) -> None:
        data = part10(data_set()).replace(b"1.2.840.10008.1.2.1\0", b"1.2\r\nX-Header: evil\0")
        assert "Transfer Syntax UID" in refusal(data)


class TestDeflated:
    def test_is_stored_deflated_and_read(self) -> None:
        data = part10(image(b"pixels" * 1000, PatientID="ID", Rows=3000, Columns=2), DeflatedExplicitVRLittleEndian)
        stored, instance = read_chunks(chunks(data, seed=1))
        assert stored == data
        assert instance.metadata["00100020"]["Value"] == ["ID"]
        assert instance.metadata["7FE00010"]["BulkDataURI"] == "bulkdata/7FE00010"
        assert instance.frames is None
        assert instance.header_bytes == instance.size_bytes == len(data)

    def test_is_inflated_to_a_file_whose_frames_have_a_place(self) -> None:
        data = part10(image(b"pixels" * 1000, PatientID="ID", Rows=3000, Columns=2), DeflatedExplicitVRLittleEndian)
        plain, instance = inflate_file(data)
        assert instance.transfer_syntax_uid == ExplicitVRLittleEndian
        assert instance.metadata == read(data)[1].metadata
        assert instance.frames is not None
        assert instance.frames.byte_ranges(1) == [(plain.index(b"pixels"), 6000)]
        assert instance.size_bytes == len(plain)

    def test_is_inflated_to_no_more_than_the_limit(self) -> None:
        data = part10(image(bytes(100_000), Rows=1000, Columns=100), DeflatedExplicitVRLittleEndian)
        with pytest.raises(DicomFileError, match="inflates to more than 50000 bytes"):
            inflate_file(data, limits=DicomFileLimits(max_inflated_bytes=50_000))

    def test_is_limited_when_inflated(self) -> None:
        pixels = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, 50_000_000) + bytes(50_000_000)
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        bomb = compressor.compress(pixels) + compressor.flush()
        data = part10_of(bomb, DeflatedExplicitVRLittleEndian)
        assert len(data) < 60_000
        assert "inflates to more than 10000000 bytes" in refusal(data, DicomFileLimits(max_inflated_bytes=10_000_000))
        assert read(data)[1].metadata == {"7FE00010": {"vr": "OW", "BulkDataURI": "bulkdata/7FE00010"}}

    def test_that_inflates_to_nothing_is_limited(self) -> None:
        data = part10_of(b"\x00\x00\x00\xff\xff" * 100_000, DeflatedExplicitVRLittleEndian)
        assert "no Pixel Data" in refusal(data, DicomFileLimits(max_header_bytes=100_000))

    def test_that_is_not_deflated_is_refused(self) -> None:
        assert "cannot be inflated" in refusal(part10_of(b"\xff" * 100, DeflatedExplicitVRLittleEndian))
        with pytest.raises(DicomFileError, match="not those of a deflated file"):
            inflate_file(part10(image(b"pixels")))


class TestAfterPixelData:
    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
    def test_attributes_are_kept(self, syntax: UID) -> None:
        dataset = image(b"pixels")
        dataset.SpecificCharacterSet = "ISO_IR 100"
        signature = Dataset()
        signature.CertifiedTimestampType = "CMS_TSP"
        dataset.DigitalSignaturesSequence = [signature]
        dataset.DataSetTrailingPadding = bytes(100)
        _, instance = read_chunks(chunks(part10(dataset, syntax), seed=1))
        assert instance.metadata["FFFAFFFA"]["Value"] == [{"04000305": {"vr": "CS", "Value": ["CMS_TSP"]}}]
        assert "FFFCFFFC" not in instance.metadata
        assert list(instance.metadata) == sorted(instance.metadata)

    @pytest.mark.parametrize("padding", [b"\0", bytes(513)])
    def test_zeros_are_padding(self, padding: bytes) -> None:
        data = part10(image(b"pixels"))
        stored, instance = read(data + padding)
        assert stored == data + padding
        assert instance.metadata == read(data)[1].metadata

    def test_an_attribute_repeated_from_before_is_refused(self) -> None:
        repeated = struct.pack("<HH2sH", 0x0020, 0x000D, b"UI", 4) + b"1.66"
        assert "both before and after" in refusal(part10(image(b"pixels")) + repeated)

    def test_more_than_the_limit_is_refused(self) -> None:
        data = part10(image(b"pixels")) + struct.pack("<HH2sHL", 0xFFFC, 0xFFFC, b"OB", 0, 9000) + bytes(9000)
        assert "follow Pixel Data" in refusal(data, DicomFileLimits(max_header_bytes=8000))


class TestMisuse:
    def test_after_an_error_raises_it_again(self) -> None:
        reader = DicomFileReader()
        with pytest.raises(DicomFileError, match="not a DICOM file") as first:
            reader.feed(b"x" * 200)
        for again in (lambda: reader.feed(b""), reader.finish):
            with pytest.raises(DicomFileError) as error:
                again()
            assert str(error.value) == str(first.value)

    def test_after_the_end_is_ours(self) -> None:
        reader = DicomFileReader()
        reader.feed(part10(data_set()))
        reader.finish()
        for again in (lambda: reader.feed(b""), reader.finish):
            with pytest.raises(RuntimeError):
                again()


class TestSilence:
    ODD = part10_of(
        struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", 8) + b"NONSENSE"
        + struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 4) + b"\xff\x1b$?"
        + struct.pack("<HH2sH", 0x0020, 0x0013, b"IS", 4) + b"1e+x"
    )  # fmt: skip

    @pytest.mark.parametrize("action", ["error", "always"])
    def test_whatever_warnings_do_and_without_numpy(self, action: str) -> None:
        # In a separate process, where only the product decides what is silent.
        program = (
            "import logging, sys; sys.modules['numpy'] = None\n"
            "logging.basicConfig(level=logging.DEBUG)\n"
            "from shared.dicom.dicom_file import DicomFileReader\n"
            "reader = DicomFileReader(); reader.feed(sys.stdin.buffer.read()); reader.finish()"
        )
        found = subprocess.run(  # noqa: S603
            [sys.executable, "-W", action, "-c", program], input=self.ODD, capture_output=True, check=False
        )
        assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")

    def test_several_threads_do_not_disturb_each_other(self) -> None:
        data = sample("CT_small.dcm")
        expected = read(data)
        results: list[object] = []
        threads = [threading.Thread(target=lambda: results.append(read(data) == expected)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 8
