"""Rendered resources, thumbnails and the URI Service on the wire, checked with Pillow."""

from collections.abc import Iterator
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import EncapsulatedPDFStorage

from tests.support.messages import parts
from tests.support.served_instances import dataset, new_uid, part10, path_of, stored

BROWSER = {"Accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"}
ROWS, COLUMNS = 100, 200


@pytest.fixture(scope="module")
def study(service: httpx.Client) -> Iterator[list[str]]:
    """Two series: one of two instances of three frames, 0, 100 and 200; one of a report. The instances' paths."""
    uid, series = new_uid(), new_uid()
    frames = b"".join(bytes([level]) * (ROWS * COLUMNS) for level in (0, 100, 200))
    images = [
        dataset(
            StudyInstanceUID=uid,
            SeriesInstanceUID=series,
            Rows=ROWS,
            Columns=COLUMNS,
            NumberOfFrames=3,
            WindowCenter=128,
            WindowWidth=256,
            PixelData=frames,
        )
        for _ in range(2)
    ]
    report = dataset(StudyInstanceUID=uid, PixelData=None)
    for image in (*images, report):
        stored(service, part10(image))
    yield [path_of(image) for image in (*images, report)]
    service.delete(f"/studies/{uid}")


def picture(response: httpx.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    return Image.open(BytesIO(response.content))


def levels(path: str) -> str:
    return "/".join(path.split("/")[:3])


@pytest.mark.parametrize("resource", ["rendered", "thumbnail"])
def test_every_level_is_a_picture_in_a_page(service: httpx.Client, study: list[str], resource: str) -> None:
    instance = study[0]
    series = "/".join(instance.split("/")[:5])
    for path in (levels(instance), series, instance, f"{instance}/frames/1"):
        response = service.get(f"{path}/{resource}", headers=BROWSER)
        assert response.headers["Content-Type"] == "image/jpeg"
        assert response.headers["Content-Location"].endswith(f"/frames/1/{resource}")
        shown = picture(response)
        assert shown.format == "JPEG"
        assert shown.size == ((128, 64) if resource == "thumbnail" else (COLUMNS, ROWS))
        assert np.asarray(shown).max() == 0
        assert service.head(f"{path}/{resource}").headers["Content-Type"] == "image/jpeg"


@pytest.mark.parametrize(("media_type", "name"), [("image/jpeg", "JPEG"), ("image/png", "PNG"), ("image/gif", "GIF")])
def test_a_frame_in_each_media_type(service: httpx.Client, study: list[str], media_type: str, name: str) -> None:
    for accept, query in (({"Accept": media_type}, ""), ({}, f"?accept={media_type}")):
        response = service.get(f"{study[0]}/frames/2/rendered{query}", headers=accept)
        assert response.headers["Content-Type"] == media_type
        shown = picture(response)
        assert shown.format == name
        assert abs(int(np.asarray(shown.convert("L"))[5, 5]) - 100) <= 1


def test_a_multi_frame_instance_is_an_animated_gif(service: httpx.Client, study: list[str]) -> None:
    shown = picture(service.get(f"{study[0]}/rendered", headers={"Accept": "image/gif"}))
    assert getattr(shown, "n_frames", 1) == 3
    some = picture(service.get(f"{study[0]}/frames/3,1/rendered", headers={"Accept": "image/gif"}))
    assert getattr(some, "n_frames", 1) == 2
    assert abs(int(np.asarray(some.convert("L"))[5, 5]) - 200) <= 1


def test_several_frames_and_several_instances_are_parts(service: httpx.Client, study: list[str]) -> None:
    several = {"Accept": 'multipart/related; type="image/png"'}
    frames = parts(service.get(f"{study[0]}/frames/3,2/rendered", headers=several))
    assert [headers["content-location"].partition("/frames/")[2] for headers, _ in frames] == [
        "3/rendered",
        "2/rendered",
    ]
    gray = [np.asarray(Image.open(BytesIO(body)).convert("L"))[0, 0] for _, body in frames]
    assert [abs(int(level) - expected) <= 1 for level, expected in zip(gray, (200, 100), strict=True)] == [True, True]
    instances = parts(service.get(f"{levels(study[0])}/rendered", headers=several))
    assert len(instances) == 2  # a report is not rendered
    assert service.get(f"{study[0]}/frames/3,2/rendered", headers={"Accept": "image/png"}).status_code == 406


def test_parameters_take_effect(service: httpx.Client, study: list[str]) -> None:
    url = f"{study[0]}/frames/2/rendered"
    assert picture(service.get(f"{url}?viewport=20,20")).size == (20, 10)
    assert picture(service.get(f"{url}?viewport=10,10,0,0,10,10")).size == (10, 10)
    white = picture(service.get(f"{url}?window=10,10,linear"))
    assert np.asarray(white).min() == 255
    best, worst = (len(service.get(f"{url}?quality={quality}").content) for quality in (100, 1))
    assert worst <= best
    assert service.get(f"{url}?annotation=patient,technique&iccprofile=no").status_code == 200


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("quality=0", "quality"),
        ("quality=x", "quality"),
        ("viewport=0,10", "viewport"),
        ("viewport=10", "viewport"),
        ("viewport=99999,99999", "viewport"),
        ("window=1,2", "window"),
        ("window=1,0,linear", "window"),
        ("window=1,2,other", "window"),
        ("annotation=name", "annotation"),
        ("iccprofile=maybe", "iccprofile"),
    ],
)
def test_an_invalid_parameter_is_named(service: httpx.Client, study: list[str], query: str, named: str) -> None:
    response = service.get(f"{study[0]}/rendered?{query}")
    assert response.status_code == 400
    assert named in response.json()["detail"]


