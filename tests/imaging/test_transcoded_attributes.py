from dataclasses import replace
from io import BytesIO
from typing import Any, Final

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from shared.dicom.transfer_syntaxes import DECODABLE, ENCODABLE, EXPLICIT_VR_LITTLE_ENDIAN, LOSSY_METHODS
from shared.imaging.encoding import pixels_encoded
from shared.imaging.image_pixels import ImagePixels
from shared.imaging.transcoded_attributes import transcoded_attributes
from tests.imaging.pictures import data_set

GRAY: Final = ImagePixels(64, 48, 1, 16, 12, False, "MONOCHROME2")
SIGNED: Final = replace(GRAY, is_signed=True, bits_stored=16)
PALETTE: Final = replace(GRAY, bits_allocated=8, bits_stored=8, photometric_interpretation="PALETTE COLOR")
COLOR: Final = replace(PALETTE, samples_per_pixel=3, photometric_interpretation="RGB")
FLOAT: Final = replace(GRAY, bits_allocated=32, bits_stored=32, keyword="FloatPixelData")
DOUBLE: Final = replace(GRAY, bits_allocated=64, bits_stored=64, keyword="DoubleFloatPixelData")

SAMPLES_PER_PIXEL: Final = 0x00280002
PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
PLANAR_CONFIGURATION: Final = 0x00280006
BITS_ALLOCATED: Final = 0x00280100
BITS_STORED: Final = 0x00280101
HIGH_BIT: Final = 0x00280102
PIXEL_REPRESENTATION: Final = 0x00280103
LOSSY_IMAGE_COMPRESSION: Final = 0x00282110
LOSSY_IMAGE_COMPRESSION_METHOD: Final = 0x00282114
WITHOUT_OFFSET_TABLES: Final = {0x7FE00001: None, 0x7FE00002: None}

OF_KIND: Final = {
    "gray": (
        GRAY,
        {
            SAMPLES_PER_PIXEL: ("US", b"\1\0"),
            PHOTOMETRIC_INTERPRETATION: ("CS", b"MONOCHROME2 "),
            BITS_ALLOCATED: ("US", b"\x10\0"),
            BITS_STORED: ("US", b"\x0c\0"),
            HIGH_BIT: ("US", b"\x0b\0"),
            PIXEL_REPRESENTATION: ("US", b"\0\0"),
        },
    ),
    "signed": (
        SIGNED,
        {
            SAMPLES_PER_PIXEL: ("US", b"\1\0"),
            PHOTOMETRIC_INTERPRETATION: ("CS", b"MONOCHROME2 "),
            BITS_ALLOCATED: ("US", b"\x10\0"),
            BITS_STORED: ("US", b"\x10\0"),
            HIGH_BIT: ("US", b"\x0f\0"),
            PIXEL_REPRESENTATION: ("US", b"\1\0"),
        },
    ),
    "palette": (
        PALETTE,
        {
            SAMPLES_PER_PIXEL: ("US", b"\1\0"),
            PHOTOMETRIC_INTERPRETATION: ("CS", b"PALETTE COLOR "),
            BITS_ALLOCATED: ("US", b"\x08\0"),
            BITS_STORED: ("US", b"\x08\0"),
            HIGH_BIT: ("US", b"\x07\0"),
            PIXEL_REPRESENTATION: ("US", b"\0\0"),
        },
    ),
    "color": (
        COLOR,
        {
            SAMPLES_PER_PIXEL: ("US", b"\3\0"),
            PHOTOMETRIC_INTERPRETATION: ("CS", b"RGB "),
            BITS_ALLOCATED: ("US", b"\x08\0"),
            BITS_STORED: ("US", b"\x08\0"),
            HIGH_BIT: ("US", b"\x07\0"),
            PIXEL_REPRESENTATION: ("US", b"\0\0"),
        },
    ),
}
PLANAR: Final = "1.2.840.10008.1.2.5"  # RLE Lossless has the samples of a color apart (PS3.5 8.2.2)


