"""Sample series of parallel slices: a CT of the chest, and two MR series of the head."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage, generate_uid

from dicomweb_cli.sample_anatomy import Image, chest, head, softened
from dicomweb_cli.sample_headers import new_instance, new_series, new_study, set_gray_pixels

# How many slices, their width in pixels and mm; the lowest and the step between them in mm.
_CT_SLICES, _CT_SIDE, _CT_FIELD, _CT_LOWEST, _CT_STEP = 60, 256, 370, -168, 5
_MR_SLICES, _MR_SIDE, _MR_FIELD, _MR_LOWEST, _MR_STEP = 20, 192, 220, -52, 6
_MR_THICKNESS = 5
_AIR_UNITS: Final = -1024

# Description, repetition and echo time in ms, and the signal of each tissue, from air to lesion.
_CONTRASTS: Final = (
    ("T1", 500, 12, (0, 850, 70, 130, 400, 610, 300), (400, 800)),
    ("T2", 4200, 96, (0, 520, 60, 1000, 520, 360, 850), (480, 1000)),
)


def ct() -> Iterator[Dataset]:
    """The instances of a CT of the chest: 60 slices from the belly up, in Hounsfield units."""
    study = new_study("CT", "Chest CT (synthetic)")
    series = new_series(study, "CT", 1, "Chest, axial, 5 mm")
    series.BodyPartExamined = "CHEST"
    _set_frame_of_reference(series)
    random = np.random.default_rng(1)
    x, y = _plane(_CT_SIDE, _CT_FIELD)
    table = (y > 114) & (y < 117) & (np.abs(x) < 150)
    for index in range(_CT_SLICES):
        z = _CT_LOWEST + index * _CT_STEP
        units = chest(x, y, z)
        units[table] = -300
        units = softened(units) + random.normal(0, 14, units.shape)
        image = new_instance(series, CTImageStorage, index + 1)
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.KVP, image.AcquisitionNumber, image.XRayTubeCurrent = 120, 1, 200
        image.PhotometricInterpretation = "MONOCHROME2"
        image.RescaleIntercept, image.RescaleSlope, image.RescaleType = _AIR_UNITS, 1, "HU"
        image.WindowCenter, image.WindowWidth = [40, -550], [400, 1500]
        image.WindowCenterWidthExplanation = ["soft tissue", "lung"]
        _set_place(image, _CT_SIDE, _CT_FIELD, z, _CT_STEP)
        stored = np.clip(np.rint(units) - _AIR_UNITS, 0, 4095).astype("<u2")
        set_gray_pixels(image, _CT_SIDE, _CT_SIDE, stored.tobytes(), 12)
        yield image


def mr() -> Iterator[Dataset]:
    """The instances of an MR of the head: a T1- and a T2-weighted series of the same 20 slices."""
    study = new_study("MR", "Head MR (synthetic)")
    _set_frame_of_reference(study)
    study.BodyPartExamined = "HEAD"
    random = np.random.default_rng(1)
    x, y = _plane(_MR_SIDE, _MR_FIELD)
    field = 1 + 0.1 * (x - y) / _MR_FIELD  # a coil is nearer to one side
    for number, (name, repetition, echo, signals, window) in enumerate(_CONTRASTS, 1):
        series = new_series(study, "MR", number, f"Head, axial, {name}")
        for index in range(_MR_SLICES):
            z = _MR_LOWEST + index * _MR_STEP
            signal = softened(np.array(signals, np.float32)[head(x, y, z)]) * field
            noise = random.normal(0, 16, (2, *signal.shape))
            magnitude = np.hypot(signal + noise[0], noise[1])
            image = new_instance(series, MRImageStorage, index + 1)
            image.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
            image.ScanningSequence, image.SequenceVariant, image.ScanOptions = "SE", "NONE", ""
            image.MRAcquisitionType, image.MagneticFieldStrength = "2D", 1.5
            image.RepetitionTime, image.EchoTime, image.EchoTrainLength = repetition, echo, 1
            image.PhotometricInterpretation = "MONOCHROME2"
            image.WindowCenter, image.WindowWidth = window
            image.SpacingBetweenSlices = _MR_STEP
            _set_place(image, _MR_SIDE, _MR_FIELD, z, _MR_THICKNESS)
            set_gray_pixels(image, _MR_SIDE, _MR_SIDE, np.rint(magnitude).astype("<u2").tobytes(), 12)
            yield image


def _plane(side: int, field: float) -> tuple[Image, Image]:
    """The coordinates x, y of a square slice's pixels, in mm from its middle."""
    steps = ((np.arange(side) - (side - 1) / 2) * field / side).astype(np.float32)
    x, y = np.meshgrid(steps, steps)
    return x, y


def _set_frame_of_reference(attributes: Dataset) -> None:
    attributes.FrameOfReferenceUID, attributes.PositionReferenceIndicator = generate_uid(), ""
    attributes.PatientPosition = "HFS"


def _set_place(image: Dataset, side: int, field: float, z: float, thickness: float) -> None:
    """Say where the slice lies, PS3.3 C.7.6.2: its position is the middle of its first pixel."""
    spacing = field / side
    corner = -(side - 1) / 2 * spacing
    image.PixelSpacing = [f"{spacing:.10g}"] * 2
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.ImagePositionPatient = [f"{corner:.10g}", f"{corner:.10g}", f"{z:.10g}"]
    image.SliceThickness, image.SliceLocation = thickness, f"{z:.10g}"
