"""Ranges, entity tags, gzip, archives, XML and bulk values on the wire."""

import gzip
import json
import zipfile
from collections.abc import Iterator
from io import BytesIO
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG4HP41, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from tests.support.messages import parts
from tests.support.served_instances import dataset, new_uid, part10, part10_in, path_of, stored

ELE = "1.2.840.10008.1.2.1"
OCTETS = {"Accept": "application/octet-stream"}
ANY_DICOM = {"Accept": "application/dicom; transfer-syntax=*"}


@pytest.fixture(scope="module")
def study(service: httpx.Client) -> Iterator[list[tuple[str, bytes]]]:
    """Three instances of two series, stored: path and file of each."""
    uid, series = new_uid(), [new_uid(), new_uid()]
    nested = Dataset()
    nested.add_new("RedPaletteColorLookupTableData", "OW", b"\1\2\3\4")
    images = [
        dataset(
            StudyInstanceUID=uid,
            SeriesInstanceUID=series[number // 2],
            NumberOfFrames=2,
            PixelData=bytes([number]) * 16 + bytes([number + 100]) * 16,
            EncapsulatedDocument=b"%PDF",
            MIMETypeOfEncapsulatedDocument="application/pdf",
            IconImageSequence=[nested],
        )
        for number in range(3)
    ]
    files = [part10(image) for image in images]
    for file in files:
        stored(service, file)
    yield [(path_of(image), file) for image, file in zip(images, files, strict=True)]
    service.delete(f"/studies/{uid}")


class TestRanges:
    @pytest.mark.parametrize(
        ("asked", "start", "end"), [("bytes=0-9", 0, 10), ("bytes=100-", 100, None), ("bytes=-20", -20, None)]
    )
    def test_of_an_instance(
        self, service: httpx.Client, study: list[tuple[str, bytes]], asked: str, start: int, end: int | None
    ) -> None:
        path, file = study[0]
        response = service.get(path, headers={**ANY_DICOM, "Range": asked})
        assert response.status_code == 206
        assert response.content == file[start:end]
        first = start if start >= 0 else len(file) + start
        assert response.headers["Content-Range"] == f"bytes {first}-{first + len(response.content) - 1}/{len(file)}"
        assert int(response.headers["Content-Length"]) == len(response.content)
        assert response.headers["Content-Type"] == f"application/dicom; transfer-syntax={ELE}"

    def test_of_a_frame_and_of_bulk_values(self, service: httpx.Client, study: list[tuple[str, bytes]]) -> None:
        path, _ = study[1]
        for suffix, whole in [
            ("/frames/2", bytes([101]) * 16),
            ("/bulkdata/7FE00010", bytes([1]) * 16 + bytes([101]) * 16),
            ("/bulkdata/00420011", b"%PDF"),
            ("/bulkdata/00880200/1/00281201", b"\1\2\3\4"),
        ]:
            response = service.get(path + suffix, headers={**OCTETS, "Range": "bytes=1-2"})
            assert response.status_code == 206
            assert response.content == whole[1:3]
            assert service.head(path + suffix, headers=OCTETS).headers["Accept-Ranges"] == "bytes"

    def test_join_to_the_whole(self, service: httpx.Client, study: list[tuple[str, bytes]]) -> None:
        path, file = study[2]
        pieces = [
            service.get(path, headers={**ANY_DICOM, "Range": f"bytes={start}-{start + 99}"}).content
            for start in range(0, len(file), 100)
        ]
        assert b"".join(pieces) == file

    def test_beyond_the_end(self, service: httpx.Client, study: list[tuple[str, bytes]]) -> None:
        path, file = study[0]
        response = service.get(path, headers={**ANY_DICOM, "Range": f"bytes={len(file)}-"})
        assert response.status_code == 416
        assert response.headers["Content-Range"] == f"bytes */{len(file)}"

    def test_several_are_answered_with_the_whole(self, service: httpx.Client, study: list[tuple[str, bytes]]) -> None:
        path, file = study[0]
        response = service.get(path, headers={**ANY_DICOM, "Range": "bytes=0-1,5-6"})
        assert response.status_code == 200
        assert response.content == file

    def test_are_only_of_the_representation_that_the_client_has(
        self, service: httpx.Client, study: list[tuple[str, bytes]]
    ) -> None:
        path, file = study[0]
        tag = service.head(path, headers=ANY_DICOM).headers["ETag"]
        ranged = {**ANY_DICOM, "Range": "bytes=0-9"}
        assert service.get(path, headers={**ranged, "If-Range": tag}).status_code == 206
        assert service.get(path, headers={**ranged, "If-Range": '"other"'}).content == file
        assert service.get(path, headers={**ranged, "If-Range": f"W/{tag}"}).content == file

    @pytest.mark.parametrize("suffix", ["", "/frames/1"])
    def test_of_a_message_join_to_it(self, service: httpx.Client, study: list[tuple[str, bytes]], suffix: str) -> None:
        path = study[0][0] + suffix
        whole = service.get(path)
        size = len(whole.content)
        for step in (7, 100):
            pieces = []
            for start in range(0, size, step):
                response = service.get(path, headers={"Range": f"bytes={start}-{start + step - 1}"})
                assert response.status_code == 206
                assert response.headers["Content-Type"] == whole.headers["Content-Type"]
                assert response.headers["Content-Range"].endswith(f"/{size}")
                pieces.append(response.content)
            assert b"".join(pieces) == whole.content

    def test_do_not_exist_for_what_is_made_while_it_is_sent(
        self, service: httpx.Client, study: list[tuple[str, bytes]]
    ) -> None:
        rle = "transfer-syntax=1.2.840.10008.1.2.5"
        for accept in (f"application/dicom; {rle}", f'multipart/related; type="application/dicom"; {rle}'):
            response = service.get(study[0][0], headers={"Accept": accept, "Range": "bytes=0-9"})
            assert response.status_code == 200
            assert "Accept-Ranges" not in response.headers

    def test_do_not_exist_for_a_bulk_value_in_a_message(
        self, service: httpx.Client, study: list[tuple[str, bytes]]
    ) -> None:
        response = service.get(f"{study[0][0]}/bulkdata/00420011", headers={"Range": "bytes=0-9"})
        assert response.status_code == 200
        assert [body for _, body in parts(response)] == [b"%PDF"]


class TestEntityTags:
    @pytest.mark.parametrize(
        "suffix", ["", "/metadata", "/frames/1", "/frames/2,1", "/bulkdata/00420011", "/rendered", "/thumbnail"]
    )
    def test_of_an_instance(self, service: httpx.Client, study: list[tuple[str, bytes]], suffix: str) -> None:
        path = study[0][0] + suffix
        first, again = service.get(path), service.get(path)
        assert first.content == again.content
        tag = first.headers["ETag"]
        assert tag == again.headers["ETag"]
        assert tag.startswith('"')
        unchanged = service.get(path, headers={"If-None-Match": f'"other", {tag}'})
        assert unchanged.status_code == 304
        assert unchanged.content == b""
        assert unchanged.headers["ETag"] == tag
        assert service.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
        assert first.headers["Cache-Control"] == "private, no-cache"

    def test_tell_representations_apart(self, service: httpx.Client, study: list[tuple[str, bytes]]) -> None:
        path, _ = study[0]
        asked = [
            (path, {}),
            (path, ANY_DICOM),
            (path, {"Accept": "application/dicom; transfer-syntax=1.2.840.10008.1.2.5"}),
            (path + "/frames/1", {}),
            (path + "/frames/2", {}),
            (path + "/frames/1", OCTETS),
            (path + "/metadata", {"Accept-Encoding": "gzip"}),
            (path + "/metadata", {"Accept-Encoding": "identity"}),
            (path + "/metadata", {"Accept": 'multipart/related; type="application/dicom+xml"'}),
            (path + "/rendered", {}),
            (path + "/rendered?quality=10", {}),
            (path + "/rendered", {"Accept": "image/png"}),
            (path + "/thumbnail", {}),
            (study[1][0], {}),
        ]
        tags = [service.get(path, headers=headers).headers["ETag"] for path, headers in asked]
        assert len(set(tags)) == len(tags)

    def test_of_study_and_series_metadata_change_with_what_is_in_them(self, service: httpx.Client) -> None:
        study, first, second = new_uid(), new_uid(), new_uid()
        images = [dataset(StudyInstanceUID=study, SeriesInstanceUID=series) for series in (first, second, second)]
        urls = [f"/studies/{study}/metadata", f"/studies/{study}/series/{first}/metadata"]
        stored(service, part10(images[0]))
        stored(service, part10(images[1]))
        before = [service.get(url).headers["ETag"] for url in urls]
        assert [service.get(url).headers["ETag"] for url in urls] == before
        stored(service, part10(images[2]))
        after = [service.get(url).headers["ETag"] for url in urls]
        assert after[0] != before[0]
        assert after[1] == before[1]  # the other series
        assert service.get(urls[1], headers={"If-None-Match": before[1]}).status_code == 304
        assert service.delete(path_of(images[2])).status_code == 204
        assert service.get(urls[0]).headers["ETag"] not in (before[0], after[0])
        service.delete(f"/studies/{study}")
        assert [service.get(url, headers={"If-None-Match": "*"}).status_code for url in urls] == [404, 404]


class TestMetadata:
    @pytest.mark.parametrize("levels", [3, 5, 7])
    def test_is_gzipped_for_clients_that_accept_gzip(
        self, service: httpx.Client, study: list[tuple[str, bytes]], levels: int
    ) -> None:
        path = "/".join(study[0][0].split("/")[:levels]) + "/metadata"
        plain = service.get(path, headers={"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in plain.headers
        with service.stream("GET", path, headers={"Accept-Encoding": "br, gzip;q=0.5"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(b"".join(response.iter_raw())) == plain.content
        assert len(plain.json()) == sum(path.removesuffix("metadata") in of + "/" for of, _ in study)
        for refused in ("gzip;q=0", "*;q=0", "br", ""):
            assert "Content-Encoding" not in service.get(path, headers={"Accept-Encoding": refused}).headers

    def test_as_xml_says_what_the_json_says(self, service: httpx.Client, study: list[tuple[str, bytes]]) -> None:
        path = "/".join(study[0][0].split("/")[:3]) + "/metadata"
        response = service.get(path, headers={"Accept": 'multipart/related; type="application/dicom+xml"'})
        documents = [ElementTree.fromstring(body) for _, body in parts(response)]  # noqa: S314 -- ours
        assert [headers["content-type"] for headers, _ in parts(response)] == ["application/dicom+xml"] * 3
        for document, metadata in zip(documents, service.get(path).json(), strict=True):
            attributes = {child.attrib["tag"]: child for child in document}
            assert set(attributes) == set(metadata)
            (uid,) = attributes["00080018"]
            assert [uid.text] == metadata["00080018"]["Value"]
            (bulk,) = attributes["7FE00010"]
            assert bulk.attrib["uri"] == metadata["7FE00010"]["BulkDataURI"]

    @pytest.mark.parametrize(("charset", "status"), [("utf-8", 200), ("UTF-8", 200), ("*", 200), ("latin-1", 406)])
    def test_is_in_utf_8_only(
        self, service: httpx.Client, study: list[tuple[str, bytes]], charset: str, status: int
    ) -> None:
        assert service.get(f"{study[0][0]}/metadata?charset={charset}").status_code == status

    def test_leads_to_every_value_that_it_leaves_out(
        self, service: httpx.Client, study: list[tuple[str, bytes]]
    ) -> None:
        (metadata,) = service.get(f"{study[0][0]}/metadata").json()
        image = dcmread(BytesIO(study[0][1]))
        found = {}

        def follow(attributes: dict[str, dict[str, object]]) -> None:
            for attribute in attributes.values():
                if uri := attribute.get("BulkDataURI"):
                    found[str(uri).partition("/bulkdata/")[2]] = service.get(str(uri), headers=OCTETS).content
                for item in json.loads(json.dumps(attribute.get("Value", []))):
                    if attribute["vr"] == "SQ":
                        follow(item)

        follow(metadata)
        assert found == {
            "7FE00010": image.PixelData,
            "00420011": b"%PDF",
            "00880200/1/00281201": b"\1\2\3\4",
        }


class TestZip:
    @pytest.mark.parametrize("levels", [3, 5])
    def test_of_a_study_and_of_a_series(
        self, service: httpx.Client, study: list[tuple[str, bytes]], levels: int
    ) -> None:
        path = "/".join(study[0][0].split("/")[:levels])
        response = service.get(path, headers={"Accept": "application/zip"})
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/zip"
        assert response.headers["Content-Disposition"] == f'attachment; filename="{path.rpartition("/")[2]}.zip"'
        with zipfile.ZipFile(BytesIO(response.content)) as archive:
            assert archive.testzip() is None
            read = {name: archive.read(name) for name in archive.namelist()}
        assert read == {"/".join(of.split("/")[2::2]) + ".dcm": file for of, file in study if of.startswith(path + "/")}

    def test_of_an_unknown_study(self, service: httpx.Client) -> None:
        assert service.get(f"/studies/{new_uid()}", headers={"Accept": "application/zip"}).status_code == 404


class TestBulkValues:
    def test_in_parts_and_alone(self, service: httpx.Client, study: list[tuple[str, bytes]]) -> None:
        url = f"{study[0][0]}/bulkdata/00420011"
        for accept, content_type in [
            ("application/pdf", "application/pdf"),
            ('multipart/related; type="application/pdf"', "application/pdf"),
        ]:
            response = service.get(url, headers={"Accept": accept})
            if "multipart" in accept:
                ((headers, body),) = parts(response)
                assert headers["content-type"] == content_type
            else:
                body = response.content
                assert response.headers["Content-Type"] == content_type
            assert body == b"%PDF"
        assert service.get(url, headers={"Accept": "image/png"}).status_code == 406

    @pytest.mark.parametrize("tag", ["7FE00008", "7FE00009"])
    def test_of_pixels_of_another_kind_do_not_exist(
        self, service: httpx.Client, study: list[tuple[str, bytes]], tag: str
    ) -> None:
        assert service.get(f"{study[0][0]}/bulkdata/{tag}").status_code == 404

    def test_of_a_big_endian_file_are_little_endian(self, service: httpx.Client) -> None:
        image = dataset(BitsAllocated=16, BitsStored=16, HighBit=15, PixelData=bytes(range(32)))
        image["PixelData"].VR = "OW"
        path = stored(service, part10_in(ExplicitVRBigEndian, image))
        swapped = np.frombuffer(image.PixelData, ">u2").astype("<u2").tobytes()
        assert service.get(f"{path}/bulkdata/7FE00010", headers=OCTETS).content == swapped
        assert service.get(f"{path}/frames/1", headers=OCTETS).content == swapped
        native = service.get(path, headers={"Accept": "application/dicom"})
        assert dcmread(BytesIO(native.content)).PixelData == swapped
        service.delete(path)


def test_a_deflated_instance_has_frames_and_bulk_values(service: httpx.Client) -> None:
    image = dataset(NumberOfFrames=2, PixelData=bytes(range(32)), EncapsulatedDocument=b"%PDF")
    path = stored(service, part10_in(DeflatedExplicitVRLittleEndian, image))
    assert service.get(f"{path}/frames/2", headers=OCTETS).content == bytes(range(16, 32))
    assert [body for _, body in parts(service.get(f"{path}/frames/2,1"))] == [
        bytes(range(16, 32)),
        bytes(range(16)),
    ]
    assert service.get(f"{path}/bulkdata/7FE00010", headers=OCTETS).content == bytes(range(32))
    assert service.get(f"{path}/bulkdata/00420011", headers=OCTETS).content == b"%PDF"
    assert service.get(f"{path}/rendered").status_code == 200
    native = dcmread(BytesIO(service.get(path, headers={"Accept": "application/dicom"}).content))
    assert native.file_meta.TransferSyntaxUID == ELE
    assert native.PixelData == bytes(range(32))
    service.delete(path)


def test_a_video_is_one_stream_with_ranges(service: httpx.Client) -> None:
    stream = bytes(range(256)) * 40
    image = dataset(NumberOfFrames=100, PixelData=encapsulate([stream]))
    image["PixelData"].is_undefined_length = True
    path = stored(service, part10_in(MPEG4HP41, image))
    for url, accept in [
        ("/rendered", "*/*"),
        ("/rendered", "video/*"),
        ("/frames/1", "video/mp4"),
    ]:
        response = service.get(path + url, headers={"Accept": accept})
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("video/mp4")
        assert response.content == stream
        ranged = service.get(path + url, headers={"Accept": accept, "Range": "bytes=1000-1999"})
        assert ranged.status_code == 206
        assert ranged.content == stream[1000:2000]
    assert service.get(path, headers={"Accept": "application/dicom"}).status_code == 406
    assert service.get(f"{path}/thumbnail").status_code == 404
    assert service.get(path, headers=ANY_DICOM).status_code == 200
    service.delete(path)


def test_an_answer_is_cut_when_its_instance_is_deleted(service: httpx.Client) -> None:
    image = dataset(Rows=8000, Columns=8000, PixelData=bytes(64_000_000))
    path = stored(service, part10(image))
    for url in (path, "/".join(path.split("/")[:3])):
        if url != path:
            stored(service, part10(image))
        with (
            httpx.Client(base_url=service.base_url, timeout=60) as client,
            client.stream("GET", url, headers={"Accept": 'multipart/related; transfer-syntax="*"'}) as response,
        ):
            chunks = response.iter_raw()
            next(chunks)
            assert service.delete(path).status_code == 204
            with pytest.raises(httpx.TransportError):
                list(chunks)
