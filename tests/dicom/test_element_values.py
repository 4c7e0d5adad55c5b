import pytest
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from shared.dicom.element_values import NOTHING_INHERITED, dictionary_vr
from shared.dicom.file_meta import read_header
from shared.dicom.parsing import DicomFileLimits
from tests.support.part10_files import part10_of


def read(**elements: bytes) -> Dataset:
    """A data set as it is read from a file, of short elements of VR LO in Explicit VR, by their tags."""
    encoded = b"".join(
        bytes.fromhex(tag[3:5] + tag[1:3] + tag[7:9] + tag[5:7]) + b"LO" + len(value).to_bytes(2, "little") + value
        for tag, value in elements.items()
    )
    _, data_set = read_header(part10_of(encoded), DicomFileLimits())
    return data_set


@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        pytest.param(0x00100010, "PN", id="standard"),
        pytest.param(0x00280106, "US or SS", id="ambiguous"),
        pytest.param(0x00291008, "CS", id="private and known"),
        pytest.param(0x00290010, "LO", id="private creator"),
        pytest.param(0x002910FF, "UN", id="private and unknown"),
        pytest.param(0x00311008, "UN", id="private without creator"),
        pytest.param(0x00100009, "UN", id="unknown"),
        pytest.param(0x00100000, "UL", id="group length"),
    ],
)
def test_the_vr_by_the_dictionaries(tag: int, vr: str) -> None:
    assert dictionary_vr(BaseTag(tag), read(x00290010=b"SIEMENS CSA HEADER")) == vr


@pytest.mark.parametrize(
    ("character_set", "value", "text"),
    [
        pytest.param(b"ISO_IR 100", b"M\xfcller", "Müller", id="Latin-1"),
        pytest.param(b"ISO_IR 203 ", b"\xa4", "€", id="Latin-9"),
        pytest.param(b"ISO_IR 192", b"M\xc3\xbcller", "Müller", id="UTF-8"),
        pytest.param(b"ISO_IR 192\\ISO 2022 IR 87", b"\x1b$B", "\x1b$B", id="UTF-8 has no escape sequences"),
        pytest.param(b"\\ISO 2022 IR 87", b"a\x1b$B;3\x1b(B", "a山", id="escape sequences"),
        pytest.param(b"utf_16", b"a\0", "a\0", id="no character set of DICOM"),
        pytest.param(b"idna", b"xn--mller-kva", "xn--mller-kva", id="no character set at all"),
        pytest.param(b"no such set", b"M\xfcller", "Müller", id="unknown"),
    ],
)
def test_the_text_of_a_data_set_is_in_its_character_set(character_set: bytes, value: bytes, text: str) -> None:
    assert NOTHING_INHERITED.by(read(x00080005=character_set)).text(value, "LO") == text
