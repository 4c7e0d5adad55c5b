"""The Image Pixel module of a data set (PS3.3 C.7.6.3): how the bytes of its frames make images."""

from dataclasses import dataclass
from typing import Final, Self

from pydicom.dataset import Dataset

from shared.errors import NotAcceptable
from shared.imaging.attribute_values import value_of

_FLOATS: Final = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}  # PS3.3 C.7.6.24, C.7.6.25
_BITS_ALLOCATED: Final = (1, 8, 16, 32, 64)
_MAX_SIDE: Final = 65535  # Rows and Columns are of VR US


@dataclass(frozen=True, slots=True)
class ImagePixels:
    """What a frame is made of. `keyword` names the element that holds it: PixelData, FloatPixelData, ….

    `planar_configuration` is 0 where a pixel's samples stand together, even if there is only one.
    """

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    photometric_interpretation: str
    planar_configuration: int = 0
    keyword: str = "PixelData"

    @classmethod
    def of(cls, data_set: Dataset, keyword: str = "PixelData") -> Self:
        """The module as `data_set` has it. Raises NotAcceptable where it does not describe an image."""
        bits_allocated = _FLOATS.get(keyword) or _number(data_set, "BitsAllocated")
        samples = _number(data_set, "SamplesPerPixel", 1)
        pixels = cls(
            rows=_number(data_set, "Rows"),
            columns=_number(data_set, "Columns"),
            samples_per_pixel=samples,
            bits_allocated=bits_allocated,
            bits_stored=bits_allocated if keyword in _FLOATS else _number(data_set, "BitsStored", bits_allocated),
            is_signed=_number(data_set, "PixelRepresentation", 0) == 1,
            photometric_interpretation=str(value_of(data_set, "PhotometricInterpretation") or "MONOCHROME2").strip(
                "\0 "
            ),
            planar_configuration=_number(data_set, "PlanarConfiguration", 0) if samples > 1 else 0,
            keyword=keyword,
        )
        if not (0 < pixels.rows <= _MAX_SIDE and 0 < pixels.columns <= _MAX_SIDE):
            raise NotAcceptable("Rows or Columns of the image is missing, or not 1 to 65535.")
        if samples not in (1, 3, 4) or bits_allocated not in _BITS_ALLOCATED:
            raise NotAcceptable(
                f"Images of {samples} samples a pixel with {bits_allocated} bits each are not supported."
            )
        if not 0 < pixels.bits_stored <= bits_allocated:
            raise NotAcceptable("Bits Stored of the image is not 1 to Bits Allocated.")
        return pixels

    @property
    def frame_bytes(self) -> int:
        """Size of a frame in native form, without padding; its last byte may be partly filled."""
        return (self.rows * self.columns * self.samples_per_pixel * self.bits_allocated + 7) // 8


def _number(data_set: Dataset, keyword: str, default: int = 0) -> int:
    value = value_of(data_set, keyword)
    return value if isinstance(value, int) else default
