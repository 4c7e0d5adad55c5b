"""Series and studies of which one member cannot be sent as asked: the rest is sent, and what is not is told."""

from collections.abc import Iterator
from io import BytesIO

import httpx
import pytest
from dicomweb_client import DICOMwebClient
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.filereader import dcmread
from pydicom.uid import (
    MPEG4HP41,
    EncapsulatedPDFStorage,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    VideoEndoscopicImageStorage,
)

from tests.support.messages import parts
from tests.support.served_instances import dataset, new_uid, part10, part10_in, stored

ELE = "1.2.840.10008.1.2.1"
UNKNOWN = "1.2.840.10008.1.2.4.66"
DAMAGED = (JPEGBaseline8Bit, JPEG2000Lossless, JPEGLSLossless, RLELossless)
DICOM_PARTS = 'multipart/related; type="application/dicom"'
PDF = b"%PDF-1.4 of a report"


class Study:
    """A study whose members are stored one by one, in the order in which it is sent."""

    def __init__(self, service: httpx.Client) -> None:
        self.uid, self.series_uid = new_uid(), new_uid()
        self.path = f"/studies/{self.uid}"
        self.series_path = f"{self.path}/series/{self.series_uid}"
        self._service = service
        self._beginning = new_uid()
        self.members: list[str] = []

    def add(self, kind: str, value: int = 100) -> str:
        """Store a member; return its path."""
        uids = {"StudyInstanceUID": self.uid, "SeriesInstanceUID": self.series_uid}
        uids["SOPInstanceUID"] = f"{self._beginning}.{len(self.members) + 1}"
        match kind:
            case "image":
                file = part10(dataset(**uids, Rows=40, Columns=40, PixelData=bytes([value]) * 1600))
            case "pdf":
                of_document = {"EncapsulatedDocument": PDF, "MIMETypeOfEncapsulatedDocument": "application/pdf"}
                file = part10(dataset(**uids, SOPClassUID=EncapsulatedPDFStorage, PixelData=None, **of_document))
            case "report":
                file = part10(dataset(**uids, PixelData=None))
            case "video":
                video = dataset(**uids, SOPClassUID=VideoEndoscopicImageStorage, PixelData=encapsulate([b"video" * 50]))
                file = part10_in(MPEG4HP41, video)
            case syntax:
                file = part10_in(syntax, dataset(**uids, Rows=40, Columns=40, PixelData=encapsulate([b"damaged!" * 9])))
        self.members.append(stored(self._service, file))
        return self.members[-1]


@pytest.fixture
def study(service: httpx.Client) -> Iterator[Study]:
    made = Study(service)
    yield made
    service.delete(made.path)


def location(response: httpx.Response) -> str:
    return response.headers["Content-Location"].partition("/v2")[2]


@pytest.mark.parametrize(
    ("bad", "resource"),
    [
        *((bad, "rendered") for bad in (*DAMAGED, UNKNOWN, "pdf", "video", "report")),
        *((bad, "thumbnail") for bad in (JPEGBaseline8Bit, "pdf", "video")),
    ],
)
def test_the_picture_of_a_collection_is_that_of_the_first_that_has_one(
    service: httpx.Client, study: Study, bad: str, resource: str
) -> None:
    study.add(bad)
    study.add(bad)
    good = study.add("image")
    study.add("image", 200)
    for path in (study.path, study.series_path):
        for accept in ("*/*", "image/png"):
            response = service.get(f"{path}/{resource}", headers={"Accept": accept})
            assert response.status_code == 200, response.text
            assert location(response) == f"{good}/frames/1/{resource}"
            assert Image.open(BytesIO(response.content)).size == (40, 40)
            tag = response.headers["ETag"]
            headers = {"Accept": accept, "If-None-Match": tag}
            assert service.get(f"{path}/{resource}", headers=headers).status_code == 304
    # The picture is another once what it shows is another.
    service.delete(good)
    headers = {"Accept": "image/png", "If-None-Match": tag}
    assert service.get(f"{study.path}/{resource}", headers=headers).status_code == 200


@pytest.mark.parametrize("bad", [JPEGBaseline8Bit, RLELossless, UNKNOWN])
def test_a_collection_without_a_picture_says_why(service: httpx.Client, study: Study, bad: str) -> None:
    for _ in range(3):
        study.add(bad)
    for path in (study.path, study.series_path):
        for accept in ("image/jpeg", 'multipart/related; type="image/jpeg"'):
            response = service.get(f"{path}/rendered", headers={"Accept": accept})
            assert response.status_code == 406, response.content
            assert response.json()["detail"] == service.get(f"{study.members[0]}/rendered").json()["detail"]


