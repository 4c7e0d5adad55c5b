"""The file meta group of a file in another transfer syntax."""

import struct
from io import BytesIO

import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from shared.dicom.file_meta import FileMeta, read_header
from shared.dicom.parsing import DicomFileError, DicomFileLimits
from shared.dicom.transfer_syntaxes import ENCODABLE
from tests.support.part10_files import data_set, part10

BEGINNING = bytes(128) + b"DICM"


def element(number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", 0x0002, number, vr, len(value)) + value


def meta_with(*more: bytes) -> FileMeta:
    """The file meta group of a file in Implicit VR, with more elements than it needs."""
    meta, _ = read_header(part10(data_set(), ImplicitVRLittleEndian), DicomFileLimits())
    meta, _ = read_header(BEGINNING + meta.encoded + b"".join(more) + meta.following, DicomFileLimits())
    return meta


@pytest.mark.parametrize("transfer_syntax_uid", ENCODABLE)
def test_it_is_as_it_was_but_for_the_transfer_syntax_and_its_length(transfer_syntax_uid: str) -> None:
    stored = meta_with(element(0x0016, b"AE", b"SENDER"), element(0x0102, b"ZZ", b"of a VR that does not exist "))
    written = stored.transcoded(transfer_syntax_uid)
    assert written.startswith(BEGINNING)
    group = pydicom.dcmread(BytesIO(written)).file_meta
    assert {each.keyword: each.value for each in group} == {
        "FileMetaInformationGroupLength": len(written) - 144,
        "FileMetaInformationVersion": b"\0\1",
        "MediaStorageSOPClassUID": stored.elements.MediaStorageSOPClassUID,
        "MediaStorageSOPInstanceUID": "1.2.3.4",
        "TransferSyntaxUID": transfer_syntax_uid,
        "ImplementationClassUID": stored.elements.ImplementationClassUID,
        "ImplementationVersionName": stored.elements.ImplementationVersionName,
        "SourceApplicationEntityTitle": "SENDER",
    }


@pytest.mark.parametrize("unreadable", [element(0x0102, b"US", b"odd"), element(0x0102, b"FD", b"short!")])
def test_one_that_cannot_be_rewritten_is_refused(unreadable: bytes) -> None:
    meta = meta_with(unreadable)
    with pytest.raises(DicomFileError, match="The file meta group cannot be read") as caught:
        meta.transcoded(ENCODABLE[0])
    assert caught.value.__suppress_context__  # the cause may hold values
    unnamed = FileMeta(elements=meta.elements, encoded=b"", following=b"", transfer_syntax_uid=meta.transfer_syntax_uid)
    del unnamed.elements[0x00020010]
    with pytest.raises(DicomFileError, match="The file meta group cannot be read"):
        unnamed.stored(sop_class_uid="1.2", sop_instance_uid="1.2.3.4")
