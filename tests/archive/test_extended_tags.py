import pytest

from shared.archive.extended_tags import NO_TAGS, TagStatus
from shared.dicom.attributes import Level
from tests.support.tag_sets import set_of, tag_of


def test_what_is_added_gets_the_next_numbers_and_comes_last() -> None:
    first = NO_TAGS.with_added([tag_of("00101010", "AS"), tag_of("00181314", "DS")])
    second = first.with_added([tag_of("00181316", "DS")])
    assert [(tag.number, tag.path) for tag in second.tags] == [
        (1, ("00101010",)),
        (2, ("00181314",)),
        (3, ("00181316",)),
    ]
    assert (NO_TAGS.generation, first.generation, second.generation) == (0, 1, 2)


def test_a_tag_that_is_added_again_has_another_number() -> None:
    tags = NO_TAGS.with_added([tag_of("00101010", "AS")]).with_added([tag_of("00101010", "AS")])
    assert [tag.number for tag in tags.tags] == [2]


def test_a_number_is_never_given_again() -> None:
    tags = NO_TAGS.with_added([tag_of("00101010", "AS")]).without(1, "")
    assert tags.tags == ()
    assert tags.generation == 2
    assert [tag.number for tag in tags.with_added([tag_of("00101010", "AS")]).tags] == [2]


def test_a_change_of_a_tag_is_no_other_generation() -> None:
    tags = set_of(tag_of("00101010", "AS", status=TagStatus.ADDING))
    changed = tags.with_changed(tag_of("00101010", "AS", status=TagStatus.READY))
    assert changed.generation == tags.generation
    assert [tag.status for tag in changed.tags] == [TagStatus.READY]
    assert tags.with_changed(tag_of("00101010", "AS", number=7)) == tags


def test_a_path_has_a_tag_for_each_private_creator() -> None:
    tags = set_of(
        tag_of("00991001", "LO", number=1, private_creator="A"),
        tag_of("00991001", "SH", number=2, private_creator="B"),
        tag_of("00101010", "AS", number=3),
    )
    assert [tag.number for tag in tags.at(("00991001",))] == [1, 2]
    assert [tag.number for tag in tags.at(("00991001",), "B")] == [2]
    assert tags.at(("00991001",), "C") == []
    assert [tag.number for tag in tags.at(("00101010",))] == [3]


@pytest.mark.parametrize(("path", "is_indexed"), [("00080060", False), ("00101010", True), ("00400275.00400007", True)])
def test_what_everyone_searches_by_is_not_indexed_once_more(path: str, is_indexed: bool) -> None:
    assert tag_of(path, "LO", Level.SERIES).is_indexed is is_indexed
    assert bool(set_of(tag_of(path, "LO")).indexed) is is_indexed


def test_the_name_says_vr_and_number_alone() -> None:
    assert tag_of("00991001", "LO", number=12, private_creator="A").name == "~LO12"
