"""Which attributes can be extended query tags, and what is said of those that cannot."""

import pytest

from shared.archive.extended_tags import TAG_VRS, ExtendedTag, TagStatus
from shared.dicom.attributes import SEARCHABLE, VALIDATED, Level
from shared.errors import BadRequest
from shared.search.new_tags import new_tag, path_of_tag

DEEPEST = ".".join(["00081140"] * 64 + ["00081155"])


@pytest.mark.parametrize(
    ("name", "vr", "creator", "path", "known"),
    [
        ("00101010", "", "", ("00101010",), "AS"),
        ("PatientAge", "AS", "", ("00101010",), "AS"),
        ("001021a0", "", "", ("001021A0",), "CS"),
        ("PatientWeight", "", "", ("00101030",), "DS"),
        ("FrameIncrementPointer", "", "", ("00280009",), "AT"),
        ("SmallestImagePixelValue", "", "", ("00280106",), "US"),
        ("SmallestImagePixelValue", "SS", "", ("00280106",), "SS"),
        ("60000010", "", "", ("60000010",), "US"),
        ("60120010", "US", "", ("60120010",), "US"),
        ("0040a730.0040a168.00080100", "", "", ("0040A730", "0040A168", "00080100"), "SH"),
        ("RequestAttributesSequence.00321064.CodeValue", "", "", ("00400275", "00321064", "00080100"), "SH"),
        ("StudyTime", "", "", ("00080030",), "TM"),
        ("00091001", "LO", "ACME", ("00091001",), "LO"),
        ("0009ab01", "UV", "X" * 64, ("0009AB01",), "UV"),
        ("00090010", "", "", ("00090010",), "LO"),
        ("000910ff.00081155", "", "ACME", ("000910FF", "00081155"), "UI"),
        ("00081140.00091001", "SS", "ACME", ("00081140", "00091001"), "SS"),
        ("00081140.00090010", "LO", "", ("00081140", "00090010"), "LO"),
        (DEEPEST, "", "", (*["00081140"] * 64, "00081155"), "UI"),
    ],
)
def test_what_can_be_a_tag(name: str, vr: str, creator: str, path: tuple[str, ...], known: str) -> None:
    expected = ExtendedTag(0, path, known, creator, Level.SERIES, TagStatus.ADDING)
    assert new_tag(name, vr, creator, Level.SERIES) == expected
    assert path_of_tag(name) == path


def test_what_every_search_matches_at_microsofts_is_supported_already() -> None:
    assert len(VALIDATED) == 14
    for attribute in VALIDATED:
        for name in (attribute.keyword, attribute.tag):
            with pytest.raises(BadRequest, match=f"{name} is already supported"):
                new_tag(name, "", "", attribute.level)
    others = {key.path for key in SEARCHABLE} - {(attribute.tag,) for attribute in VALIDATED}
    assert len(others) == len(SEARCHABLE) - 14 > 0
    for path in others:
        assert not new_tag(".".join(path), "", "", Level.INSTANCE).is_indexed


@pytest.mark.parametrize("vr", sorted(TAG_VRS))
def test_each_vr_can_be_a_private_tag(vr: str) -> None:
    assert new_tag("00111001", vr, "ACME", Level.INSTANCE).vr == vr


@pytest.mark.parametrize(
    ("name", "vr", "creator", "said"),
    [
        ("00101010.", "", "", "The path 00101010. is not valid.* joined by dots\\.$"),
        ("patientage", "", "", "The path patientage is not valid.* Did you mean PatientAge?"),
        ("0010101", "", "", "The path 0010101 is not valid: it must be keywords, or tags of 8 hexadecimal digits"),
        ("(0010,1010)", "", "", "is not valid"),
        ("00101010.", "", "", "is not valid"),
        ("a\x07", "", "", "The path that is given is not valid"),
        ("x" * 101, "", "", "The path that is given is not valid"),
        (f"00081140.{DEEPEST}", "", "", "is not valid"),
        ("00081111.00101010.00081155", "", "", "only the last part of its path may be other than a sequence"),
        ("00090010.00081155", "", "", "only the last part"),
        ("12345678", "", "", "the data dictionary has no such attribute"),
        ("FFFEE000", "", "", "the data dictionary has no such attribute"),
        ("00080000", "", "", "the data dictionary has no such attribute"),
        ("TransferSyntaxUID", "", "", "no attribute of an instance's data set has it"),
        ("00041220", "", "", "no attribute of an instance's data set has it"),
        ("00071001", "LO", "ACME", "no attribute of an instance's data set has it"),
        ("0009000F", "LO", "ACME", "no attribute of an instance's data set has it"),
        ("00090FFF", "LO", "ACME", "no attribute of an instance's data set has it"),
        ("00101010", "LO", "", "The vr of 00101010 must be AS"),
        ("SmallestImagePixelValue", "UL", "", "must be US or SS"),
        ("00090010", "SH", "", "must be LO"),
        (
            "RequestAttributesSequence",
            "",
            "",
            "The VR of RequestAttributesSequence is not supported: it must be one of AE",
        ),
        ("PixelData", "", "", "is not supported"),
        ("PatientComments", "", "", "is not supported"),
        ("00091001", "UN", "ACME", "is not supported"),
        ("00091001", "XX", "ACME", "is not supported"),
        ("00091001", "SQ", "ACME", "is not supported"),
        ("00091001", "", "ACME", "is private: it needs a vr"),
        ("00091001", "LO", "", "is private: it needs a privateCreator"),
        ("000910ff.00081155", "", "", "is private: it needs a privateCreator"),
        ("00101010", "", "ACME", "must have no privateCreator"),
        ("00090010", "", "ACME", "must have no privateCreator"),
        ("00091001", "LO", "X" * 65, "privateCreator of 00091001 must be at most 64 characters"),
        ("00091001", "LO", "A\\B", "must hold no backslash"),
        ("00091001", "LO", "A\tB", "must hold no control character"),
    ],
)
def test_what_cannot_be_a_tag(name: str, vr: str, creator: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        new_tag(name, vr, creator, Level.STUDY)
