"""Files of every shape: stored, and returned with the data set they came with, or refused with a reason."""

import struct
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO

import httpx
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from tests.support.odd_files import Form, picture, whole
from tests.support.part10_files import part10
from tests.support.served_instances import path_of
from tests.support.watched_server import WatchedServer, watched

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

FRAMES = [b"first fragment", b"second"]
SYNTAX_ELEMENT = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"

NATIVE = {"explicit": ExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian, "big endian": ExplicitVRBigEndian}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServer]:
    with watched(tmp_path_factory.mktemp("server") / "log") as running:
        yield running
        running.check()


def encapsulated(pixels: bytes, **attributes: object) -> Form:
    file = part10(picture(False, PixelData=pixels, NumberOfFrames=2, **attributes), RLELossless)
    return file, file


def with_extended_offset_table() -> Form:
    pixels, offsets, lengths = encapsulate_extended(FRAMES)
    return encapsulated(pixels, ExtendedOffsetTable=offsets, ExtendedOffsetTableLengths=lengths)


def body_begin(file: bytes) -> int:
    return 144 + int.from_bytes(file[140:144], "little")


def changed(change: Callable[[bytes], bytes], syntax: UID = ExplicitVRLittleEndian) -> Form:
    """A file that lacks something outside its data set, and the whole file."""
    file, _ = whole(syntax)
    return change(file), file


def odd(change: Callable[[bytes], bytes]) -> Form:
    """A file with an odd data set, which has to stay as it is."""
    file, _ = whole(ExplicitVRLittleEndian)
    return change(file), change(file)


def data_set_alone(file: bytes) -> bytes:
    return file[body_begin(file) :]


def without_group_length(file: bytes) -> bytes:
    return file[:132] + file[144:]


def without_transfer_syntax(file: bytes) -> bytes:
    length = struct.pack("<L", int.from_bytes(file[140:144], "little") - len(SYNTAX_ELEMENT))
    return (file[:140] + length + file[144:]).replace(SYNTAX_ELEMENT, b"")


def with_odd_length(file: bytes) -> bytes:
    return file.replace(struct.pack("<HH2sH", 0x0010, 0x0020, b"LO", 2) + b"ID", b"\x10\x00\x20\x00LO\x03\x00ID7")


# By name: what is sent, and a file with the data set that has to be stored.
FORMS: dict[str, Callable[[], Form]] = {
    **{name: partial(whole, syntax) for name, syntax in NATIVE.items()},
    **{f"{name}, lengths undefined": partial(whole, syntax, is_undefined=True) for name, syntax in NATIVE.items()},
    **{f"{name}, data set alone": partial(changed, data_set_alone, syntax) for name, syntax in NATIVE.items()},
    "deflated": partial(whole, DeflatedExplicitVRLittleEndian),
    "basic offset table": partial(encapsulated, encapsulate(FRAMES, has_bot=True)),
    "empty basic offset table": partial(encapsulated, encapsulate(FRAMES, has_bot=False)),
    "frame of several fragments": partial(encapsulated, encapsulate(FRAMES, fragments_per_frame=2)),
    "extended offset table": with_extended_offset_table,
    "no preamble": partial(changed, lambda file: file[132:]),
    "no group length": partial(changed, without_group_length),
    "no transfer syntax": partial(changed, without_transfer_syntax),
    "trailing zero": partial(changed, lambda file: file + b"\0"),
    "trailing zeros": partial(odd, lambda file: file + bytes(600)),  # pydicom reads them as elements
    "data set trailing padding": partial(whole, ExplicitVRLittleEndian, DataSetTrailingPadding=bytes(50)),
    "odd length": partial(odd, with_odd_length),
    "no pixel data": partial(whole, ImplicitVRLittleEndian, PixelData=None),
    "empty pixel data": partial(whole, ExplicitVRLittleEndian, PixelData=b""),
}


# Those that do not say in which transfer syntax they are.
GUESSED = {"no transfer syntax", *(f"{name}, data set alone" for name in NATIVE)}


