import json
from dataclasses import replace
from http import HTTPStatus

import pytest

from shared.dicom.validation import Finding
from shared.web.failure_reasons import Duplicate, FailureReason
from shared.web.store_response import Failed, Outcome, Stored, status_of, store_response
from tests.support.default_partition import identifiers_of

STORED = Stored(identifiers_of("1", "2", "3"), "1.2.840.1")
ELSEWHERE = Stored(identifiers_of("9", "2", "3"), "1.2.840.1")
WARNED = Stored(identifiers_of("1", "2", "4"), "1.2.840.1", (Finding("00080020", "DICOM100: (0008,0020) - bad."),))
FAILED = Failed(FailureReason.INSTANCE_EXISTS, ("There already.",), "1.2.840.1", "5")
NOT_DICOM = Failed(FailureReason.PROCESSING_FAILURE, ("Not DICOM.",))


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([], HTTPStatus.NO_CONTENT),
        ([STORED], HTTPStatus.OK),
        ([STORED, ELSEWHERE], HTTPStatus.OK),
        ([STORED, WARNED], HTTPStatus.ACCEPTED),
        ([STORED, FAILED], HTTPStatus.ACCEPTED),
        ([FAILED], HTTPStatus.CONFLICT),
        ([FAILED, NOT_DICOM], HTTPStatus.CONFLICT),
    ],
)
def test_status(outcomes: list[Outcome], status: HTTPStatus) -> None:
    assert status_of(outcomes) is status


def test_reason_codes_are_microsofts() -> None:
    assert {reason.name: reason.value for reason in FailureReason} == {
        "PROCESSING_FAILURE": 272,
        "VALIDATION_FAILED": 43264,
        "STUDY_MISMATCH": 43265,
        "INSTANCE_EXISTS": 45070,
    }


def test_response_of_a_mixed_store() -> None:
    assert json.loads(store_response([STORED, FAILED, WARNED, NOT_DICOM], "http://host/v2")) == {
        "00081190": {"vr": "UR", "Value": ["http://host/v2/studies/1"]},
        "00081198": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": ["1.2.840.1"]},
                    "00081155": {"vr": "UI", "Value": ["5"]},
                    "00081197": {"vr": "US", "Value": [45070]},
                    "00741048": {"vr": "SQ", "Value": [{"00000902": {"vr": "LO", "Value": ["There already."]}}]},
                },
                {
                    "00081197": {"vr": "US", "Value": [272]},
                    "00741048": {"vr": "SQ", "Value": [{"00000902": {"vr": "LO", "Value": ["Not DICOM."]}}]},
                },
            ],
        },
        "00081199": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": ["1.2.840.1"]},
                    "00081155": {"vr": "UI", "Value": ["3"]},
                    "00081190": {"vr": "UR", "Value": ["http://host/v2/studies/1/series/2/instances/3"]},
                    "00741048": {"vr": "SQ"},
                },
                {
                    "00081150": {"vr": "UI", "Value": ["1.2.840.1"]},
                    "00081155": {"vr": "UI", "Value": ["4"]},
                    "00081190": {"vr": "UR", "Value": ["http://host/v2/studies/1/series/2/instances/4"]},
                    "00081196": {"vr": "US", "Value": [1]},
                    "00741048": {
                        "vr": "SQ",
                        "Value": [{"00000902": {"vr": "LO", "Value": ["DICOM100: (0008,0020) - bad."]}}],
                    },
                },
            ],
        },
    }


@pytest.mark.parametrize(("duplicate", "error_id"), [(Duplicate.IDENTICAL, 1), (Duplicate.DIFFERENT, 2)])
def test_a_duplicate_is_also_marked_for_machines(duplicate: Duplicate, error_id: int) -> None:
    failed = replace(FAILED, duplicate=duplicate)
    (item,) = json.loads(store_response([failed], "http://host/v2"))["00081198"]["Value"]
    assert item["00741048"]["Value"] == [
        {"00000902": {"vr": "LO", "Value": ["There already."]}, "00000903": {"vr": "US", "Value": [error_id]}}
    ]


def test_a_store_into_several_studies_names_no_study() -> None:
    assert "00081190" not in json.loads(store_response([STORED, ELSEWHERE], "http://host/v2"))
