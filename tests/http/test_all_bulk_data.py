"""All bulk values, and all Pixel Data, of a study, series or instance: what its metadata names, and its frames."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG4HP41,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
    VideoEndoscopicImageStorage,
)

from tests.support.messages import parts
from tests.support.served_instances import dataset, new_uid, part10, part10_in, stored

OCTETS = 'multipart/related; type="application/octet-stream"'
ELE = "1.2.840.10008.1.2.1"
SIDE = 8
FRAMES = [bytes([value]) * SIDE * SIDE for value in (1, 2, 3)]


def item(value: bytes) -> Dataset:
    made = Dataset()
    made.add_new(0x00091010, "OB", value)
    made.add_new(0x00090010, "LO", "TEST")
    return made


def private(image: Dataset, count: int) -> Dataset:
    """The data set with bulk values of its own, and in items of items."""
    image.add_new(0x00090010, "LO", "TEST")
    image.add_new(0x00091001, "OB", b"alone!")
    image.add_new(0x00091002, "UN", b"unknown ")
    outer = [item(f"item {number:05}".encode()) for number in range(count)]
    for number, one in enumerate(outer):
        one.ReferencedImageSequence = [item(f"in {number:05}".encode())]
    image.ReferencedStudySequence = outer
    return image


def compressed(uids: dict[str, str]) -> Dataset:
    """An image of several frames in RLE."""
    image = dataset(**uids, Rows=SIDE, Columns=SIDE, NumberOfFrames=len(FRAMES), PixelData=b"".join(FRAMES))
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return image


KINDS: dict[str, Any] = {
    "native": lambda uids: part10(private(dataset(**uids, Rows=SIDE, Columns=SIDE, PixelData=FRAMES[0]), 0)),
    "nested": lambda uids: part10(private(dataset(**uids, Rows=SIDE, Columns=SIDE, PixelData=FRAMES[1]), 6)),
    "pdf": lambda uids: part10(
        dataset(**uids, SOPClassUID=EncapsulatedPDFStorage, PixelData=None, EncapsulatedDocument=b"%PDF-1.4")
    ),
    "report": lambda uids: part10(dataset(**uids, PixelData=None)),
    "rle": lambda uids: part10_in(RLELossless, compressed(uids)),
    "video": lambda uids: part10_in(
        MPEG4HP41, dataset(**uids, SOPClassUID=VideoEndoscopicImageStorage, PixelData=encapsulate([b"video!"]))
    ),
    "damaged": lambda uids: part10_in(JPEGBaseline8Bit, dataset(**uids, PixelData=encapsulate([b"damaged!"]))),
}


class Study:
    """A study of one instance of each of the kinds, the last in a series of its own."""

    def __init__(self, service: httpx.Client, *kinds: str) -> None:
        uids = {"StudyInstanceUID": new_uid()}
        series, beginning = [new_uid(), new_uid()], new_uid()
        series.sort()
        self.instances: list[str] = []
        for number, kind in enumerate(kinds):
            uids["SeriesInstanceUID"] = series[number == len(kinds) - 1]
            uids["SOPInstanceUID"] = f"{beginning}.{number + 1}"
            self.instances.append(stored(service, KINDS[kind](uids)))
        self.path = f"/studies/{uids['StudyInstanceUID']}"
        self.series = f"{self.path}/series/{series[0]}"

    def resources(self) -> Iterator[tuple[str, list[str]]]:
        """The paths of the study, its first series, and each instance, with those of their instances."""
        yield self.path, self.instances
        yield self.series, self.instances[:-1]
        yield from ((path, [path]) for path in self.instances)


def uris(data_set: Any) -> list[str]:
    """The BulkDataURIs of metadata, in its order."""
    if isinstance(data_set, list):
        return [uri for one in data_set for uri in uris(one)]
    if not isinstance(data_set, dict):
        return []
    own = [data_set["BulkDataURI"]] if "BulkDataURI" in data_set else []
    return own + [uri for value in data_set.values() for uri in uris(value)]


def test_all_bulk_values_are_those_that_the_metadata_names(service: httpx.Client) -> None:
    study = Study(service, "native", "nested", "report", "rle", "pdf")
    bodies: dict[tuple[str, str], list[bytes]] = {}
    for path, instances in study.resources():
        named = [uri for one in instances for uri in uris(service.get(f"{one}/metadata").json())]
        for accept in (OCTETS, "*/*"):
            response = service.get(f"{path}/bulkdata", headers={"Accept": accept})
            if not named:
                assert response.status_code == 404
                continue
            assert response.status_code == 200, response.text
            alone = OCTETS if accept == OCTETS else f"{OCTETS}; transfer-syntax=*"
            for uri in named:
                if (uri, accept) not in bodies:
                    one = service.get(uri, headers={"Accept": alone})
                    bodies[uri, accept] = [body for _, body in parts(one)]
            expected = [(uri, body) for uri in named for body in bodies[uri, accept]]
            sent = [(headers["content-location"], body) for headers, body in parts(response)]
            assert sent == expected
            assert {headers["content-type"].partition(";")[0] for headers, _ in parts(response)} == {
                "application/octet-stream"
            }
            head = service.head(f"{path}/bulkdata", headers={"Accept": accept})
            assert (head.status_code, head.content) == (200, b"")
    assert len(uris(service.get(f"{study.instances[1]}/metadata").json())) == 15
    service.delete(study.path)


def test_all_pixel_data_are_the_frames_in_order(service: httpx.Client) -> None:
    study = Study(service, "native", "report", "rle", "pdf", "nested")
    frames = {study.instances[0]: FRAMES[:1], study.instances[2]: FRAMES, study.instances[4]: FRAMES[1:2]}
    for path, instances in study.resources():
        expected = [(f"{one}/frames/{n}", frame) for one in instances for n, frame in enumerate(frames.get(one, ()), 1)]
        response = service.get(f"{path}/pixeldata", headers={"Accept": OCTETS})
        assert response.status_code == (200 if expected else 404), response.text
        if expected:
            sent = parts(response)
            assert [(headers["content-location"].partition("/v2")[2], body) for headers, body in sent] == expected
            assert {headers["content-type"] for headers, _ in sent} == {
                f"application/octet-stream; transfer-syntax={ELE}"
            }
    rle = f"{study.instances[2]}/pixeldata"
    as_stored = parts(service.get(rle))
    assert {headers["content-type"] for headers, _ in as_stored} == {f"image/dicom-rle; transfer-syntax={RLELossless}"}
    assert as_stored == parts(service.get(f"{study.instances[2]}/frames/1,2,3"))
    encoded = service.get(f"{study.path}/pixeldata", headers={"Accept": 'multipart/related; type="image/dicom-rle"'})
    assert (encoded.status_code, len(parts(encoded))) == (200, 5)
    mixed = parts(service.get(f"{study.path}/pixeldata"))
    assert [headers["content-type"].partition("syntax=")[2] for headers, _ in mixed] == [ELE, *[RLELossless] * 3, ELE]
    for accept in ("application/octet-stream", 'multipart/related; type="text/plain"'):
        assert service.get(f"{study.path}/pixeldata", headers={"Accept": accept}).status_code == 406
    service.delete(study.path)


@pytest.mark.parametrize("resource", ["bulkdata", "pixeldata"])
def test_what_cannot_be_decoded_is_left_out_and_told(service: httpx.Client, resource: str) -> None:
    study = Study(service, "video", "damaged", "native")
    response = service.get(f"{study.path}/{resource}", headers={"Accept": OCTETS})
    assert response.status_code == 206
    assert "1 of 3" in response.headers["Warning"]
    sent = parts(response)
    # A frame that turns out to be damaged comes as it is stored.
    damaged = [body for headers, body in sent if JPEGBaseline8Bit in headers["content-type"]]
    assert damaged == [b"damaged!"]
    assert FRAMES[0] in [body for _, body in sent]
    assert study.instances[0] not in str(sent)
    whole = service.get(f"{study.path}/{resource}")
    assert (whole.status_code, whole.headers.get("Warning")) == (200, None)
    assert b"video!" in [body for _, body in parts(whole)]
    service.delete(study.path)


def test_big_endian_values_are_little_endian(service: httpx.Client) -> None:
    image = dataset(Rows=2, Columns=2, BitsAllocated=16, BitsStored=16, HighBit=15, PixelData=bytes(range(8)))
    image["PixelData"].VR = "OW"
    path = stored(service, part10_in(ExplicitVRBigEndian, image))
    swapped = bytes((1, 0, 3, 2, 5, 4, 7, 6))
    for resource in ("bulkdata", "pixeldata"):
        ((_, body),) = parts(service.get(f"{path}/{resource}", headers={"Accept": OCTETS}))
        assert body == swapped


def test_an_instance_of_which_nothing_can_be_decoded_is_refused(service: httpx.Client) -> None:
    (path,) = Study(service, "video").instances
    for resource in ("bulkdata", "pixeldata"):
        response = service.get(f"{path}/{resource}", headers={"Accept": OCTETS})
        assert (response.status_code, MPEG4HP41 in response.json()["detail"]) == (406, True)


@pytest.mark.parametrize("resource", ["bulkdata", "pixeldata"])
def test_a_resource_that_does_not_exist(service: httpx.Client, resource: str) -> None:
    for path in ("/studies/1.2.3", "/studies/1.2.3/series/1.2.3", "/studies/1.2.3/series/1.2.3/instances/1.2.3"):
        response = service.get(f"{path}/{resource}")
        assert (response.status_code, "no such" in response.json()["detail"]) == (404, True)
    assert service.get(f"/studies/x/{resource}").status_code == 400


def test_a_foreign_client_reads_them(service: httpx.Client) -> None:
    study = Study(service, "native", "rle", "pdf")
    client = DICOMwebClient(str(service.base_url).rstrip("/"))
    base = str(service.base_url).rstrip("/") + study.path
    octets = (("application/octet-stream", ELE),)
    assert client.retrieve_bulkdata(f"{base}/pixeldata", media_types=octets) == [FRAMES[0], *FRAMES]
    values = client.retrieve_bulkdata(f"{base}/bulkdata", media_types=octets)
    assert values == [b"alone!", b"unknown ", FRAMES[0], *FRAMES, b"%PDF-1.4"]
    service.delete(study.path)