@pytest.mark.parametrize("transfer_syntax_uid", ENCODABLE)
@pytest.mark.parametrize("kind", OF_KIND)
def test_the_attributes_describe_the_pixels_in_the_transfer_syntax(kind: str, transfer_syntax_uid: str) -> None:
    decoded, expected = OF_KIND[kind]
    is_native = transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN
    pixels = decoded if is_native else pixels_encoded(decoded, transfer_syntax_uid)
    planar = {PLANAR_CONFIGURATION: ("US", b"\1\0" if transfer_syntax_uid == PLANAR else b"\0\0")}
    assert transcoded_attributes(Dataset(), pixels, EXPLICIT_VR_LITTLE_ENDIAN) == {
        **expected,
        **(planar if kind == "color" else {}),
        **WITHOUT_OFFSET_TABLES,
    }


@pytest.mark.parametrize(("pixels", "bits_allocated"), [(FLOAT, b"\x20\0"), (DOUBLE, b"\x40\0")])
def test_floating_point_numbers_have_no_bits_stored(pixels: ImagePixels, bits_allocated: bytes) -> None:
    assert transcoded_attributes(Dataset(), pixels, EXPLICIT_VR_LITTLE_ENDIAN) == {
        SAMPLES_PER_PIXEL: ("US", b"\1\0"),
        PHOTOMETRIC_INTERPRETATION: ("CS", b"MONOCHROME2 "),
        BITS_ALLOCATED: ("US", bits_allocated),
        **WITHOUT_OFFSET_TABLES,
    }


def read(**attributes: Any) -> Dataset:
    """A data set as it is read from a file: of values not yet converted."""
    encoded = BytesIO()
    data_set(**attributes).save_as(encoded, implicit_vr=False, little_endian=True)
    return dcmread(BytesIO(encoded.getvalue()), force=True)


METHODS: Final = {
    "1.2.840.10008.1.2.4.50": b"ISO_10918_1 ",
    "1.2.840.10008.1.2.4.51": b"ISO_10918_1 ",
    "1.2.840.10008.1.2.4.53": b"ISO_10918_1 ",
    "1.2.840.10008.1.2.4.55": b"ISO_10918_1 ",
    "1.2.840.10008.1.2.4.81": b"ISO_14495_1 ",
    "1.2.840.10008.1.2.4.91": b"ISO_15444_1 ",
    "1.2.840.10008.1.2.4.203": b"ISO_15444_15",
}
WITHOUT_LOSS: Final = transcoded_attributes(Dataset(), GRAY, EXPLICIT_VR_LITTLE_ENDIAN)


def test_the_transfer_syntaxes_that_may_have_lost_something_are_these() -> None:
    assert METHODS.keys() == LOSSY_METHODS.keys()


@pytest.mark.parametrize("stored_uid", METHODS)
@pytest.mark.parametrize(
    "described",
    [
        read(),
        read(LossyImageCompression="00"),
        read(LossyImageCompression="01", LossyImageCompressionMethod=None),
    ],
    ids=["nothing", "no loss", "no method"],
)
def test_an_image_says_ever_after_what_it_may_have_lost(described: Dataset, stored_uid: str) -> None:
    assert transcoded_attributes(described, GRAY, stored_uid) == {
        **WITHOUT_LOSS,
        LOSSY_IMAGE_COMPRESSION: ("CS", b"01"),
        LOSSY_IMAGE_COMPRESSION_METHOD: ("CS", METHODS[stored_uid]),
    }


@pytest.mark.parametrize("stored_uid", METHODS)
def test_the_methods_that_an_image_names_stay(stored_uid: str) -> None:
    described = read(LossyImageCompressionMethod=["ISO_13818_1", "ISO_10918_1"])
    assert transcoded_attributes(described, GRAY, stored_uid) == {
        **WITHOUT_LOSS,
        LOSSY_IMAGE_COMPRESSION: ("CS", b"01"),
    }


@pytest.mark.parametrize("stored_uid", sorted(DECODABLE - METHODS.keys()))
@pytest.mark.parametrize("described", [read(), read(LossyImageCompression="01")], ids=["nothing", "loss"])
def test_what_an_image_lost_before_is_left_as_it_is(described: Dataset, stored_uid: str) -> None:
    assert transcoded_attributes(described, GRAY, stored_uid) == WITHOUT_LOSS
