"""Frames as octets, read by the metadata alone, against what other decoders make of the file's frames."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from subprocess import CalledProcessError

import httpx
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments, generate_frames
from pydicom.pixels.decoders.base import get_decoder

from shared.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, LOSSY_METHODS, OCTET_STREAM
from shared.errors import NotAcceptable
from shared.imaging.image_pixels import ImagePixels
from tests.support.foreign_codecs import decoded_elsewhere, is_read_elsewhere, precision_of
from tests.support.frame_encoders import Samples, rgb_of
from tests.support.frame_viewer import read_by_viewer
from tests.support.image_matrix import JPEG_2000, JPEG_LS, MatrixImage

_READ_TAGS = [f"0028{element}" for element in ("0002", "0004", "0006", "0010", "0011", "0100", "0101", "0103")]
_MOST_FRAMES = 3
_NATIVE_BITS = (1, 8, 16, 32)
_MOST_LEVELS = 3  # by which a sample of a lossy process may differ, and colors that are converted
_OCTETS = {"Accept": f"{OCTET_STREAM}; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}"}


@dataclass(frozen=True, slots=True)
class DecodedElsewhere:
    """What another decoder reads of a frame: (rows, columns) or (rows, columns, 3), of so many bits."""

    samples: Samples
    bits: int
    is_lossy: bool


def frame_differences(service: httpx.Client, url: str, stored: Dataset) -> Iterator[str]:
    """In what the first frames of the instance at `url` are not those of its file, which is `stored`.

    Only frames are compared that another decoder reads: pydicom's native ones, or one that is installed.
    """
    (metadata,) = service.get(f"{url}/metadata").json()
    described = Dataset.from_json({tag: metadata[tag] for tag in _READ_TAGS if tag in metadata})
    for number, elsewhere in _elsewhere(stored):
        response = service.get(f"{url}/frames/{number}", headers=_OCTETS)
        if response.status_code != 200:
            yield f"no frame {number}: {response.status_code} {response.json()['detail']}"
            continue
        shown = read_by_viewer(described, response.content)
        allowed = _MOST_LEVELS if elsewhere.is_lossy or shown.ndim == 3 else 0
        if not any(_is_near(shown, samples, allowed, elsewhere.bits) for samples in _meanings(elsewhere.samples)):
            yield f"frame {number} is not what another decoder reads"


def _elsewhere(stored: Dataset) -> Iterator[tuple[int, DecodedElsewhere]]:
    """The first frames by their number, those that another decoder reads."""
    if not stored["PixelData"].is_undefined_length:
        yield from _native(stored)
        return
    for number, image in enumerate(_images(stored), 1):
        try:
            samples = decoded_elsewhere(image)
        except (CalledProcessError, FileNotFoundError, ValueError):
            continue
        yield number, DecodedElsewhere(samples, image.precision, is_lossy=image.syntax in LOSSY_METHODS)


def _native(stored: Dataset) -> Iterator[tuple[int, DecodedElsewhere]]:
    bits = stored.get("BitsAllocated", 0)
    for index in range(min(_frame_count(stored), _MOST_FRAMES) if bits in _NATIVE_BITS else 0):
        try:
            samples, _ = get_decoder(stored.file_meta.TransferSyntaxUID).as_array(stored, index=index, raw=True)
        except (AttributeError, NotImplementedError, ValueError):
            return
        yield index + 1, DecodedElsewhere(samples, bits, is_lossy=False)


def _images(stored: Dataset) -> Iterator[MatrixImage]:
    syntax = stored.file_meta.TransferSyntaxUID
    try:
        pixels = ImagePixels.of(stored)
    except NotAcceptable:
        return
    frame_count = _frame_count(stored)
    _, *frames = islice(generate_fragments(stored.PixelData), frame_count + 2)  # the offset table is the first item
    if len(frames) != frame_count:  # else each is a frame, whatever the offset table says
        frames = list(islice(generate_frames(stored.PixelData, number_of_frames=frame_count), _MOST_FRAMES))
    for frame in frames[:_MOST_FRAMES]:
        image = MatrixImage("", syntax, pixels, frame, np.empty(0))
        if is_read_elsewhere(image):
            has_precision = syntax in JPEG_LS or syntax in JPEG_2000
            yield replace(image, bits=precision_of(image)[0]) if has_precision else image


def _frame_count(stored: Dataset) -> int:
    number_of_frames = str(stored.get("NumberOfFrames") or 1)
    return int(number_of_frames) if number_of_frames.isdecimal() else 1


def _meanings(samples: Samples) -> Iterator[Samples]:
    """The samples as they are encoded, which may be RGB or YBR_FULL."""
    yield samples
    if samples.ndim == 3 and samples.dtype == np.uint8:
        yield rgb_of(samples)


def _is_near(shown: Samples, samples: Samples, allowed: int, bits: int) -> bool:
    mask = (1 << bits) - 1
    near = np.abs((shown.astype(int) & mask) - (samples.astype(int) & mask)) <= allowed
    return shown.shape == samples.shape and bool(near.mean() > 0.99 if allowed else near.all())
