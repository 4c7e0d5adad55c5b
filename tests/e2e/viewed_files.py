"""Files for the viewer: pydicom's, of many kinds and transfer syntaxes, and what their pictures look like."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.pixels.processing import apply_color_lut, apply_rescale
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ImplicitVRLittleEndian

from tests.support.served_instances import dataset, new_uid, part10

_DATA = Path(pydicom.__file__).parent / "data" / "test_files"
_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
_PIXELS = (
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
)
_SIDE = 64  # pixels of the pictures that are compared

PDF_TEXT = "Report of the examination"


def file_of(name: str) -> Dataset:
    """The data set of one of pydicom's files."""
    return pydicom.dcmread(_DATA / name, force=True)


def as_series(image: Dataset, description: str, number: int) -> Dataset:
    """The image as a separate series in its own study."""
    image.SOPInstanceUID, image.SeriesInstanceUID = new_uid(), new_uid()
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.SeriesDescription, image.SeriesNumber = description, number
    return image


def stored(image: Dataset) -> bytes:
    """The data set as a Part 10 file, in its own transfer syntax; what its maker left out is added."""
    meta = image.file_meta = getattr(image, "file_meta", None) or FileMetaDataset()
    meta.TransferSyntaxUID = meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    buffer = BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True)
    return buffer.getvalue()


def report() -> tuple[str, bytes]:
    """The study, and the file, of a PDF of one page."""
    text = f"BT /F1 24 Tf 72 700 Td ({PDF_TEXT}) Tj ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources 6 0 R >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        "<< /Font << /F1 5 0 R >> >>",
    ]
    document, offsets = "%PDF-1.4\n", ""
    for number, one in enumerate(objects, 1):
        offsets += f"{len(document):010} 00000 n \n"
        document += f"{number} 0 obj\n{one}\nendobj\n"
    table = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{offsets}trailer << /Size 7 /Root 1 0 R >>\n"
    document += f"{table}startxref\n{len(document)}\n%%EOF\n"
    encapsulated = dataset(
        SOPClassUID=_PDF,
        Modality="DOC",
        PatientName="Portable^Document",
        StudyDescription="Report",
        MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=document.encode() + b"\n" * (len(document) % 2),
        **dict.fromkeys(_PIXELS),
    )
    return encapsulated.StudyInstanceUID, part10(encapsulated)


def picture_of(image: Dataset, frame_index: int = 0) -> Image.Image:
    """A frame of an image as pydicom decodes it: in color, in its first window, or else in full range."""
    pixels = pixel_array(image, index=frame_index)
    if image.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, image) // 257
    elif image.SamplesPerPixel == 1:
        pixels = apply_rescale(pixels, image)
        low, high = pixels.min(), pixels.max()
        if "WindowCenter" in image:
            centre, width = (np.ravel(image[keyword].value)[0] for keyword in ("WindowCenter", "WindowWidth"))
            low, high = centre - width / 2, centre + width / 2
        pixels = np.clip((pixels - low) / (high - low), 0, 1) * 255
    return Image.fromarray(pixels.astype(np.uint8)).convert("RGB")


def difference(shown: Image.Image, expected: Image.Image) -> float:
    """How much a canvas differs from a picture that fills it: the mean difference of the samples, of 255."""
    scale = min(shown.width / expected.width, shown.height / expected.height)
    width, height = int(expected.width * scale), int(expected.height * scale)
    left, top = (shown.width - width) // 2, (shown.height - height) // 2
    box = (left, top, left + width, top + height)
    size = (_SIDE, _SIDE)
    pair: list[np.ndarray[Any, np.dtype[Any]]] = [
        np.asarray(shown.convert("RGB").resize(size, Image.Resampling.BOX, box), float),
        np.asarray(expected.resize(size, Image.Resampling.BOX), float),
    ]
    return float(np.abs(pair[0] - pair[1]).mean())
