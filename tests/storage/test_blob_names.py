from shared.dicom.identifiers import InstanceIdentifiers
from shared.storage.blob_names import frames_blob, instance_blob, instance_of_blob, metadata_blob


def test_all_blobs_of_a_study_have_its_uid_and_a_slash_as_prefix() -> None:
    identifiers = InstanceIdentifiers("1", "2", "3")
    names = [name(identifiers, "abc") for name in (instance_blob, metadata_blob, frames_blob)]
    assert names == ["1/2/3_abc.dcm", "1/2/3_abc.metadata", "1/2/3_abc.frames"]
    assert {instance_of_blob(name) for name in names} == {(identifiers, "abc")}
