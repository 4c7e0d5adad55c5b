"""Instances that are the same in every run: a template for each kind, filled with UIDs of equal length."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage

from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, StudyKey

_UID_DIGITS: Final = 20
_CHUNK_BYTES: Final = 1024**2
_PIXEL_DATA_LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """What instances look like: frames of rows x columns 16-bit pixels."""

    rows: int
    columns: int
    frames: int = 1

    @property
    def frame_bytes(self) -> int:
        """Size of a frame."""
        return 2 * self.rows * self.columns


CT_SLICE: Final = Kind(512, 512)
TINY_SLICE: Final = Kind(32, 32)
MULTI_FRAME: Final = Kind(256, 256, 120)
LARGE: Final = Kind(1024, 1024, 512)
"""1 GiB."""


class Maker:
    """Makes files of one kind that differ in UIDs, patient, date and instance number."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        pixels = b"" if kind is LARGE else random.Random(0).randbytes(kind.frame_bytes * kind.frames)
        self._template = _file(kind, pixels)

    def file(self, study: int, number: int) -> bytes:
        """The file of an instance: 50 to a series."""
        identifiers = identifiers_of(study, number)
        values = {
            _placeholder(1): identifiers.study_instance_uid,
            _placeholder(2): identifiers.series_instance_uid,
            _placeholder(3): identifiers.sop_instance_uid,
            "PATIENT00000": f"P{study:011d}",
            "19000101": f"20{study % 25:02d}{study % 12 + 1:02d}{study % 28 + 1:02d}",
        }
        file = self._template
        for old, new in values.items():
            file = file.replace(old.encode(), new.encode())
        return file

    def chunks(self, study: int, number: int) -> Iterator[bytes]:
        """The same for a file too large to be held: its Pixel Data repeats the same bytes."""
        beginning = self.file(study, number)
        pixel_bytes = self.kind.frame_bytes * self.kind.frames
        yield beginning[:-_PIXEL_DATA_LENGTH_BYTES] + pixel_bytes.to_bytes(_PIXEL_DATA_LENGTH_BYTES, "little")
        noise = random.Random(0).randbytes(_CHUNK_BYTES)
        for start in range(0, pixel_bytes, _CHUNK_BYTES):
            yield noise[: min(_CHUNK_BYTES, pixel_bytes - start)]


def identifiers_of(study: int, number: int) -> InstanceIdentifiers:
    """The UIDs of instance `number` of a study."""
    study_key = StudyKey(DEFAULT_PARTITION, _uid(1, study, 0))
    return InstanceIdentifiers(study_key, _uid(2, study, number // 50), _uid(3, study, number))


def _uid(level: int, study: int, number: int) -> str:
    return f"1.2.826.0.1.3680043.10.1000.{level}.{1:1d}{study:0{_UID_DIGITS - 11}d}{number:010d}"


def _placeholder(level: int) -> str:
    return f"1.2.826.0.1.3680043.10.1000.{level}.{'9' * _UID_DIGITS}"


def _file(kind: Kind, pixels: bytes) -> bytes:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    many = kind.frames > 1
    image.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage if many else CTImageStorage
    image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = map(_placeholder, (1, 2, 3))
    image.PatientID, image.PatientName, image.PatientSex = "PATIENT00000", "Bench^Mark", "O"
    image.PatientBirthDate, image.StudyDate, image.StudyTime = "19500101", "19000101", "120000"
    image.AccessionNumber, image.ReferringPhysicianName, image.StudyID = "PATIENT00000", "Doe^Jane", "1"
    image.StudyDescription, image.SeriesDescription, image.Modality = "Thorax", "Axial", "OT" if many else "CT"
    image.SeriesNumber, image.InstanceNumber, image.BodyPartExamined = 1, 1, "CHEST"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.Manufacturer, image.ManufacturerModelName, image.InstitutionName = "Maker", "Model", "Hospital"
    image.ProtocolName, image.KVP, image.SliceThickness = "Routine", "120", "1.25"
    image.ImagePositionPatient, image.ImageOrientationPatient = [-125, -125, 0], [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.FrameOfReferenceUID = [0.5, 0.5], _placeholder(2)
    image.RescaleIntercept, image.RescaleSlope, image.WindowCenter, image.WindowWidth = -1024, 1, 40, 400
    image.Rows, image.Columns = kind.rows, kind.columns
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    if many:
        image.NumberOfFrames = kind.frames
    image.PixelData = pixels
    image["PixelData"].VR = "OW"
    held = BytesIO()
    image.save_as(held, enforce_file_format=True)
    return held.getvalue()
