"""From color frames to pictures in RGB, and the color profiles (PS3.3 C.11.15) that say what red, green, blue are."""

from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageCms
from pydicom.dataset import Dataset

from shared.imaging.decoding import DecodedFrame
from shared.imaging.frame_attributes import bytes_of, items_of, numbers_of
from shared.imaging.lookup_tables import LookupTable, lookup_table
from shared.imaging.sample_values import Levels, Values, mapped

Palette = tuple[LookupTable, ...]
"""Of red, green and blue."""

SRGB_PROFILE: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
"""The ICC profile of sRGB (IEC 61966-2-1)."""

_COLORS: Final = ("Red", "Green", "Blue")
_MAX_PROFILE_BYTES: Final = 4 * 1024**2  # profiles of printers, the longest in use, have two million
_PROFILE_HEAD_BYTES: Final = 128  # ICC.1 7.2

# ITU-R BT.601: brightness is 16 to 235, the color differences 16 to 240 (PS3.3 C.7.6.3.1.2).
_FULL_FROM_PARTIAL: Final = [
    *(min(max(round((level - 16) * 255 / 219), 0), 255) for level in range(256)),
    *2 * [min(max(round((level - 128) * 255 / 224 + 128), 0), 255) for level in range(256)],
]


def color_picture(frame: DecodedFrame) -> Image.Image:
    """A frame of three samples a pixel in RGB of 8 bits each, from its Photometric Interpretation.

    YBR_RCT is taken for RGB, as is one that no three samples have: codecs undo that transform.
    """
    bits = frame.pixels.bits_stored
    samples = frame.samples >> bits - 8 if bits > 8 else frame.samples << 8 - bits
    interpretation = frame.pixels.photometric_interpretation
    is_partial = interpretation.startswith("YBR_PARTIAL")
    if not is_partial and interpretation not in ("YBR_FULL", "YBR_FULL_422", "YBR_ICT"):
        return Image.fromarray(samples.astype(np.uint8, copy=False))
    picture = Image.fromarray(samples.astype(np.uint8, copy=False), "YCbCr")
    return (picture.point(_FULL_FROM_PARTIAL) if is_partial else picture).convert("RGB")


def palette_of(data_set: Dataset) -> Palette | None:
    """The tables of Red, Green and Blue Palette Color Lookup Table (PS3.3 C.7.9); None where one of them is missing."""
    tables = [
        lookup_table(
            data_set,
            is_signed=numbers_of(data_set, "PixelRepresentation") == (1,),
            descriptor=f"{color}PaletteColorLookupTableDescriptor",
            data=f"{color}PaletteColorLookupTableData",
            segmented_data=f"Segmented{color}PaletteColorLookupTableData",
        )
        for color in _COLORS
    ]
    palette = tuple(table for table in tables if table)
    return palette if len(palette) == len(_COLORS) else None


def palette_picture(frame: DecodedFrame, palette: Palette) -> Image.Image:
    """A frame of PALETTE COLOR in RGB of 8 bits each."""
    # By their values, because the bits that a palette says it has are often not those that it has.
    shift = 8 if any(table.entries.max() > 255 for table in palette) else 0

    def colors(stored: Values) -> Levels:
        return np.stack([(table.map(stored).astype(np.uint16) >> shift).astype(np.uint8) for table in palette], axis=-1)

    return Image.fromarray(mapped(frame, colors))


def color_profile(data_set: Dataset) -> bytes:
    """The ICC profile for RGB of an image or of its first optical path; empty where there is none that can be used."""
    for described in (data_set, *items_of(data_set, "OpticalPathSequence", 1)):
        profile = bytes_of(described, "ICCProfile")
        length = int.from_bytes(profile[:4], "big")
        is_complete = _PROFILE_HEAD_BYTES < length <= min(len(profile), _MAX_PROFILE_BYTES)
        if is_complete and profile[16:20] == b"RGB " and profile[36:40] == b"acsp":
            return profile[:length]
    return b""


def in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """A picture in RGB brought from the colors of `profile` to those of sRGB.

    Without a profile, or with one that makes no transform, the colors are taken for sRGB already.
    """
    if not profile:
        return picture
    try:
        return ImageCms.profileToProfile(picture, _profile(profile), _profile(SRGB_PROFILE)) or picture
    except (ImageCms.PyCMSError, OSError):
        return picture


def _profile(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(BytesIO(profile))
