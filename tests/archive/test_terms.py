from typing import Final

import pytest

from shared.archive.terms import EVERY_STUDY, Term, has_beginnings, is_indexed, is_posted, lists_of
from shared.dicom.attributes import SEARCHABLE, Level

ONE_OF_VR: Final = {
    "CS": "Modality",
    "DA": "StudyDate",
    "IS": "SeriesNumber",
    "LO": "PatientID",
    "PN": "PatientName",
    "SH": "RequestAttributesSequence.RequestedProcedureID",
    "TM": "StudyTime",
    "UI": "SOPClassUID",
}


def test_every_vr_that_is_searchable_is_tested() -> None:
    assert ONE_OF_VR.keys() == {key.vr for key in SEARCHABLE}


@pytest.mark.parametrize(
    ("vr", "value", "beginnings"),
    [
        ("CS", "ct", ["", "c", "ct"]),
        ("LO", "abcde", ["", "a", "ab", "abc", "abcd"]),
        ("SH", "a b", ["", "a", "a ", "a b"]),
        (
            "LO",
            "0123456789abcdefgh",
            ["", "0", "01", "012", "0123", "012345", "01234567", "0123456789", "0123456789abc", "0123456789abcdef"],
        ),
        ("DA", "20260105", ["", "2", "20", "202", "2026", "202601"]),
        ("TM", "101500.000000", ["", "10"]),
        ("PN", "li^jo", ["", "j", "jo", "l", "li"]),
        ("PN", "li ana^", ["", "a", "an", "ana", "l", "li"]),
        (
            "PN",
            "smith^john",
            ["", "j", "jo", "joh", "john", "s", "sm", "smi", "smit", "smith^jo", "smith^john"],
        ),
        ("IS", "7", None),
        ("UI", "1.2.840.10008", None),
    ],
)
def test_the_lists_of_a_value(vr: str, value: str, beginnings: list[str] | None) -> None:
    expected = [f"={value}", *(f"^{beginning}" for beginning in beginnings or ())]
    assert lists_of(Term(ONE_OF_VR[vr], value)) == expected
    assert has_beginnings(ONE_OF_VR[vr]) is (beginnings is not None)


def test_every_study_stands_in_one_list() -> None:
    assert lists_of(EVERY_STUDY) == ["="]


def test_a_name_has_no_lists_of_words_past_its_64_characters() -> None:
    words = [f"{letter}123" for letter in "abcdefghijklmnopqrstuvwxyz"]
    counting, long = words[:13], "^".join(words)
    assert set(lists_of(Term("PatientName", long))) == {
        f"={long}",
        "^",
        *(f"^{word[:length]}" for word in counting for length in (1, 2, 3, 4)),
        *(f"^{long[:length]}" for length in (8, 10, 13, 16)),
    }
    assert len(lists_of(Term("PatientName", long))) == 58


def test_studies_are_looked_up_by_all_but_two_keys() -> None:
    unindexed = [key.keyword for key in SEARCHABLE if not is_indexed(key)]
    assert unindexed == ["StudyInstanceUID", "InstanceNumber"]
    assert [key.keyword for key in SEARCHABLE if not is_posted(key)] == [
        "ModalitiesInStudy",
        *unindexed[:1],
        "SOPInstanceUID",
        *unindexed[1:],
    ]


def test_what_a_study_posts_it_knows() -> None:
    of_instances = [key.keyword for key in SEARCHABLE if is_posted(key) and key.level is Level.INSTANCE]
    assert of_instances == ["SOPClassUID"]
