"""Renders frames as pictures that browsers show: PS3.18 8.3.5 and 10.4.1.1.3 to 10.4.1.1.4."""

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import Any, Final

from PIL import Image

from shared.errors import DicomWebError, NotAcceptable
from shared.imaging.animation import animated_gif, durations_ms
from shared.imaging.color import color_picture
from shared.imaging.decoding import DecodedFrame
from shared.imaging.frame_attributes import FrameAttributes
from shared.imaging.grayscale import gray_levels
from shared.imaging.icc_profiles import SRGB_PROFILE, color_profile, in_srgb
from shared.imaging.image_pixels import ImagePixels
from shared.imaging.palette import Palette, palette_of, palette_picture
from shared.imaging.scaling import pixel_aspect_ratio, scaled, scaled_size
from shared.web.rendering_parameters import IccProfile, RenderingParameters, Window

_JPEG, _PNG, _GIF = "image/jpeg", "image/png", "image/gif"
_FORMATS: Final = {_JPEG: "JPEG", _PNG: "PNG", _GIF: "GIF"}

_PROFILES: Final = (IccProfile.NO, IccProfile.YES, IccProfile.SRGB)
_FULL_CHROMA_QUALITY: Final = 90  # from here up, each pixel of a JPEG has its own color
_COLOR_LEVELS: Final = 3
_GIF_TIMES: Final = 5  # more than a picture in color takes, for the search for its 256 colors
_PNG_COMPRESSION: Final = 3  # 1 to 9; half the time of the usual 6, for a few percent more bytes


RENDERING_COPIES: Final = 3
"""Of the largest form of a frame (`largest_form_bytes`): the most that is held while it is rendered."""


def largest_form_bytes(
    pixels: ImagePixels,
    attributes: FrameAttributes,
    media_type: str,
    parameters: RenderingParameters,
    *,
    frame_number: int,
    thumbnail_pixels: int | None = None,
) -> int:
    """How many bytes a frame takes in the largest form that `render` makes of it: decoded, drawn, or scaled.

    Raises BadRequest for a region outside of the image.
    """
    aspect_ratio = pixel_aspect_ratio(attributes, frame_number)
    width, height = scaled_size((pixels.columns, pixels.rows), parameters, aspect_ratio, thumbnail_pixels)
    is_color = pixels.samples_per_pixel > 1 or pixels.photometric_interpretation == "PALETTE COLOR"
    level_count = (_COLOR_LEVELS * (_GIF_TIMES if media_type == _GIF else 1)) if is_color else 1
    return max(pixels.frame_bytes, level_count * pixels.rows * pixels.columns, level_count * width * height)


def render(
    frames: Iterable[DecodedFrame],
    attributes: FrameAttributes,
    media_type: str,
    parameters: RenderingParameters,
    *,
    frame_numbers: Sequence[int],
    thumbnail_pixels: int | None = None,
) -> bytes:
    """One frame as a picture of `media_type`, or several, in their order, as an animated GIF.

    `frames` are as many as `frame_numbers`, which are their numbers from 1; each is taken when the one before is done
    with. `attributes` are those around the pixels, of these frames. Gray is rendered by PS3.4 N.2, color turned into
    RGB of 8 bits each; overlays and annotations are not drawn, and there is no alpha. With `thumbnail_pixels`, a
    picture without a viewport is made to fit in a square of that side.

    Pixels that are not square are stretched along the longer side. Color has the data set's ICC profile, unless asked
    otherwise; gray and GIF have none.

    Raises NotAcceptable for what cannot be rendered, or not as asked, and BadRequest for a region outside of the image.
    """
    _check(media_type, parameters, frame_numbers)
    try:
        return _rendered(frames, attributes, media_type, parameters, frame_numbers, thumbnail_pixels)
    except (DicomWebError, MemoryError):
        raise
    except Exception:  # noqa: BLE001
        # Unforeseen bytes can make the libraries raise errors of any kind, which may hold values.
        raise NotAcceptable("The image cannot be rendered: its pixels and attributes do not make a picture.") from None


def _check(media_type: str, parameters: RenderingParameters, frame_numbers: Sequence[int]) -> None:
    if media_type not in _FORMATS:
        raise NotAcceptable(f"Images are rendered as {', '.join(_FORMATS)}.")
    if len(frame_numbers) > 1 and media_type != _GIF:
        raise NotAcceptable(f"Several frames are rendered as {_GIF} only.")
    if parameters.icc_profile not in _PROFILES:
        raise NotAcceptable(f"Images are rendered with iccprofile {', '.join(_PROFILES)}.")


def _rendered(
    frames: Iterable[DecodedFrame],
    attributes: FrameAttributes,
    media_type: str,
    parameters: RenderingParameters,
    frame_numbers: Sequence[int],
    thumbnail_pixels: int | None,
) -> bytes:
    data_set = attributes.data_set
    palette = palette_of(data_set)
    profile = color_profile(data_set)
    aspect_ratio = pixel_aspect_ratio(attributes, frame_numbers[0])

    def pictures() -> Iterator[Image.Image]:
        remaining = iter(frames)
        for frame_number in frame_numbers:
            # Nothing here keeps a frame, or a picture, that the next step has made another of.
            picture = scaled(
                _picture(next(remaining), palette, attributes, frame_number, parameters.window),
                parameters,
                aspect_ratio,
                thumbnail_pixels,
            )
            is_for_srgb = picture.mode == "RGB" and parameters.icc_profile is IccProfile.SRGB
            yield in_srgb(picture, profile) if is_for_srgb else picture

    if len(frame_numbers) > 1:
        return animated_gif(pictures(), durations_ms(data_set, frame_numbers))
    (picture,) = pictures()
    embedded = {IccProfile.YES: profile, IccProfile.SRGB: SRGB_PROFILE}.get(parameters.icc_profile, b"")
    return _encoded(picture, media_type, parameters.quality, embedded if picture.mode == "RGB" else b"")


def _picture(
    frame: DecodedFrame,
    palette: Palette | None,
    attributes: FrameAttributes,
    frame_number: int,
    window: Window | None,
) -> Image.Image:
    if frame.samples.ndim == 3:
        return color_picture(frame)
    if palette and frame.pixels.photometric_interpretation == "PALETTE COLOR":
        return palette_picture(frame, palette)
    return Image.fromarray(gray_levels(frame, attributes, frame_number, window))


def _encoded(picture: Image.Image, media_type: str, quality: int, profile: bytes) -> bytes:
    options: dict[str, Any] = {
        _JPEG: {
            "quality": quality,
            "subsampling": "4:4:4" if quality >= _FULL_CHROMA_QUALITY else "4:2:0",
            "icc_profile": profile,
        },
        _PNG: {"compress_level": _PNG_COMPRESSION, "icc_profile": profile},
        _GIF: {},
    }
    data = BytesIO()
    picture.save(data, _FORMATS[media_type], **options[media_type])
    return data.getvalue()
