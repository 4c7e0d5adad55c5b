import pytest

from shared.dicom.identifiers import ResourceIdentifiers, is_uid, uid_of_path
from shared.errors import BadRequest


@pytest.mark.parametrize("text", ["1", "1.2.840.10008.1.2", "0.0", "1.02.3", "1" * 64])
def test_uids(text: str) -> None:
    assert is_uid(text)


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
def test_what_is_no_uid(text: str) -> None:
    assert not is_uid(text)
    with pytest.raises(BadRequest, match="series UID in the path"):
        uid_of_path(text, "series")


@pytest.mark.parametrize(
    ("resource", "level", "path"),
    [
        (ResourceIdentifiers("1.2"), "study", "studies/1.2"),
        (ResourceIdentifiers("1.2", "3.4"), "series", "studies/1.2/series/3.4"),
        (ResourceIdentifiers("1.2", "3.4", "5.6"), "instance", "studies/1.2/series/3.4/instances/5.6"),
    ],
)
def test_resources_know_their_level_and_path(resource: ResourceIdentifiers, level: str, path: str) -> None:
    assert (resource.level, resource.path) == (level, path)
    assert ResourceIdentifiers.of_path(path) == resource
