import pytest

from shared.dicom.attributes import Level
from shared.dicom.identifiers import (
    DEFAULT_PARTITION,
    InstanceIdentifiers,
    ResourceIdentifiers,
    StudyKey,
    is_uid,
    uid_of_path,
)
from shared.errors import BadRequest


@pytest.mark.parametrize("text", ["1", "1.2.840.10008.1.2", "0.0", "1.02.3", "1" * 64])
def test_uids(text: str) -> None:
    assert is_uid(text)
    assert uid_of_path(text, "series") == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "1.",
        ".1",
        "1..2",
        "1.2a",
        "1/2",
        "1%2F2",
        "1%2f2",
        "1'2",
        '1"',
        "1 ",
        "1\n",
        "1\0",
        "1" * 65,
        "१.२",
    ],
)
def test_invalid_uids(text: str) -> None:
    assert not is_uid(text)
    with pytest.raises(BadRequest, match="series UID in the path"):
        uid_of_path(text, "series")


@pytest.mark.parametrize("partition", [DEFAULT_PARTITION, "hospital-1"])
@pytest.mark.parametrize(
    ("below", "level", "path"),
    [
        ((), Level.STUDY, "studies/1.2"),
        (("3.4",), Level.SERIES, "studies/1.2/series/3.4"),
        (("3.4", "5.6"), Level.INSTANCE, "studies/1.2/series/3.4/instances/5.6"),
    ],
)
def test_resources_have_a_level_and_a_path(partition: str, below: tuple[str, ...], level: Level, path: str) -> None:
    resource = ResourceIdentifiers(StudyKey(partition, "1.2"), *below)
    in_partition = path if partition == DEFAULT_PARTITION else f"partitions/{partition}/{path}"
    assert (resource.level, resource.path) == (level, in_partition)
    assert ResourceIdentifiers.of_path(in_partition) == resource


def test_only_a_resource_that_names_an_instance_is_one() -> None:
    study = StudyKey("hospital-1", "1.2")
    assert ResourceIdentifiers(study, "3.4", "5.6").instance == InstanceIdentifiers(study, "3.4", "5.6")
    assert ResourceIdentifiers(study, "3.4").instance is ResourceIdentifiers(study).instance is None
    assert InstanceIdentifiers(study, "3.4", "5.6").study_instance_uid == "1.2"
    assert ResourceIdentifiers(study, "3.4").study_instance_uid == "1.2"


def test_instances_have_a_path() -> None:
    for partition, prefix in ((DEFAULT_PARTITION, ""), ("hospital-1", "partitions/hospital-1/")):
        instance = InstanceIdentifiers(StudyKey(partition, "1.2"), "3.4", "5.6")
        assert instance.path == f"{prefix}studies/1.2/series/3.4/instances/5.6"


def test_levels_have_the_words_of_messages() -> None:
    assert [level.word for level in Level] == ["study", "series", "instance"]
