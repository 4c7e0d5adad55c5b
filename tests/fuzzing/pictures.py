"""The target that renders native frames, by whatever their files say of them."""

from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from typing import Final

from PIL import Image
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from shared.dicom.file_meta import read_header
from shared.errors import DicomWebError
from shared.imaging.decoding import decode_frame
from shared.imaging.frame_attributes import FrameAttributes
from shared.imaging.image_pixels import ImagePixels
from shared.imaging.pictures import render
from shared.web.rendering_parameters import MAX_VIEWPORT_PIXELS, IccProfile, RenderingParameters
from tests.support.accepted_files import LIMITS, outcome
from tests.support.part10_files import SAMPLES, image, part10

_KEYWORDS: Final = {"7FE00008": "FloatPixelData", "7FE00009": "DoubleFloatPixelData", "7FE00010": "PixelData"}
_MAX_FRAME_BYTES: Final = 4_000
_FORMATS: Final = {"image/png": None, "image/jpeg": 16, "image/gif": None}
"""The media types, each with the side of the thumbnail to make."""


def check_picture(data: bytes) -> None:
    """A native frame of an accepted file is rendered in every format, within bounds, or refused."""
    result = outcome([data])
    if result is None or result[1].frames is None or result[1].frames.is_encapsulated:
        return
    stored, instance = result
    table = instance.frames
    if table is None or not table.frame_count or table.frame_bits > 8 * _MAX_FRAME_BYTES:
        return
    ((offset, length),) = table.byte_ranges(1)
    frame = table.cut(1, stored[offset : offset + length])
    for media_type, thumbnail_pixels in _FORMATS.items():
        # As for each request, since pydicom converts elements in place.
        _, data_set = read_header(stored[: instance.header_bytes] + stored[table.end_offset :], LIMITS)
        (tag,) = instance.metadata.keys() & _KEYWORDS.keys()
        with suppress(DicomWebError):
            decoded = decode_frame(
                frame,
                instance.transfer_syntax_uid,
                ImagePixels.of(data_set, _KEYWORDS[tag]),
                max_frame_bytes=16 * _MAX_FRAME_BYTES,
                vr=instance.metadata[tag]["vr"],
            )
            picture = render(
                [decoded],
                FrameAttributes.of(data_set, 1),
                media_type,
                RenderingParameters(icc_profile=IccProfile.SRGB),
                frame_numbers=[1],
                thumbnail_pixels=thumbnail_pixels,
            )
            with Image.open(BytesIO(picture)) as opened:
                assert max(opened.size) <= (thumbnail_pixels or MAX_VIEWPORT_PIXELS)


def picture_seeds() -> Iterator[bytes]:
    """Small images in gray, color and palettes, with and without windows and lookup tables."""
    for path in SAMPLES:
        data = path.read_bytes()
        if len(data) < 10_000 and (result := outcome([data])) and result[1].frames is not None:
            yield data
    palette: dict[str, object] = {
        f"{color}PaletteColorLookupTable{name}": value
        for color in ("Red", "Green", "Blue")
        for name, value in (("Descriptor", [4, 0, 16]), ("Data", bytes(range(8))))
    }
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian):
        yield part10(
            image(b"pixels", WindowCenter="40", WindowWidth="80", RescaleSlope="2", RescaleIntercept="1"), syntax
        )
        yield part10(image(b"\0\1\2\3\0\1", PhotometricInterpretation="PALETTE COLOR", **palette), syntax)
        yield part10(
            image(bytes(range(18)), SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=1), syntax
        )
        yield part10(image(bytes(12), BitsAllocated=16, BitsStored=12, HighBit=11, PixelSpacing=[2, 1]), syntax)
