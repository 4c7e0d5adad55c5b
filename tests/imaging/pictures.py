"""Frames made from numbers or from bundled files, and what they look like when rendered."""

import struct
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame

from shared.imaging.decoding import DecodedFrame, decode_frame
from shared.imaging.frame_attributes import FrameAttributes
from shared.imaging.image_pixels import ImagePixels
from shared.imaging.pictures import render as render_frames
from shared.web.rendering_parameters import RenderingParameters, Window

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
BIPLANE = "1.2.840.10008.5.1.4.1.1.12.3"  # retired
CT = {"RescaleSlope": 2, "RescaleIntercept": -100}


def frame_of(
    samples: object,
    dtype: str = "uint8",
    *,
    photometric_interpretation: str = "MONOCHROME2",
    bits_stored: int | None = None,
    keyword: str = "PixelData",
) -> DecodedFrame:
    array = np.array(samples, dtype)
    return DecodedFrame(
        array,
        ImagePixels(
            rows=array.shape[0],
            columns=array.shape[1],
            samples_per_pixel=array.shape[2] if array.ndim == 3 else 1,
            bits_allocated=8 * array.itemsize,
            bits_stored=bits_stored or 8 * array.itemsize,
            is_signed=array.dtype.kind == "i",
            photometric_interpretation=photometric_interpretation,
            keyword=keyword,
        ),
    )


def data_set(**attributes: Any) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def bundled(name: str) -> tuple[DecodedFrame, Dataset]:
    described = pydicom.dcmread(FILES / name)
    pixels = ImagePixels.of(described)
    syntax = described.file_meta.TransferSyntaxUID
    is_native = not syntax.is_encapsulated
    value = described.PixelData
    frame = value[: pixels.frame_bytes] if is_native else get_frame(value, 0, number_of_frames=1)
    del described.PixelData
    return decode_frame(frame, syntax, pixels, max_frame_bytes=10**8), described


def opened(data: bytes) -> Image.Image:
    picture = Image.open(BytesIO(data))
    picture.load()
    return picture


def render(
    frames: Iterable[DecodedFrame],
    described: Dataset,
    media_type: str,
    parameters: RenderingParameters,
    *,
    frame_numbers: Sequence[int],
    thumbnail_pixels: int | None = None,
) -> bytes:
    attributes = FrameAttributes.of(described, max(frame_numbers))
    return render_frames(
        frames,
        attributes,
        media_type,
        parameters,
        frame_numbers=frame_numbers,
        thumbnail_pixels=thumbnail_pixels,
    )


def rendered(
    frame: DecodedFrame,
    described: Dataset | None = None,
    parameters: RenderingParameters | None = None,
    *,
    frame_number: int = 1,
    thumbnail_pixels: int | None = None,
) -> NDArray[np.uint8]:
    picture = opened(
        render(
            [frame],
            described or Dataset(),
            "image/png",
            parameters or RenderingParameters(),
            frame_numbers=[frame_number],
            thumbnail_pixels=thumbnail_pixels,
        )
    )
    return np.asarray(picture)


def levels(
    samples: list[Any], dtype: str, described: Dataset | None = None, *, window: Window | None = None, **pixels: Any
) -> list[int]:
    """The gray levels of a row of pixels."""
    frame = frame_of([samples], dtype, **pixels)
    row: list[int] = rendered(frame, described, RenderingParameters(window=window))[0].tolist()
    return row


def lookup_table(entries: list[int], first_value: int = 0, bits: int = 8) -> Dataset:
    made = Dataset()
    made.add(DataElement(0x00283002, "US", [len(entries), first_value & 0xFFFF, bits]))
    made.add(DataElement(0x00283006, "OW", struct.pack(f"<{len(entries)}H", *entries)))
    return made
