"""Files as some devices write them: stored as they came, read as others read them, and what was assumed is told."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from io import BytesIO
from typing import Any

import httpx
import pytest
from azure.functions.decorators.function_app import Function
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from shared.storage.archive import Archive
from tests.support.encoded_elements import element, implicit
from tests.support.in_process import app_client
from tests.support.messages import parts
from tests.support.served_instances import dataset, part10, part10_in, path_of

EXPLICIT = "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
AS_STORED = "application/dicom; transfer-syntax=*"
OCTETS = 'multipart/related; type="application/octet-stream"'
ENCAPSULATED = UID("1.2.840.10008.1.2.1.98")
PIXEL_DATA = "7FE00010"

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def post(service: httpx.Client, file: bytes) -> httpx.Response:
    return service.post("/studies", content=file, headers={"Content-Type": "application/dicom"})


def warned(service: httpx.Client, file: bytes) -> str:
    """Store a file; return what the answer says was assumed."""
    answer = post(service, file)
    assert answer.status_code == 202, answer.text
    assert "00081198" not in answer.json()
    (item,) = answer.json()["00081199"]["Value"]
    assert item["00081196"] == {"vr": "US", "Value": [45063]}
    return " ".join(comment["00000902"]["Value"][0] for comment in item["00741048"]["Value"])


def kept(service: httpx.Client, image: Dataset) -> bytes:
    answer = service.get(path_of(image), headers={"Accept": AS_STORED})
    assert answer.status_code == 200
    return answer.content


def metadata_of(service: httpx.Client, image: Dataset) -> dict[str, Any]:
    (metadata,) = service.get(f"{path_of(image)}/metadata").json()
    found: dict[str, Any] = metadata
    return found


def frame(service: httpx.Client, image: Dataset, number: int) -> httpx.Response:
    return service.get(
        f"{path_of(image)}/frames/{number}", headers={"Accept": "application/octet-stream; transfer-syntax=*"}
    )


def body_begin(file: bytes) -> int:
    return 144 + int.from_bytes(file[140:144], "little")


def with_element(file: bytes, encoded: bytes) -> bytes:
    """The file with an element before its Study Description (0008,1030)."""
    return file.replace(b"\x08\x00\x30\x10", encoded + b"\x08\x00\x30\x10", 1)


class TestHeads:
    @pytest.mark.parametrize("vr", ["  ", "??"])
    def test_a_vr_that_does_not_exist(self, service: httpx.Client, vr: str) -> None:
        image = dataset(StudyDescription="dose")
        file = with_element(part10(image), element(0x00080090, vr, b"Doe^Jane"))
        assert "VR that does not exist" in warned(service, file)
        assert kept(service, image) == file
        assert metadata_of(service, image)["00080090"] == {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]}
        found = service.get(
            "/studies", params={"StudyInstanceUID": image.StudyInstanceUID, "ReferringPhysicianName": "Doe^J*"}
        )
        assert len(found.json()) == 1

    def test_an_item_without_delimiter(self, service: httpx.Client) -> None:
        image = dataset(StudyDescription="missing")
        begin = bytes.fromhex("08004011 5351 0000 ffffffff feff00e0 ffffffff")
        encoded = begin + element(0x00081150, "UI", b"1.2.3.4\0") + bytes.fromhex("feffdde0 00000000")
        file = part10(image).replace(b"\x10\x00\x10\x00PN", encoded + b"\x10\x00\x10\x00PN", 1)
        assert "no delimiter" in warned(service, file)
        assert kept(service, image) == file
        assert metadata_of(service, image)["00081140"]["Value"] == [{"00081150": {"vr": "UI", "Value": ["1.2.3.4"]}}]

    def test_a_character_set_in_lower_case(self, service: httpx.Client) -> None:
        image = dataset(SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Jörg")
        file = part10(image).replace(b"ISO_IR 192", b"iso_ir 192")
        assert "ISO_IR 192 is assumed" in warned(service, file)
        assert kept(service, image) == file
        assert metadata_of(service, image)["00100010"]["Value"] == [{"Alphabetic": "Müller^Jörg"}]

    @pytest.mark.parametrize("version", ["v1", "v2"])
    def test_a_name_of_only_delimiters_is_not_odd(self, service: httpx.Client, version: str) -> None:
        image = dataset(PatientName="=")
        url = service.base_url.join(f"/{version}/studies")
        answer = service.post(url, content=part10(image), headers={"Content-Type": "application/dicom"})
        assert answer.status_code == 200, answer.text
        assert metadata_of(service, image)["00100010"] == {"vr": "PN"}
        assert len(service.get("/studies", params={"StudyInstanceUID": image.StudyInstanceUID}).json()) == 1


class TestFileMeta:
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    @pytest.mark.parametrize("other", [RLELossless, UID("1.2.840.10008.1.2.2")])
    def test_elements_that_are_repeated(self, service: httpx.Client, syntax: UID, other: UID) -> None:
        image = dataset()
        file = part10_in(syntax, image)
        begin, value = body_begin(file), other.encode() + b"\0" * (len(other) % 2)
        repeated = implicit(0x00020010, value) if syntax.is_implicit_VR else element(0x00020010, "UI", value)
        sent = file[:begin] + repeated + file[begin:]
        assert "first ones count" in warned(service, sent)
        assert kept(service, image) == sent
        metadata = metadata_of(service, image)
        assert metadata["00083002"]["Value"] == [syntax]
        assert metadata["00100020"]["Value"] == ["ID"]
        assert frame(service, image, 1).content == bytes(range(16))
        if syntax.is_implicit_VR:  # else it is sent as it is stored
            whole = dcmread(BytesIO(service.get(path_of(image), headers={"Accept": EXPLICIT}).content))
            assert whole.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
            assert whole.PixelData == bytes(range(16))

    def test_a_prefix_without_preamble(self, service: httpx.Client) -> None:
        image = dataset()
        file = part10(image)
        assert post(service, file[128:]).status_code == 200  # all is there
        assert kept(service, image) == file

    def test_no_file_meta_group(self, service: httpx.Client) -> None:
        image = dataset()
        file = part10(image)
        assert "no Transfer Syntax UID" in warned(service, file[body_begin(file) :])
        assert kept(service, image).endswith(file[body_begin(file) :])


class TestFrames:
    def test_encapsulated_pixels_in_a_native_transfer_syntax(self, service: httpx.Client) -> None:
        image = dataset(PixelData=encapsulate([b"\xff\xd8\xff\xdb1234"]))
        file = part10_in(JPEGBaseline8Bit, image).replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.1\0\0\0")
        assert "not encoded as its transfer syntax says" in warned(service, file)
        assert kept(service, image) == file
        assert metadata_of(service, image)["00083002"]["Value"] == [ExplicitVRLittleEndian]
        for path in ("frames/1", f"bulkdata/{PIXEL_DATA}", "rendered", "thumbnail", "frames/1/rendered"):
            answer = service.get(f"{path_of(image)}/{path}")
            assert answer.status_code in (404, 406), path
            assert "transfer syntax" in answer.json()["detail"], path
        transcoded = service.get(
            path_of(image), headers={"Accept": "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90"}
        )
        assert transcoded.status_code == 406
        # What is sent of all bulk data has no other; nor is there an answer without parts.
        for path in ("pixeldata", "bulkdata"):
            assert service.get(f"{path_of(image)}/{path}").status_code == 404

    @pytest.mark.parametrize("promised", [3, None])
    def test_a_wrong_number_of_frames(self, service: httpx.Client, promised: int | None) -> None:
        frames = [bytes([number]) * 16 for number in (1, 2)]
        image = dataset(NumberOfFrames=promised, PixelData=encapsulate(frames))
        file = part10_in(ENCAPSULATED, image)
        assert "Pixel Data has 2" in warned(service, file)
        assert kept(service, image) == file
        assert [frame(service, image, number).content for number in (1, 2)] == frames
        third = frame(service, image, 3)
        assert third.status_code == 404
        assert "frames 1 to 2" in third.json()["detail"]
        assert service.get(f"{path_of(image)}/frames/2/rendered").status_code == 200
        value = service.get(f"{path_of(image)}/bulkdata/{PIXEL_DATA}", headers={"Accept": OCTETS})
        assert [body for _, body in parts(value)] == frames
        whole = dcmread(BytesIO(service.get(path_of(image), headers={"Accept": EXPLICIT}).content))
        assert (whole.NumberOfFrames, whole.PixelData) == (2, b"".join(frames))

    def test_fragments_that_cannot_be_told_apart(self, service: httpx.Client) -> None:
        image = dataset(NumberOfFrames=2, PixelData=encapsulate([bytes(48)], fragments_per_frame=3, has_bot=False))
        assert "3 fragments for 2 frames" in warned(service, part10_in(RLELossless, image))
        for path in ("frames/1", f"bulkdata/{PIXEL_DATA}"):
            answer = service.get(f"{path_of(image)}/{path}")
            assert answer.status_code == 404
            assert "3 fragments for 2 frames" in answer.json()["detail"]

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    def test_native_pixels_that_end_early(self, service: httpx.Client, syntax: UID) -> None:
        image = dataset(NumberOfFrames=3, PixelData=bytes(range(32)))
        file = part10_in(syntax, image)
        assert "Pixel Data has 2" in warned(service, file)
        assert frame(service, image, 2).content == bytes(range(16, 32))
        assert frame(service, image, 3).status_code == 404


@pytest.mark.parametrize(("bits", "samples"), [(8, 1), (8, 3), (16, 1)])
@pytest.mark.parametrize("rows", [3, 4])
def test_encapsulated_uncompressed_is_native_once_a_fragment_is_cut(
    service: httpx.Client, rows: int, bits: int, samples: int
) -> None:
    size = rows * 5 * samples * bits // 8
    frames = [bytes(number * 3 % 256 for number in range(start, start + size)) for start in (0, 50, 100)]
    image = dataset(
        Rows=rows, Columns=5, SamplesPerPixel=samples, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1,
        PhotometricInterpretation="RGB" if samples == 3 else "MONOCHROME2", NumberOfFrames=3,
        PlanarConfiguration=0 if samples == 3 else None,
        PixelData=encapsulate([part + b"\0" * (size % 2) for part in frames]),
    )  # fmt: skip
    file = part10_in(ENCAPSULATED, image)
    assert post(service, file).status_code == 200
    assert kept(service, image) == file
    explicit = f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.1"
    for accepted in (OCTETS, explicit):
        answer = service.get(f"{path_of(image)}/frames/1,2,3", headers={"Accept": accepted})
        assert [body for _, body in parts(answer)] == frames
    whole = dcmread(BytesIO(service.get(path_of(image), headers={"Accept": EXPLICIT}).content))
    assert whole.PixelData.startswith(b"".join(frames))
    assert service.get(f"{path_of(image)}/rendered").status_code == 200


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"hello, world", "not a DICOM file"),
        (b"\x00" * 300, "not a DICOM file"),
        (b"PK\3\4" + bytes(range(200)), "not a DICOM file"),
        (b"\x02\x00\x10\x00UI\x60\x00short", "cut short in element 0002,0010"),
        (bytes(128) + b"DICM" + b"\x08\x00\x05\x00\xff\xff\xff\x7fabc", "0008,0005 is said to have 2147483647 bytes"),
        (element(0x00080016, "UI", b"1.2 ")[:-2], "cut short in element 0008,0016"),
    ],
)
def test_a_refusal_says_the_true_reason(service: httpx.Client, file: bytes, reason: str) -> None:
    answer = post(service, file)
    assert answer.status_code == 409
    (failed,) = answer.json()["00081198"]["Value"]
    (comment,) = failed["00741048"]["Value"]
    assert reason in comment["00000902"]["Value"][0]


Client = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def client(functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Client:
    return partial(app_client, functions, archive, monkeypatch)


@pytest.mark.parametrize("is_taken", [False, True])
@pytest.mark.parametrize(("version", "patient_id"), [("v1", None), ("v1", ""), ("v2", None)])
async def test_without_patient_id(client: Client, version: str, patient_id: str | None, is_taken: bool) -> None:
    image = dataset(PatientID=patient_id)
    async with client(store_without_patient_id=is_taken) as service:
        url = f"http://localhost:7071/{version}"
        answer = await service.post(
            f"{url}/studies", content=part10(image), headers={"Content-Type": "application/dicom"}
        )
        sequence = "00081199" if is_taken else "00081198"
        (item,) = answer.json()[sequence]["Value"]
        (comment,) = item["00741048"]["Value"]
        assert "(0010,0020) - PatientID is required" in comment["00000902"]["Value"][0]
        if not is_taken:
            assert answer.status_code == 409
            assert item["00081197"]["Value"] == [43264]
            return
        assert answer.status_code == 202
        assert item["00081196"]["Value"] == [1]
        found = await service.get(f"{url}/studies", params={"StudyInstanceUID": image.StudyInstanceUID})
        assert found.json()[0].get("00100020", {"vr": "LO"}) == {"vr": "LO"}
        (metadata,) = (await service.get(f"{url}{path_of(image)}/metadata")).json()
        assert ("00100020" in metadata) == (patient_id is not None)