def test_an_instance_without_pixels_is_not_found(service: httpx.Client, study: list[str]) -> None:
    report = study[2]
    series = "/".join(report.split("/")[:5])
    for path in (report, series, f"{report}/frames/1", f"/studies/{new_uid()}"):
        for resource in ("rendered", "thumbnail"):
            assert service.get(f"{path}/{resource}").status_code == 404
    assert service.get(f"{study[0]}/frames/4/rendered").status_code == 404
    assert service.get(f"{study[0]}/rendered", headers={"Accept": "image/webp"}).status_code == 406


def test_a_document_is_sent_as_it_is(service: httpx.Client) -> None:
    pdf = b"%PDF-1.4 of an odd length"
    image = dataset(
        SOPClassUID=EncapsulatedPDFStorage,
        PixelData=None,
        EncapsulatedDocument=pdf,
        EncapsulatedDocumentLength=len(pdf),
    )
    path = stored(service, part10(image))
    for url in (path, levels(path)):
        response = service.get(f"{url}/rendered", headers={"Accept": "text/html, application/pdf, */*;q=0.1"})
        assert response.headers["Content-Type"] == "application/pdf"
        assert response.content == pdf
        assert service.get(f"{url}/thumbnail").status_code == 404
    service.delete(path)


class TestUriService:
    def query(self, path: str, **parameters: str) -> dict[str, str]:
        _, _, study, _, series, _, instance = path.split("/")
        return {"requestType": "WADO", "studyUID": study, "seriesUID": series, "objectUID": instance, **parameters}

    def test_shows_an_image_by_default(self, service: httpx.Client, study: list[str]) -> None:
        for headers in ({}, BROWSER):
            response = service.get("/wado", params=self.query(study[0]), headers=headers)
            assert response.headers["Content-Type"] == "image/jpeg"
            assert picture(response).size == (COLUMNS, ROWS)

    def test_its_parameters_take_effect(self, service: httpx.Client, study: list[str]) -> None:
        query = self.query(study[0], contentType="image/png", frameNumber="2", rows="10", region="0,0,0.5,1")
        shown = picture(service.get("/wado", params=query))
        assert shown.format == "PNG"
        assert shown.size == (10, 10)
        assert abs(int(np.asarray(shown.convert("L"))[5, 5]) - 100) <= 1
        query = self.query(study[0], frameNumber="2", windowCenter="10", windowWidth="10")
        assert np.asarray(picture(service.get("/wado", params=query))).min() == 255

    def test_sends_a_file(self, service: httpx.Client, study: list[str]) -> None:
        query = self.query(study[0], contentType="application/dicom")
        response = service.get("/wado", params=query)
        assert response.headers["Content-Type"] == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
        assert dcmread(BytesIO(response.content)).NumberOfFrames == 3
        for syntax in ("1.2.840.10008.1.2.5", "*"):
            assert service.get("/wado", params={**query, "transferSyntax": syntax}).status_code == 200
        assert service.get("/wado", params={**query, "transferSyntax": "1.2.840.10008.1.2.4.50"}).status_code == 406
        report = service.get("/wado", params=self.query(study[2]))
        assert report.headers["Content-Type"].startswith("application/dicom")

    @pytest.mark.parametrize(
        ("parameters", "status"),
        [
            ({"requestType": "XERO"}, 400),
            ({"studyUID": "x"}, 400),
            ({"objectUID": "1.2.3.4"}, 404),
            ({"frameNumber": "9"}, 404),
            ({"frameNumber": "0"}, 400),
            ({"rows": "0"}, 400),
            ({"windowCenter": "1"}, 400),
            ({"anonymize": "yes"}, 400),
            ({"contentType": "text/html"}, 406),
        ],
    )
    def test_refuses(self, service: httpx.Client, study: list[str], parameters: dict[str, str], status: int) -> None:
        response = service.get("/wado", params=self.query(study[0], **parameters))
        assert response.status_code == status
        assert response.headers["Content-Type"] == "application/problem+json"
