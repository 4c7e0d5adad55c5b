"""Crops and scales pictures to the requested region and size (PS3.18 8.3.5.1.3)."""

from math import ceil, floor
from typing import Final

from PIL import Image

from shared.imaging.frame_attributes import FrameAttributes, numbers_of
from shared.web.rendering_parameters import MAX_VIEWPORT_PIXELS, RenderingParameters

_LEAST_STRETCH: Final = 1.01
_GREATEST_STRETCH: Final = 20.0


def pixel_aspect_ratio(attributes: FrameAttributes, frame_number: int) -> float:
    """The height of a pixel of a frame over its width: by Pixel Spacing (PS3.3 10.7.1.3), else Pixel Aspect Ratio.

    1 for pixels that are square to within a hundredth, or said to be longer than pixels are.
    """
    spacings = [
        *(numbers_of(where, "PixelSpacing") for where in attributes.of_frame(frame_number, "PixelMeasuresSequence")),
        numbers_of(attributes.data_set, "PixelAspectRatio"),
    ]
    for spacing in spacings:
        if len(spacing) == 2 and min(spacing) > 0:
            is_stretched = _LEAST_STRETCH < max(spacing) / min(spacing) <= _GREATEST_STRETCH
            return spacing[0] / spacing[1] if is_stretched else 1.0
    return 1.0


def scaled_size(
    size: tuple[int, int], parameters: RenderingParameters, aspect_ratio: float, thumbnail_pixels: int | None
) -> tuple[int, int]:
    """The width and height that `scaled` gives a picture of a width and height. Raises BadRequest as it does."""
    box = parameters.region.box(*size)
    width = (box[2] - box[0]) * max(1 / aspect_ratio, 1)
    height = (box[3] - box[1]) * max(aspect_ratio, 1)
    if parameters.viewport:
        scale = min(parameters.viewport[0] / width, parameters.viewport[1] / height)
    elif thumbnail_pixels:
        scale = min(thumbnail_pixels / max(width, height), 1)
    elif aspect_ratio != 1:
        scale = min(MAX_VIEWPORT_PIXELS / max(width, height), 1)
    else:
        scale = 1
    return max(round(width * scale), 1), max(round(height * scale), 1)


def scaled(
    picture: Image.Image, parameters: RenderingParameters, aspect_ratio: float, thumbnail_pixels: int | None
) -> Image.Image:
    """The region of a picture, flipped as asked and scaled, never distorted.

    Scaled to the largest that fits in the viewport; else, if larger, to fit in the square of `thumbnail_pixels`; else
    not at all. Pixels that are not square are stretched along the longer side; then the picture has at most
    MAX_VIEWPORT_PIXELS each way. Raises BadRequest where the region lies outside of the picture.
    """
    size = scaled_size(picture.size, parameters, aspect_ratio, thumbnail_pixels)
    box = parameters.region.box(*picture.size)
    left, top = floor(box[0]), floor(box[1])
    if (whole := (left, top, ceil(box[2]), ceil(box[3]))) != (0, 0, *picture.size):
        picture = picture.crop(whole)
    # It interpolates, or averages when shrinking, and never makes a level that is not between its neighbors.
    rest = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    if size != picture.size or rest != (0, 0, *size):
        picture = picture.resize(size, Image.Resampling.BILINEAR, box=rest)
    if parameters.region.is_flipped_horizontally:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if parameters.region.is_flipped_vertically:
        picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return picture
