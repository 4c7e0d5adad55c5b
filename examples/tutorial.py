"""`python -m examples.tutorial [FILE…]`: stores, retrieves, searches and deletes a study with dicomweb-client.

The files are of one study; by default they are the three of local/sample_instances.py. The service is at
DICOMWEB_URL, by default that of `make run`; DICOMWEB_TOKEN is a bearer token, if it requires one.
"""

import os
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from dicomweb_client import DICOMwebClient
from pydicom import Dataset, dcmread
from requests import Session

from local.sample_instances import sample_instances


def main() -> None:
    """Walk through the tutorial; ends with a message if the study is already there."""
    files = [Path(name).read_bytes() for name in sys.argv[1:]] or list(sample_instances().values())
    *others, last = (dcmread(BytesIO(file)) for file in files)
    study, series, instance = last.StudyInstanceUID, last.SeriesInstanceUID, last.SOPInstanceUID
    if any(other.StudyInstanceUID != study for other in others):
        sys.exit("The files are of several studies: name files of one.")

    session = Session()
    if token := os.environ.get("DICOMWEB_TOKEN"):
        session.headers["Authorization"] = f"Bearer {token}"
    client = DICOMwebClient(os.environ.get("DICOMWEB_URL", "http://localhost:7071/v2"), session=session)

    # The tutorial deletes the study at its end, so it must not be one that somebody needs.
    if client.search_for_studies(search_filters={"StudyInstanceUID": study}):
        sys.exit(f"The study {study} is already there: delete it, or name files of another.")

    # Store: any instances, or only those of a study
    stored = client.store_instances([last])
    print("Stored:", stored.ReferencedSOPSequence[0].RetrieveURL)
    if others:
        stored = client.store_instances(others, study_instance_uid=study)
        print("Stored into the study:", len(stored.ReferencedSOPSequence))

    # Retrieve: files as they are stored, which dicomweb-client returns as data sets
    as_stored = (("application/dicom", "*"),)
    print("Instances of the study:", len(client.retrieve_study(study, media_types=as_stored)))
    print("Instances of the series:", len(client.retrieve_series(study, series, media_types=as_stored)))
    data_set = client.retrieve_instance(study, series, instance, media_types=as_stored)
    print("The instance is the file that was stored:", data_set == last)

    # Retrieve: everything but the pixels
    print("Metadata of the study:", len(client.retrieve_study_metadata(study)))
    print("Metadata of the series:", len(client.retrieve_series_metadata(study, series)))
    metadata = Dataset.from_json(client.retrieve_instance_metadata(study, series, instance), lambda *_: b"")
    print(f"Size: {metadata.Columns} x {metadata.Rows}")

    # Retrieve: frames, counted from 1, and a picture of the instance
    (frame,) = client.retrieve_instance_frames(study, series, instance, frame_numbers=[1])
    print("Bytes of the frame:", len(frame))
    png = client.retrieve_instance_rendered(study, series, instance, media_types=("image/png",))
    picture = Path(tempfile.mkdtemp(), "picture.png")
    picture.write_bytes(png)
    print("Picture:", picture)

    # Search: all keys must match. Request attributes that an answer does not have by default as fields.
    (found,) = client.search_for_studies(
        search_filters={"StudyInstanceUID": study, "PatientID": last.PatientID, "ModalitiesInStudy": last.Modality},
        fields=["StudyDescription", "NumberOfStudyRelatedInstances"],
    )
    print("Instances by the search:", Dataset.from_json(found).NumberOfStudyRelatedInstances)
    # Names are matched by their words, dates also by ranges.
    keys = {"PatientName": "anony*", "StudyDate": "20200101-20201231"}
    of_2020 = client.search_for_studies(search_filters=keys, limit=10)
    print("Studies of 2020 of a patient with such a name:", len(of_2020))
    print("Series found:", len(client.search_for_series(search_filters={"SeriesInstanceUID": series})))
    print("Series of the study:", len(client.search_for_series(study)))
    print("Instances found:", len(client.search_for_instances(search_filters={"SOPInstanceUID": instance})))
    print("Instances of the study:", len(client.search_for_instances(study)))
    print("Instances of the series:", len(client.search_for_instances(study, series)))

    # Delete: an instance, what is left of its series, what is left of the study
    client.delete_instance(study, series, instance)
    print("Left of the study:", len(client.search_for_instances(study)))
    if client.search_for_instances(study, series):
        client.delete_series(study, series)
    if client.search_for_series(study):
        client.delete_study(study)
    print("Left of the study:", len(client.search_for_instances(study)))


if __name__ == "__main__":
    main()