def test_a_document_or_video_is_shown_where_there_is_nothing_else_or_it_is_asked_for(
    service: httpx.Client, study: Study
) -> None:
    pdf, video = study.add("pdf"), study.add("video")
    url = f"{study.path}/rendered"
    assert location(service.get(url)) == f"{pdf}/rendered"
    assert service.get(f"{study.path}/thumbnail").status_code == 404
    image = study.add("image")
    for accept, shown in (
        ("application/pdf", f"{pdf}/rendered"),
        ("video/mp4", f"{video}/rendered"),
        ("video/mp4, image/*;q=0.5", f"{video}/rendered"),
        ("image/*, application/pdf;q=0.5", f"{image}/frames/1/rendered"),
    ):
        assert location(service.get(url, headers={"Accept": accept})) == shown
    assert service.get(url, headers={"Accept": "text/xml"}).status_code == 406


@pytest.mark.parametrize("bad", [JPEGLSLossless, UNKNOWN])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1), (0, 2, 1, 3)])
def test_pictures_of_all_instances_have_a_problem_in_the_place_of_one_that_cannot_be_drawn(
    service: httpx.Client, study: Study, bad: str, order: tuple[int, ...]
) -> None:
    kinds = ["image", "image", bad, bad]
    for number in order:
        study.add(kinds[number])
    study.add("pdf")
    for path in (study.path, study.series_path):
        response = service.get(f"{path}/rendered", headers={"Accept": 'multipart/related; type="image/png"'})
        assert response.status_code == 200
        sent = parts(response)
        assert len(sent) == 4
        for number, (headers, body), member in zip(order, sent, study.members, strict=False):
            of_image = headers["content-type"] == "image/png"
            assert of_image is (kinds[number] == "image")
            assert member in headers["content-location"]
            assert body.startswith(b"\x89PNG") if of_image else b'"status": 406' in body


@pytest.mark.parametrize(
    ("others", "left_out"),
    [(["image", "image"], ["video"]), (["image", "report", "pdf"], [UNKNOWN, "video"]), ([RLELossless], ["video"] * 2)],
)
def test_what_cannot_be_transcoded_is_left_out_and_told(
    service: httpx.Client, study: Study, others: list[str], left_out: list[str]
) -> None:
    for kind in [left_out[0], *others, *left_out[1:]]:
        study.add(kind)
    count = len(others) + len(left_out)
    for path in (study.path, study.series_path):
        response = service.get(path, headers={"Accept": DICOM_PARTS})
        assert response.status_code == 206
        code, agent, text = response.headers["Warning"].split(" ", 2)
        assert (code, agent) == ("299", f"localhost:{service.base_url.port}")
        assert f"{len(left_out)} of {count} instances are left out" in text
        assert MPEG4HP41 in text
        locations = [headers["content-location"].partition("/v2")[2] for headers, _ in parts(response)]
        assert locations == study.members[1 : 1 + len(others)]
        head = service.head(path, headers={"Accept": DICOM_PARTS})
        assert (head.status_code, head.headers["Warning"]) == (206, response.headers["Warning"])
        for accept in (f"{DICOM_PARTS}; transfer-syntax=*", "*/*"):
            whole = service.get(path, headers={"Accept": accept})
            assert (whole.status_code, whole.headers.get("Warning"), len(parts(whole))) == (200, None, count)
        only = service.get(path, headers={"Accept": f"{DICOM_PARTS}; transfer-syntax={MPEG4HP41}"})
        assert (only.status_code, len(parts(only))) == (206, left_out.count("video"))


def test_a_collection_of_which_nothing_can_be_transcoded_is_refused(service: httpx.Client, study: Study) -> None:
    study.add("video")
    study.add("video")
    response = service.get(study.path, headers={"Accept": DICOM_PARTS})
    assert response.status_code == 406
    assert MPEG4HP41 in response.json()["detail"]


@pytest.mark.parametrize("bad", DAMAGED)
def test_an_instance_that_turns_out_not_to_be_transcodable_comes_as_it_is_stored(
    service: httpx.Client, study: Study, bad: str
) -> None:
    for kind in (bad, "image", bad):
        study.add(kind)
    for accept in (DICOM_PARTS, f"{DICOM_PARTS}; transfer-syntax={JPEG2000Lossless}"):
        response = service.get(study.path, headers={"Accept": accept})
        assert response.status_code == 200
        sent = parts(response)
        assert [headers["content-location"].partition("/v2")[2] for headers, _ in sent] == study.members
        for headers, body in sent:
            assert dcmread(BytesIO(body)).file_meta.TransferSyntaxUID == headers["content-type"].partition("syntax=")[2]
        asked = JPEG2000Lossless if JPEG2000Lossless in accept else ELE
        syntaxes = [headers["content-type"].partition("syntax=")[2] for headers, _ in sent]
        assert syntaxes == [bad, asked, bad]


def test_a_foreign_client_gets_the_rest(service: httpx.Client, study: Study) -> None:
    for kind in ("video", "image", RLELossless, "report"):
        study.add(kind)
    client = DICOMwebClient(str(service.base_url).rstrip("/"))
    found = client.retrieve_study(study.uid)
    assert [data_set.SOPInstanceUID for data_set in found] == [path.rpartition("/")[2] for path in study.members[1:]]
    everything = client.retrieve_study(study.uid, media_types=(("application/dicom", "*"),))
    assert len(everything) == 4
