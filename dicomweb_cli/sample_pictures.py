"""Sample pictures: a radiograph of the chest, and an ultrasound clip of the heart in colours."""

from collections.abc import Iterator
from io import BytesIO
from typing import Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ComputedRadiographyImageStorage, JPEGBaseline8Bit, UltrasoundMultiFrameImageStorage

from dicomweb_cli.sample_anatomy import chest, softened
from dicomweb_cli.sample_echo import COLUMNS, FRAMES, PIXEL_CM, ROWS, SECTOR, echo_frames
from dicomweb_cli.sample_headers import new_instance, new_series, new_study, set_gray_pixels

_CR_PIXEL: Final = 0.7  # mm
_CR_ROWS, _CR_COLUMNS = 430, 490
_CR_DEPTH_STEP: Final = 4  # mm
_ABSORPTION: Final = 0.02  # of water, per mm
_BONE: Final = 4  # absorbs more than in proportion
_FRAME_MILLISECONDS: Final = 33.3


def cr() -> Iterator[Dataset]:
    """The instance of a radiograph of the chest, in which small values are bright (MONOCHROME1)."""
    series = new_series(new_study("CR", "Chest radiograph (synthetic)"), "CR", 1, "Chest, PA")
    series.BodyPartExamined, series.ViewPosition = "CHEST", "PA"
    image = new_instance(series, ComputedRadiographyImageStorage)
    image.ImageType, image.PatientOrientation = ["ORIGINAL", "PRIMARY"], ["L", "F"]
    image.PhotometricInterpretation = "MONOCHROME1"
    image.ImagerPixelSpacing = image.PixelSpacing = [_CR_PIXEL, _CR_PIXEL]
    image.KVP = 120
    exposure = _exposure()
    low, high = np.percentile(exposure, (3, 94))
    image.WindowCenter, image.WindowWidth = round((low + high) / 2), round(high - low)
    set_gray_pixels(image, _CR_ROWS, _CR_COLUMNS, exposure.astype("<u2").tobytes(), 12)
    yield image


def _exposure() -> NDArray[np.float32]:
    """The logarithm of the radiation that passes the chest from front to back, up to 4095."""
    x = ((np.arange(_CR_COLUMNS) - (_CR_COLUMNS - 1) / 2) * _CR_PIXEL).astype(np.float32)[None, :]
    y = np.arange(-112, 112, _CR_DEPTH_STEP).astype(np.float32)[:, None]
    heights = ((_CR_ROWS - 1) / 2 - np.arange(_CR_ROWS)) * _CR_PIXEL
    absorbed = np.empty((_CR_ROWS, _CR_COLUMNS), np.float32)
    for row, z in enumerate(heights):
        # Neighbours are looked through at other depths, and softened: as good as four times as many steps.
        depths = y + _CR_DEPTH_STEP / 4 * (2 * (np.arange(_CR_COLUMNS) % 2) + row % 2).astype(np.float32)
        units = chest(x, depths, z)
        absorbed[row] = np.sum(1000 + units + _BONE * np.maximum(units - 200, 0), axis=0)
    absorbed *= _ABSORPTION / 1000 * _CR_DEPTH_STEP
    noise = np.random.default_rng(1).normal(0, 8, absorbed.shape)
    exposure: NDArray[np.float32] = np.clip(np.rint(3900 - 400 * softened(absorbed) + noise), 0, 4095)
    return exposure


def us() -> Iterator[Dataset]:
    """The instance of an ultrasound clip of one heartbeat: 30 frames in JPEG, the flow of blood in red and blue."""
    series = new_series(new_study("US", "Echocardiogram (synthetic)"), "US", 1, "Four chambers, colour Doppler")
    image = new_instance(series, UltrasoundMultiFrameImageStorage)
    image.ImageType, image.PatientOrientation = ["ORIGINAL", "PRIMARY"], ""
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "YBR_FULL_422", 0
    image.Rows, image.Columns, image.NumberOfFrames = ROWS, COLUMNS, FRAMES
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
    image.FrameIncrementPointer = 0x00181063  # FrameTime
    image.FrameTime = _FRAME_MILLISECONDS
    image.CineRate = image.RecommendedDisplayFrameRate = round(1000 / _FRAME_MILLISECONDS)
    image.SequenceOfUltrasoundRegions = [_region()]
    image.BurnedInAnnotation = "NO"
    frames = [_jpeg(frame) for frame in echo_frames()]
    ratio = FRAMES * ROWS * COLUMNS * 3 / sum(map(len, frames))
    image.LossyImageCompression, image.LossyImageCompressionMethod = "01", "ISO_10918_1"
    image.LossyImageCompressionRatio = f"{ratio:.4g}"
    image.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    image.PixelData = encapsulate(frames)
    image["PixelData"].VR = "OB"
    yield image


def _jpeg(frame: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    PIL.Image.fromarray(frame).save(buffer, "JPEG", quality=85, subsampling="4:2:2")
    return buffer.getvalue()


def _region() -> Dataset:
    """What the pixels of the sector measure, PS3.3 C.8.5.5."""
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 2, 0  # 2D, color flow
    left, top, right, bottom = SECTOR
    region.RegionLocationMinX0, region.RegionLocationMinY0 = left, top
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = right, bottom
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # cm
    region.PhysicalDeltaX = region.PhysicalDeltaY = PIXEL_CM
    return region
