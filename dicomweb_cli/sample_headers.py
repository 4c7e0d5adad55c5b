"""What the samples have in common: patient, study, series, equipment, and how grey pixels are stored."""

from datetime import datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid


def new_study(name: str, description: str) -> Dataset:
    """The attributes of a new study, of a patient who is obviously none."""
    now = datetime.now()
    study = Dataset()
    study.SpecificCharacterSet = "ISO_IR 192"
    study.PatientName, study.PatientID = f"Synthetic^{name}", f"SYNTHETIC-{name}"
    study.PatientBirthDate, study.PatientSex = "", "O"
    study.QualityControlSubject = "YES"  # a phantom, nobody
    study.StudyInstanceUID, study.StudyID, study.AccessionNumber = generate_uid(), "1", ""
    study.StudyDate, study.StudyTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    study.StudyDescription, study.ReferringPhysicianName = description, ""
    study.Manufacturer, study.ManufacturerModelName = "Synthetic", "dicomweb samples"
    return study


def new_series(study: Dataset, modality: str, number: int, description: str) -> Dataset:
    """The attributes of a new series of a study, with those of the study."""
    series = _copy(study)
    series.Modality, series.SeriesNumber, series.SeriesDescription = modality, number, description
    series.SeriesInstanceUID = generate_uid()
    series.SeriesDate, series.SeriesTime = study.StudyDate, study.StudyTime
    return series


def new_instance(series: Dataset, sop_class: str, number: int = 1) -> Dataset:
    """The attributes of a new instance of a series, with those of the series; in Explicit VR Little Endian."""
    instance = _copy(series)
    instance.SOPClassUID, instance.SOPInstanceUID, instance.InstanceNumber = UID(sop_class), generate_uid(), number
    instance.ContentDate, instance.ContentTime = series.StudyDate, series.StudyTime
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return instance


def set_gray_pixels(image: Dataset, rows: int, columns: int, pixels: bytes, bits: int) -> None:
    """Give an image its pixels: 16 bits each, unsigned, of which `bits` are used."""
    image.SamplesPerPixel, image.Rows, image.Columns = 1, rows, columns
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, bits, bits - 1, 0
    image.PixelData = pixels
    image["PixelData"].VR = "OW"


def _copy(attributes: Dataset) -> Dataset:
    copied = Dataset()
    copied.update(attributes)
    return copied
