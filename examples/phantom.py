"""`python -m examples.phantom FOLDER`: writes a synthetic CT series of two spheres, for those who have none at hand.

Its slices are oblique, and not in the order of their Instance Numbers or file names: a reader must not rely on those.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SLICES, ROWS, COLUMNS = 24, 48, 40
SPACING = (2.5, 0.8, 1.2)  # mm: between slices, rows and columns
ORIGIN = np.array([-31.5, 12.25, -70.0])
AIR, SPHERE, MARKER = -1000, 60, 900  # Hounsfield units
SPHERE_CENTRE, MARKER_CENTRE = (11.0, 9.0, 5.5), (6.0, 15.0, 14.0)  # slice, row, column

# A right-handed frame that lies along no axis of the patient: a row's direction, a column's, and the normal.
ROW = np.array([2.0, 1.0, -2.0]) / 3
COLUMN = np.array([1.0, 2.0, 2.0]) / 3
NORMAL = np.cross(ROW, COLUMN)


def position(slice_index: NDArray[Any], row: NDArray[Any], column: NDArray[Any]) -> NDArray[np.float64]:
    """Where a voxel lies, in mm of the patient's coordinates, LPS (PS3.3 C.7.6.2.1.1); the last axis is x, y, z."""
    steps = zip((slice_index, row, column), SPACING, (NORMAL, COLUMN, ROW), strict=True)
    return ORIGIN + sum(np.asarray(index)[..., None] * spacing * direction for index, spacing, direction in steps)


def hounsfield_units(place: NDArray[np.float64]) -> NDArray[np.int16]:
    """The phantom's values at a place: two spheres in air, neither in the middle."""
    units = np.full(place.shape[:-1], AIR, np.int16)
    for centre, radius, value in ((SPHERE_CENTRE, 14.3, SPHERE), (MARKER_CENTRE, 4.1, MARKER)):
        units[np.linalg.norm(place - position(*map(np.array, centre)), axis=-1) <= radius] = value
    return units


def series() -> list[Dataset]:
    """The series' instances in no order, with new UIDs each time."""
    rows, columns = np.meshgrid(np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
    study, series_uid, frame_of_reference = generate_uid(), generate_uid(), generate_uid()
    order = np.random.default_rng(7).permutation(SLICES)
    instances = []
    for number, index in enumerate(order, 1):
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, generate_uid()
        image.StudyInstanceUID, image.SeriesInstanceUID = study, series_uid
        image.FrameOfReferenceUID = frame_of_reference
        image.PatientName, image.PatientID, image.StudyDate = "Spheres^Two", "PHANTOM", "20260101"
        image.Modality, image.SeriesDescription = "CT", "Two spheres"
        image.SeriesNumber, image.InstanceNumber = 1, number
        image.ImagePositionPatient = [f"{x:.10g}" for x in position(index, np.array(0), np.array(0))]
        image.ImageOrientationPatient = [f"{x:.12f}" for x in (*ROW, *COLUMN)]
        image.PixelSpacing, image.SliceThickness = list(SPACING[1:]), SPACING[0]
        image.Rows, image.Columns, image.SamplesPerPixel = ROWS, COLUMNS, 1
        image.PhotometricInterpretation = "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, -1024, "HU"
        units = hounsfield_units(position(index, rows, columns))
        image.PixelData = (units + 1024).astype("<u2").tobytes()
        image["PixelData"].VR = "OW"
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        instances.append(image)
    return instances


def main() -> None:
    """Write the series to the folder that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("Usage: python -m examples.phantom FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    instances = series()
    for image in instances:
        image.save_as(folder / f"{image.InstanceNumber}.dcm", enforce_file_format=True)
    print("Study:", instances[0].StudyInstanceUID)
    print("Series:", instances[0].SeriesInstanceUID)


if __name__ == "__main__":
    main()
