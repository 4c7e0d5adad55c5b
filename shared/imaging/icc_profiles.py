"""ICC profiles (PS3.3 C.11.15), which define the red, green and blue of a picture."""

from io import BytesIO
from typing import Final

from PIL import Image, ImageCms
from pydicom.dataset import Dataset

from shared.imaging.frame_attributes import bytes_of, items_of

SRGB_PROFILE: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
"""The ICC profile of sRGB (IEC 61966-2-1)."""

_MAX_PROFILE_BYTES: Final = 4 * 1024**2  # printers' profiles, the longest in use, have two million
_PROFILE_HEAD_BYTES: Final = 128  # ICC.1 7.2


def color_profile(data_set: Dataset) -> bytes:
    """The ICC profile for RGB of an image or of its first optical path; empty where there is no usable one."""
    for described in (data_set, *items_of(data_set, "OpticalPathSequence", 1)):
        profile = bytes_of(described, "ICCProfile")
        length = int.from_bytes(profile[:4], "big")
        is_complete = _PROFILE_HEAD_BYTES < length <= min(len(profile), _MAX_PROFILE_BYTES)
        if is_complete and profile[16:20] == b"RGB " and profile[36:40] == b"acsp":
            return profile[:length]
    return b""


def in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """A picture in RGB, converted from the colors of `profile` to those of sRGB.

    Without a profile, or with one that makes no transform, the colors are taken to be sRGB already.
    """
    if not profile:
        return picture
    try:
        return ImageCms.profileToProfile(picture, _profile(profile), _profile(SRGB_PROFILE)) or picture
    except (ImageCms.PyCMSError, OSError):
        return picture


def _profile(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(BytesIO(profile))
