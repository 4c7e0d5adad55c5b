"""Every transaction through a client that is not ours: the Python dicomweb-client."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from requests import HTTPError, Session

from local.sample_instances import sample_instances
from tests.conftest import Server

DATASETS = {name: pydicom.dcmread(BytesIO(file)) for name, file in sample_instances().items()}
RED = DATASETS["red-triangle"]
UIDS = (RED.StudyInstanceUID, RED.SeriesInstanceUID, RED.SOPInstanceUID)
ANY_DICOM = (("application/dicom", "*"),)


@pytest.fixture(params=["v1", "v2"])
def client(server: Server, request: pytest.FixtureRequest) -> Iterator[DICOMwebClient]:
    with Session() as session:
        client = DICOMwebClient(f"{server.base_url}/{request.param}", session=session)
        response = client.store_instances(list(DATASETS.values()))
        assert len(response.ReferencedSOPSequence) == 3
        yield client
        client.delete_study(RED.StudyInstanceUID)


def uids(datasets: list[Dataset]) -> set[str]:
    return {dataset.SOPInstanceUID for dataset in datasets}


def test_storing_again_reports_each_instance_as_a_duplicate(client: DICOMwebClient) -> None:
    with pytest.raises(HTTPError) as caught:
        client.store_instances(list(DATASETS.values()))
    response = caught.value.response
    assert response is not None
    assert response.status_code == 409
    failed = Dataset.from_json(response.json()).FailedSOPSequence
    assert [item.FailureReason for item in failed] == [45070] * 3
    assert uids_of_items(failed) == uids(list(DATASETS.values()))


def uids_of_items(items: list[Dataset]) -> set[str]:
    return {item.ReferencedSOPInstanceUID for item in items}


def test_search_studies(client: DICOMwebClient) -> None:
    (study,) = client.search_for_studies(search_filters={"StudyInstanceUID": UIDS[0]})
    dataset = Dataset.from_json(study)
    assert dataset.PatientName == "Anony Mous"
    assert dataset.ModalitiesInStudy == "OT"
    assert (dataset.NumberOfStudyRelatedSeries, dataset.NumberOfStudyRelatedInstances) == (2, 3)
    assert dataset.RetrieveURL.endswith(f"/studies/{UIDS[0]}")


def test_search_series_and_instances(client: DICOMwebClient) -> None:
    assert len(client.search_for_series(study_instance_uid=UIDS[0])) == 2
    assert len(client.search_for_series(search_filters={"SeriesInstanceUID": UIDS[1]})) == 1
    assert len(client.search_for_instances(study_instance_uid=UIDS[0])) == 3
    assert len(client.search_for_instances(UIDS[0], UIDS[1])) == 2
    (found,) = client.search_for_instances(search_filters={"SOPInstanceUID": UIDS[2]})
    assert Dataset.from_json(found).Rows == 256


def test_search_pages_add_up(client: DICOMwebClient) -> None:
    pages = [client.search_for_instances(UIDS[0], limit=1, offset=offset) for offset in range(4)]
    assert [len(page) for page in pages] == [1, 1, 1, 0]
    assert uids([Dataset.from_json(page[0]) for page in pages if page]) == uids(list(DATASETS.values()))
    assert client.search_for_instances(UIDS[0], get_remaining=True, limit=2)


def test_search_includes_fields(client: DICOMwebClient) -> None:
    (plain,) = client.search_for_instances(*UIDS[:2], search_filters={"SOPInstanceUID": UIDS[2]})
    (wider,) = client.search_for_instances(
        *UIDS[:2], fields=["ImageComments", "00080064"], search_filters={"SOPInstanceUID": UIDS[2]}
    )
    assert "00204000" not in plain
    assert wider["00204000"]["Value"] == ["red-triangle"]
    assert wider["00080064"]["Value"] == ["SYN"]


def test_retrieve_instances(client: DICOMwebClient) -> None:
    assert uids(client.retrieve_study(UIDS[0], media_types=ANY_DICOM)) == uids(list(DATASETS.values()))
    assert len(client.retrieve_series(*UIDS[:2], media_types=ANY_DICOM)) == 2
    retrieved = client.retrieve_instance(*UIDS, media_types=ANY_DICOM)
    assert retrieved == RED
    assert client.retrieve_instance(*UIDS) == RED  # Explicit VR Little Endian, the default


def test_retrieve_metadata(client: DICOMwebClient) -> None:
    assert len(client.retrieve_study_metadata(UIDS[0])) == 3
    assert len(client.retrieve_series_metadata(*UIDS[:2])) == 2
    metadata = client.retrieve_instance_metadata(*UIDS)
    dataset = Dataset.from_json(metadata, lambda *_: RED.PixelData)
    del dataset["AvailableTransferSyntaxUID"]
    assert dataset == RED


def test_retrieve_frames(client: DICOMwebClient) -> None:
    assert client.retrieve_instance_frames(*UIDS, frame_numbers=[1]) == [RED.PixelData]
    octets = (("application/octet-stream", "*"),)
    assert client.retrieve_instance_frames(*UIDS, frame_numbers=[1], media_types=octets) == [RED.PixelData]


def test_retrieve_in_another_transfer_syntax(client: DICOMwebClient) -> None:
    rle = "1.2.840.10008.1.2.5"
    retrieved = client.retrieve_instance(*UIDS, media_types=(("application/dicom", rle),))
    assert retrieved.file_meta.TransferSyntaxUID == rle
    assert (retrieved.pixel_array == RED.pixel_array).all()
    (frame,) = client.retrieve_instance_frames(*UIDS, frame_numbers=[1], media_types=(("image/dicom-rle", rle),))
    (expected,) = generate_frames(retrieved.PixelData, number_of_frames=1)
    assert frame == expected


def test_retrieve_all_of_a_study_in_the_default_transfer_syntax(client: DICOMwebClient) -> None:
    assert uids(client.retrieve_study(UIDS[0])) == uids(list(DATASETS.values()))
    assert uids(list(client.iter_study(UIDS[0]))) == uids(list(DATASETS.values()))
    assert len(client.retrieve_series(*UIDS[:2])) == len(list(client.iter_series(*UIDS[:2]))) == 2


def test_retrieve_rendered(client: DICOMwebClient) -> None:
    pictures = [
        client.retrieve_instance_rendered(*UIDS),
        client.retrieve_instance_frames_rendered(*UIDS, frame_numbers=[1]),
        client.retrieve_series_rendered(*UIDS[:2]),
    ]
    for picture in pictures:
        shown = Image.open(BytesIO(picture))
        assert shown.format == "JPEG"
        assert shown.size == (256, 256)
    png = client.retrieve_instance_rendered(*UIDS, media_types=("image/png",), params={"viewport": "64,32"})
    assert Image.open(BytesIO(png)).size == (32, 32)
    assert (
        np.asarray(Image.open(BytesIO(client.retrieve_instance_rendered(*UIDS, media_types=("image/png",)))))
        == RED.pixel_array
    ).all()


def test_iterate_over_frames_and_bulkdata(client: DICOMwebClient) -> None:
    assert list(client.iter_instance_frames(*UIDS, frame_numbers=[1])) == [RED.PixelData]
    uri = client.retrieve_instance_metadata(*UIDS)["7FE00010"]["BulkDataURI"]
    assert list(client.iter_bulkdata(uri)) == [RED.PixelData]


def test_retrieve_bulkdata(client: DICOMwebClient) -> None:
    uri = client.retrieve_instance_metadata(*UIDS)["7FE00010"]["BulkDataURI"]
    assert client.retrieve_bulkdata(uri) == [RED.PixelData]


def test_delete(client: DICOMwebClient) -> None:
    client.delete_instance(*UIDS)
    assert len(client.search_for_instances(UIDS[0])) == 2
    client.delete_series(*UIDS[:2])
    assert len(client.search_for_instances(UIDS[0])) == 1
    client.delete_study(UIDS[0])
    assert client.search_for_studies(search_filters={"StudyInstanceUID": UIDS[0]}) == []
    with pytest.raises(HTTPError, match="404"):
        client.delete_study(UIDS[0])
    client.store_instances(list(DATASETS.values()))
