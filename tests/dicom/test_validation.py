from typing import Any

import pytest

from shared.dicom.attributes import TAG
from shared.dicom.validation import Rules, validate

VALID: dict[str, Any] = {
    TAG["SOPClassUID"]: {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
    TAG["SOPInstanceUID"]: {"vr": "UI", "Value": ["1.2.3"]},
    TAG["StudyDate"]: {"vr": "DA", "Value": ["20200131"]},
    TAG["PatientName"]: {"vr": "PN", "Value": [{"Alphabetic": "Doe^John", "Ideographic": "山田"}]},
    TAG["PatientID"]: {"vr": "LO", "Value": ["ID1"]},
    TAG["StudyInstanceUID"]: {"vr": "UI", "Value": ["1.2"]},
    TAG["SeriesInstanceUID"]: {"vr": "UI", "Value": ["1.2"]},
}


def changed(keyword: str, attribute: dict[str, Any] | None) -> dict[str, Any]:
    metadata = {**VALID, TAG[keyword]: attribute}
    return {tag: attribute for tag, attribute in metadata.items() if attribute is not None}


@pytest.mark.parametrize("is_strict", [True, False])
def test_a_valid_instance_has_no_findings(is_strict: bool) -> None:
    findings = validate(VALID, Rules(is_strict=is_strict))
    assert findings.errors == findings.warnings == ()


@pytest.mark.parametrize("is_strict", [True, False])
@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize(
    "attribute",
    [
        None,
        {"vr": "UI"},
        {"vr": "UI", "Value": ["1.2."]},
        {"vr": "UI", "Value": ["1" * 65]},
        {"vr": "UI", "Value": ["a"]},
        {"vr": "UI", "Value": ["1.2", "1.3"]},
    ],
)
def test_uids_are_required(is_strict: bool, keyword: str, attribute: dict[str, Any] | None) -> None:
    findings = validate(changed(keyword, attribute), Rules(is_strict=is_strict))
    assert [finding.tag for finding in findings.errors] == [TAG[keyword]]
    tag = TAG[keyword].lower()
    assert findings.errors[0].comment.startswith(f"DICOM100: ({tag[:4]},{tag[4:]}) - {keyword} ")
    assert findings.warnings == ()


@pytest.mark.parametrize(
    ("is_strict", "attribute", "is_error"),
    [
        (True, None, True),
        (False, None, True),
        (True, {"vr": "LO"}, True),
        (False, {"vr": "LO"}, False),
        (True, {"vr": "LO", "Value": ["x" * 65]}, True),
        (False, {"vr": "LO", "Value": ["x" * 65]}, True),
    ],
)
def test_patient_id_may_be_empty_if_lenient_but_must_be_there(
    is_strict: bool, attribute: dict[str, Any] | None, is_error: bool
) -> None:
    findings = validate(changed("PatientID", attribute), Rules(is_strict=is_strict))
    assert [finding.tag for finding in findings.errors] == ([TAG["PatientID"]] if is_error else [])
    assert findings.warnings == ()


@pytest.mark.parametrize(
    ("keyword", "attribute"),
    [
        ("StudyDate", {"vr": "DA", "Value": ["2020-01-31"]}),
        ("StudyDate", {"vr": "DA", "Value": ["20200230"]}),
        ("StudyDate", {"vr": "UN", "BulkDataURI": "bulkdata/00080020"}),
        ("AccessionNumber", {"vr": "SH", "Value": ["x" * 17]}),
        ("StudyDescription", {"vr": "LO", "Value": ["a\x07b"]}),
        ("PatientName", {"vr": "PN", "Value": [{"Alphabetic": "a^b^c^d^e^f"}]}),
        ("PatientName", {"vr": "PN", "Value": [{"Phonetic": "x" * 65}]}),
        ("Modality", {"vr": "CS", "Value": ["ct"]}),
    ],
)
def test_other_searchable_attributes_fail_or_warn(keyword: str, attribute: dict[str, Any]) -> None:
    strict, lenient = (validate(changed(keyword, attribute), Rules(is_strict=is_strict)) for is_strict in (True, False))
    assert [finding.tag for finding in strict.errors] == [TAG[keyword]] == [f.tag for f in lenient.warnings]
    assert strict.warnings == lenient.errors == ()


def test_values_are_not_repeated() -> None:
    findings = validate(changed("StudyDescription", {"vr": "LO", "Value": ["Secret" * 20]}), Rules(is_strict=False))
    assert "Secret" not in findings.warnings[0].comment
