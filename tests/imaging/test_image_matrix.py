"""Every kind of image is decoded to what it shows, and as other decoders decode it."""

import numpy as np
import pytest

from shared.dicom.transfer_syntaxes import LOSSY_METHODS
from shared.imaging.color_spaces import RGB, converted
from shared.imaging.decoding import DECODINGS, DecodedFrame, decode_frame
from tests.support.foreign_codecs import decoded_elsewhere, is_read_elsewhere
from tests.support.image_matrix import LOSSLESS_JPEG, MatrixImage, color_images, gray_images

# Those of native pixels with shared chroma are told from others by the length of the file's Pixel Data.
IMAGES = [image for image in (*color_images(), *gray_images()) if "three bytes" not in image.name]
# Each codestream once, under whichever transfer syntax it comes first.
FOREIGN = {image.frame: image for image in reversed(IMAGES) if is_read_elsewhere(image)}.values()


def decoded(image: MatrixImage, *, keeps_ybr: bool = False) -> DecodedFrame:
    return decode_frame(
        image.frame, image.syntax, image.described, max_frame_bytes=1 << 26, vr=image.vr, keeps_ybr=keeps_ybr
    )


def test_the_images_are_of_every_transfer_syntax() -> None:
    assert {image.syntax for image in IMAGES} >= DECODINGS.keys() - {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"}


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_an_image_is_what_it_shows(image: MatrixImage) -> None:
    frame = decoded(image)
    samples = frame.samples
    if samples.ndim == 3:
        samples = converted(samples, frame.pixels.photometric_interpretation, RGB)
    assert samples.shape == image.shown.shape
    assert np.abs(samples.astype(int) - image.shown).max() <= image.tolerance
    assert frame.pixels.planar_configuration == 0


@pytest.mark.parametrize("image", FOREIGN, ids=lambda image: image.name)
def test_an_image_is_what_other_decoders_make_of_it(image: MatrixImage) -> None:
    bits = (1 << image.precision) - 1
    samples = decoded(image, keeps_ybr=True).samples.astype(int) & bits
    elsewhere = decoded_elsewhere(image)
    assert samples.shape == elsewhere.shape
    # Lossy processes allow for rounding.
    assert np.abs(samples - (elsewhere.astype(int) & bits)).max() <= (image.tolerance > 1) * 2


def test_what_was_lossy_is_known_as_lossy() -> None:
    under_lossless = [image for image in IMAGES if image.syntax in LOSSLESS_JPEG and image.tolerance > 1]
    assert under_lossless
    assert all(decoded(image).codestream_uid in LOSSY_METHODS for image in under_lossless)
