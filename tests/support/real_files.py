"""The DICOM files that come with pydicom."""

from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import MediaStorageDirectoryStorage

DATA = Path(pydicom.__file__).parent / "data"
REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID")
TRUNCATED = ("MR_truncated.dcm", "rtplan_truncated.dcm")


def is_instance(path: Path) -> bool:
    """Whether a file is a Part 10 file and not a DICOMDIR."""
    try:
        meta = read_file_meta_info(path)
    except InvalidDicomError:
        return False
    return meta.get("MediaStorageSOPClassUID") != MediaStorageDirectoryStorage and "TransferSyntaxUID" in meta


FILES = [
    path
    for folder in ("test_files", "charset_files", "palettes")
    for path in sorted((DATA / folder).rglob("*"))
    if path.is_file() and is_instance(path)
]
