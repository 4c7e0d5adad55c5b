"""Every kind of image is drawn, and sent in every other form, as what it is."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder

from shared.dicom.transfer_syntaxes import ENCODABLE, EXPLICIT_VR_LITTLE_ENDIAN, OCTET_STREAM
from tests.support.frame_encoders import Samples
from tests.support.frame_viewer import read_by_viewer
from tests.support.image_matrix import MatrixImage, color_images, gray_images
from tests.support.served_instances import stored

IMAGES = [*color_images(), *gray_images()]
# Each codestream and layout once, under whichever transfer syntax it comes first.
DISTINCT = {(image.frame, image.vr, image.described.planar_configuration): image for image in reversed(IMAGES)}.values()


@pytest.mark.parametrize("image", DISTINCT, ids=lambda image: image.name)
def test_an_image(service: httpx.Client, image: MatrixImage) -> None:
    assert list(differences(service, image, (EXPLICIT_VR_LITTLE_ENDIAN,))) == []


@pytest.mark.long
@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_an_image_in_every_transfer_syntax(service: httpx.Client, image: MatrixImage) -> None:
    assert list(differences(service, image, ENCODABLE)) == []


def differences(service: httpx.Client, image: MatrixImage, syntaxes: Sequence[str]) -> Iterator[str]:
    """Which representations of an image, and of its file in other transfer syntaxes, do not show what it shows."""
    attributes = {} if image.described.bits_allocated == 1 else window_of(image)
    url = stored(service, image.part10(**attributes))
    yield from (f"picture: {reason}" for reason in picture_differences(service, url, image))
    yield from (f"frame: {reason}" for reason in frame_differences(service, url, image))
    for syntax in syntaxes:
        yield from (f"instance in {syntax}: {reason}" for reason in instance_differences(service, url, image, syntax))
    service.delete(url)


def window_of(image: MatrixImage) -> dict[str, Any]:
    """A window over all values."""
    values = 1 << image.described.bits_stored
    center = 0 if image.described.is_signed else values / 2
    return {"WindowCenter": center, "WindowWidth": values, "VOILUTFunction": "LINEAR_EXACT"}


def picture_differences(service: httpx.Client, url: str, image: MatrixImage) -> Iterator[str]:
    response = service.get(f"{url}/rendered", headers={"Accept": "image/png"})
    if response.status_code != 200:
        yield f"{response.status_code} {response.json()['detail']}"
        return
    picture = np.asarray(Image.open(BytesIO(response.content)))
    if image.shown.ndim == 3:
        yield from far_off(picture, image.shown, image.tolerance)
        return
    span = (1 << image.described.bits_stored) - (image.described.bits_stored == 1)
    lowest = -(span // 2) if image.described.is_signed else 0
    levels = np.rint((image.shown.astype(float) - lowest) / span * 255)
    if image.described.photometric_interpretation == "MONOCHROME1":
        levels = 255 - levels
    yield from far_off(picture, levels, 1 + image.tolerance * 255 // span)


def frame_differences(service: httpx.Client, url: str, image: MatrixImage) -> Iterator[str]:
    accept = f"{OCTET_STREAM}; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}"
    response = service.get(f"{url}/frames/1", headers={"Accept": accept})
    if response.status_code != 200:
        yield f"{response.status_code} {response.json()['detail']}"
        return
    (metadata,) = service.get(f"{url}/metadata").json()
    yield from far_off(read_by_viewer(Dataset.from_json(metadata), response.content), image.shown, image.tolerance)


def instance_differences(service: httpx.Client, url: str, image: MatrixImage, syntax: str) -> Iterator[str]:
    response = service.get(url, headers={"Accept": f"application/dicom; transfer-syntax={syntax}"})
    if response.status_code != 200:
        if response.status_code != 406 or "Bits Allocated of 1 " not in response.text:
            yield f"{response.status_code} {response.json()['detail']}"
        return
    sent = dcmread(BytesIO(response.content))
    if sent.file_meta.TransferSyntaxUID != syntax:
        yield f"sent in {sent.file_meta.TransferSyntaxUID}"
    if syntax == image.syntax:
        return
    yield from far_off(read_strictly(sent), image.shown, image.tolerance)


def read_strictly(sent: Dataset) -> Samples:
    """The pixels of a file, as its attributes say."""
    samples: Samples = get_decoder(sent.file_meta.TransferSyntaxUID).as_array(sent)[0]  # YBR becomes RGB
    return samples


def far_off(found: Samples, shown: Samples, tolerance: int) -> Iterator[str]:
    if found.shape != shown.shape:
        yield f"{found.shape} for {shown.shape}"
    elif (most := np.abs(found.astype(int) - shown.astype(int)).max()) > tolerance:
        yield f"off by {most} of {tolerance}"
