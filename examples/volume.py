"""`python -m examples.volume STUDY SERIES [--to FILE.npz]`: a series as a NumPy volume, with its place in the patient.

The service is at DICOMWEB_URL, by default that of `make run`; DICOMWEB_TOKEN is a bearer token, if it requires
one. Needs dicomweb-client, pydicom and NumPy; the service decodes, so no codecs.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from dicomweb_client import DICOMwebClient
from numpy.typing import NDArray
from pydicom import Dataset
from requests import Session

# How far slices may be off an even grid: a hundredth of the distance between them; files have rounded positions.
TOLERANCE = 0.01

# The functional groups macro in which a multi-frame image has an attribute (PS3.3 C.7.6.16.2).
MACROS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}


@dataclass(frozen=True, slots=True)
class Slice:
    """A frame as it is stored, and where it lies (PS3.3 C.7.6.2), in mm of the patient's coordinates (LPS)."""

    pixels: NDArray[Any]
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]  # a row's direction, then a column's
    spacing: NDArray[np.float64]  # between rows, between columns
    slope: float
    intercept: float


@dataclass(frozen=True, slots=True)
class Volume:
    """Voxels, by slice, row and column, in the rescaled unit: Hounsfield units for CT.

    `affine` maps an index (slice, row, column, 1) to mm in the patient's coordinates as DICOM has them, LPS: to
    the left, to the back, to the head. Slices are in the order of their normal: the rows' direction x the columns'.
    """

    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Distances of neighbouring voxels along slices, rows and columns, in mm."""
        lengths: NDArray[np.float64] = np.linalg.norm(self.affine[:3, :3], axis=0)
        return lengths

    @property
    def affine_ras(self) -> NDArray[np.float64]:
        """The affine to RAS, the coordinates of NIfTI, nibabel and MONAI: to the right, to the front, to the head."""
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.affine


def connect() -> DICOMwebClient:
    """A client for the service that the environment names."""
    session = Session()
    if token := os.environ.get("DICOMWEB_TOKEN"):
        session.headers["Authorization"] = f"Bearer {token}"
    return DICOMwebClient(os.environ.get("DICOMWEB_URL", "http://localhost:7071/v2"), session=session)


def read_series(client: DICOMwebClient, study: str, series: str) -> Volume:
    """The volume of a series, its instances read one by one from a single answer. Raises ValueError as `stack` does.

    The client's default, Explicit VR Little Endian, makes the service decode what is stored compressed.
    """
    return stack(frame for instance in client.iter_series(study, series) for frame in slices(instance))


def slices(instance: Dataset) -> Iterator[Slice]:
    """The frames of an image, enhanced multi-frame or not. Raises ValueError where their position is missing."""
    count = int(instance.get("NumberOfFrames") or 1)
    shared = instance.get("SharedFunctionalGroupsSequence") or [Dataset()]
    per_frame = instance.get("PerFrameFunctionalGroupsSequence") or [Dataset()]
    if "PixelData" not in instance or instance.SamplesPerPixel != 1 or len(per_frame) != count:
        raise ValueError(f"{instance.SOPInstanceUID} is not a gray image with a position for each frame.")
    for pixels, own in zip(
        instance.pixel_array.reshape(count, instance.Rows, instance.Columns), per_frame, strict=True
    ):
        found = {keyword: _value(keyword, own, shared[0], instance) for keyword in MACROS}
        missing = [keyword for keyword in list(MACROS)[:3] if found[keyword] is None]
        if missing:
            raise ValueError(f"{instance.SOPInstanceUID} has no {', '.join(missing)}: its position is not known.")
        yield Slice(
            pixels,
            np.array(found["ImagePositionPatient"], float),
            np.array(found["ImageOrientationPatient"], float),
            np.array(found["PixelSpacing"], float),
            float(1 if found["RescaleSlope"] is None else found["RescaleSlope"]),
            float(0 if found["RescaleIntercept"] is None else found["RescaleIntercept"]),
        )


def _value(keyword: str, own: Dataset, shared: Dataset, image: Dataset) -> Any:
    """What a frame's own functional groups say, else the shared ones, else the image itself; None if nothing does."""
    macro = MACROS[keyword]
    items = [group[macro][0] for group in (own, shared) if macro in group]
    return next((item[keyword].value for item in (*items, image) if keyword in item), None)


def stack(frames: Iterable[Slice]) -> Volume:
    """The volume of slices in any order.

    Raises ValueError where they make no volume: fewer than two, of different sizes or directions, at the same place, or
    at uneven distances. Slices of a tilted gantry make a volume: each is shifted by as much, which the affine contains.
    """
    unsorted = list(frames)
    if len(unsorted) < 2:
        raise ValueError(f"A volume has two or more slices, not {len(unsorted)}.")
    first = unsorted[0]
    for other in unsorted:
        if (
            other.pixels.shape != first.pixels.shape
            or not np.allclose(other.orientation, first.orientation, atol=1e-4)
            or not np.allclose(other.spacing, first.spacing, rtol=1e-4)
        ):
            raise ValueError("The slices differ in size, direction or pixel spacing: the series is not one volume.")
    row, column = first.orientation[:3], first.orientation[3:]
    normal = np.cross(row, column)
    ordered = sorted(unsorted, key=lambda one: float(one.position @ normal))

    positions = np.array([one.position for one in ordered])
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    uneven = np.linalg.norm(np.diff(positions, axis=0) - step, axis=1) > TOLERANCE * np.linalg.norm(step)
    if uneven.any() or step @ normal <= 0:
        gaps = np.diff(positions @ normal)
        raise ValueError(
            f"Slices are {gaps.min():.3f} to {gaps.max():.3f} mm apart: some are missing or uneven, or several volumes "
            "lie in the same place."
        )

    voxels = np.empty((len(ordered), *first.pixels.shape), np.float32)
    for index, one in enumerate(ordered):
        voxels[index] = one.pixels * one.slope + one.intercept
    affine = np.eye(4)
    affine[:3] = np.column_stack([step, column * first.spacing[0], row * first.spacing[1], positions[0]])
    return Volume(voxels, affine)


def main() -> None:
    """Print what the volume of a series is, and save it if asked."""
    parser = argparse.ArgumentParser(prog="python -m examples.volume")
    parser.add_argument("study", help="Study Instance UID")
    parser.add_argument("series", help="Series Instance UID")
    parser.add_argument("--to", help="file for numpy.load: voxels, and the affine to LPS", metavar="FILE.npz")
    arguments = parser.parse_args()
    try:
        volume = read_series(connect(), arguments.study, arguments.series)
    except ValueError as error:
        sys.exit(str(error))
    print("Voxels:", " x ".join(map(str, volume.voxels.shape)), "(slices, rows, columns)")
    print("Values:", f"{volume.voxels.min():g} to {volume.voxels.max():g}, {volume.voxels.mean():.1f} on average")
    print("Spacing:", " x ".join(f"{length:.4g}" for length in volume.spacing), "mm")
    print("Affine to LPS:", *np.array2string(volume.affine, precision=4, suppress_small=True).splitlines(), sep="\n")
    if arguments.to:
        np.savez_compressed(arguments.to, voxels=volume.voxels, affine=volume.affine)


if __name__ == "__main__":
    main()
