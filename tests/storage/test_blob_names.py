import pytest

from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, ResourceIdentifiers, StudyKey
from shared.storage.blob_names import (
    blob_prefix,
    frames_blob,
    instance_blob,
    instance_of_blob,
    is_one_of_ours,
    is_partition_folder,
    metadata_blob,
    study_of_folder,
)

BLOB_VERSION = "0123456789abcdef" * 2 + "000001"


@pytest.mark.parametrize(("partition", "folder"), [(DEFAULT_PARTITION, "1/"), ("hospital-1", "=hospital-1=/1/")])
def test_all_blobs_of_a_study_have_its_folder_as_prefix(partition: str, folder: str) -> None:
    study = StudyKey(partition, "1")
    identifiers = InstanceIdentifiers(study, "2", "3")
    names = [name(identifiers, BLOB_VERSION) for name in (instance_blob, metadata_blob, frames_blob)]
    assert names == [f"{folder}2/3_{BLOB_VERSION}.{end}" for end in ("dcm", "metadata", "frames")]
    assert {instance_of_blob(name) for name in names} == {(identifiers, BLOB_VERSION)}
    assert all(map(is_one_of_ours, names))
    below: list[tuple[str, ...]] = [(), ("2",), ("2", "3")]
    assert [blob_prefix(ResourceIdentifiers(study, *uids)) for uids in below] == [
        folder,
        f"{folder}2/",
        f"{folder}2/3_",
    ]
    assert study_of_folder(folder) == study


@pytest.mark.parametrize("name", ["1/notes.txt", f"x/1/2/3_{BLOB_VERSION}.dcm", f"=hospital-1=/2/3_{BLOB_VERSION}.dcm"])
def test_a_name_that_is_too_short_or_too_long_is_of_no_instance(name: str) -> None:
    with pytest.raises(ValueError, match="unpack"):
        instance_of_blob(name)


def test_the_folder_of_a_partition_is_not_a_study() -> None:
    assert is_partition_folder("=hospital-1=/")
    others = ("1.2/", "=hospital-1=/1.2/", "=hospital-1/", "=hospital-1=", f"={DEFAULT_PARTITION}=/")
    assert not any(map(is_partition_folder, others))
    assert study_of_folder(f"={DEFAULT_PARTITION}=/1.2/") != StudyKey(DEFAULT_PARTITION, "1.2")


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "1/notes.txt",
        f"1/2/3_{BLOB_VERSION}.txt",
        "1/2/3_1.dcm",
        f"a/2/3_{BLOB_VERSION}.dcm",
        f"x/1/2/3_{BLOB_VERSION}.dcm",
        f"==/1/2/3_{BLOB_VERSION}.dcm",
        f"={DEFAULT_PARTITION}=/1/2/3_{BLOB_VERSION}.dcm",
    ],
)
def test_other_names_are_not_ours(name: str) -> None:
    assert not is_one_of_ours(name)
