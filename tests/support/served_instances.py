"""Instances for tests of the served app, each with its own UIDs by default."""

from collections.abc import Iterator
from io import BytesIO
from itertools import count
from random import Random
from uuid import NAMESPACE_OID, uuid4, uuid5

import httpx
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from tests.support import patient_values


def new_uid() -> str:
    return f"2.25.{uuid4().int}"


def long_content(characters: int) -> list[Dataset]:
    """Items with so many characters of text that cannot be deflated to less than half, whatever is inflated at once."""
    text = Random(1).randbytes(characters // 2).hex()
    items = []
    for start in range(0, characters, 50_000):
        item = Dataset()
        item.TextValue = text[start : start + 50_000]
        items.append(item)
    return items


def numbered_uids(length: int) -> list[str]:
    """UIDs that no other test has, one after another, as a device numbers its instances."""
    beginning = new_uid()
    return [f"{beginning}.{number}" for number in range(1, length + 1)]


def uids_of(name: str) -> Iterator[str]:
    """UIDs that no other name has, the same in each run: for tests that are named after them."""
    return (f"2.25.{uuid5(NAMESPACE_OID, f'{name} {number}').int}" for number in count())


def dataset(**attributes: object) -> Dataset:
    """A small gray image; `attributes` by keyword replace its own, None leaves one out."""
    image = Dataset()
    values = {
        "SOPClassUID": SecondaryCaptureImageStorage,
        "SOPInstanceUID": new_uid(),
        "StudyDate": "20260101",
        "Modality": "OT",
        "PatientName": "Test^Case",
        "PatientID": "ID",
        "StudyInstanceUID": new_uid(),
        "SeriesInstanceUID": new_uid(),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 4,
        "Columns": 4,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "PixelData": bytes(range(16)),
        **attributes,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(image, keyword, value)
    patient_values.remember(values["PatientName"], values["PatientID"])
    if "PixelData" in image:
        image["PixelData"].VR = "OB"
    return image


def part10(image: Dataset) -> bytes:
    """The data set as a Part 10 file in Explicit VR Little Endian."""
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.get("SOPClassUID", SecondaryCaptureImageStorage)
    image.file_meta.MediaStorageSOPInstanceUID = image.get("SOPInstanceUID", "1.2.3")
    buffer = BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True)
    return buffer.getvalue()


def path_of(image: Dataset) -> str:
    """The path of an instance below the service's URL."""
    return f"/studies/{image.StudyInstanceUID}/series/{image.SeriesInstanceUID}/instances/{image.SOPInstanceUID}"


def stored(service: httpx.Client, file: bytes, *, status: int = 200) -> str:
    """Store an instance; return its path. The status is 202 where the answer has to have a warning."""
    response = service.post("/studies", content=file, headers={"Content-Type": "application/dicom"})
    assert response.status_code == status, response.text
    (item,) = response.json()["00081199"]["Value"]
    return "/studies" + str(item["00081190"]["Value"][0].partition("/studies")[2])


def part10_in(syntax: str, image: Dataset) -> bytes:
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = UID(syntax)
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    buffer = BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True)
    return buffer.getvalue()