def store(service: httpx.Client, file: bytes) -> httpx.Response:
    return service.post("/studies", content=file, headers={"Content-Type": "application/dicom"})


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_this_form_is_stored_with_its_whole_data_set(service: httpx.Client, form: str) -> None:
    sent, reference = FORMS[form]()
    expected = dcmread(BytesIO(reference))
    response = store(service, sent)
    assert response.status_code == (202 if form in GUESSED else 200), response.text
    kept = service.get(path_of(expected), headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert kept.status_code == 200
    assert kept.content.endswith(sent[-200:])
    again = dcmread(BytesIO(kept.content))
    assert again == expected
    assert again.file_meta.TransferSyntaxUID == expected.file_meta.TransferSyntaxUID
    (metadata,) = service.get(f"{path_of(expected)}/metadata").json()
    assert metadata["00100020"]["Value"] == [expected.PatientID]
    assert metadata["00082112"]["Value"][0]["0040A170"]["Value"][0]["00080100"]["Value"] == ["inner"]


def end_of(file: bytes, element: bytes) -> int:
    return file.index(element) + len(element)


# Where a file is cut, and what the reason says. Cut between two attributes, it would just have fewer attributes.
CUTS: list[tuple[str, UID, Callable[[bytes], int], str]] = [
    ("preamble", ExplicitVRLittleEndian, lambda file: 60, "not a DICOM file"),
    ("prefix", ExplicitVRLittleEndian, lambda file: 130, "not a DICOM file"),
    ("after the prefix", ExplicitVRLittleEndian, lambda file: 132, "not a DICOM file"),
    ("meta group", ExplicitVRLittleEndian, lambda file: 150, "cut short"),
    ("transfer syntax", ExplicitVRLittleEndian, lambda file: file.index(SYNTAX_ELEMENT) + 12, "cut short"),
    *(
        (f"{name} tag", syntax, lambda file: body_begin(file) + 2, "cut short")
        for name, syntax in [*NATIVE.items(), ("RLE", RLELossless)]
    ),
    *(
        (f"{name} value", syntax, lambda file: file.index(b"Test^Case") + 4, "cut short")
        for name, syntax in NATIVE.items()
    ),
    *(
        (f"{name} sequence", syntax, lambda file: file.index(b"inner") + 2, "cut short")
        for name, syntax in NATIVE.items()
    ),
    *((f"{name} pixels", syntax, lambda file: len(file) - 1, "cut short") for name, syntax in NATIVE.items()),
    ("first pixel", ExplicitVRLittleEndian, lambda file: len(file) - 16, "cut short"),
    ("deflated, half", DeflatedExplicitVRLittleEndian, lambda file: (body_begin(file) + len(file)) // 2, "cut short"),
    ("deflated, nothing", DeflatedExplicitVRLittleEndian, body_begin, "cut short"),
    ("offset table", RLELossless, lambda file: file.index(FRAMES[0]) - 12, "cut short"),
    ("fragment", RLELossless, lambda file: file.index(FRAMES[0]) + 3, "cut short"),
    ("fragments", RLELossless, lambda file: end_of(file, FRAMES[0]), "cut short"),
    ("no delimiter", RLELossless, lambda file: len(file) - 8, "cut short"),
    ("delimiter", RLELossless, lambda file: len(file) - 4, "cut short"),
    ("delimiter's last byte", RLELossless, lambda file: len(file) - 1, "cut short"),
]


@pytest.mark.parametrize("is_undefined", [False, True])
@pytest.mark.parametrize(("syntax", "place", "reason"), [cut[1:] for cut in CUTS], ids=[cut[0] for cut in CUTS])
def test_a_cut_file_is_refused_and_nothing_of_it_is_kept(
    service: httpx.Client,
    server: WatchedServer,
    syntax: UID,
    place: Callable[[bytes], int],
    reason: str,
    is_undefined: bool,
) -> None:
    pixels = {"PixelData": encapsulate(FRAMES), "NumberOfFrames": 2} if syntax is RLELossless else {}
    image = picture(is_undefined=is_undefined, **pixels)
    file = part10(image, syntax)
    response = store(service, file[: place(file)])
    assert response.status_code == 409
    (failed,) = response.json()["00081198"]["Value"]
    (comment,) = failed["00741048"]["Value"]
    assert failed["00081197"]["Value"] == [272]
    assert reason in comment["00000902"]["Value"][0]
    assert service.get(path_of(image)).status_code == 404
    assert store(service, file).status_code == 200
