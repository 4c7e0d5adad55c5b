import pytest

from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.errors import BadRequest
from shared.web.uri_request import parse_uri_request
from tests.support.default_partition import identifiers_of

QUERY = {"requestType": "WADO", "studyUID": "1.2", "seriesUID": "1.3", "objectUID": "1.4"}


def test_names_an_instance_in_any_case() -> None:
    for query in (QUERY, {name.upper(): value.lower() for name, value in QUERY.items()}):
        asked = parse_uri_request(DEFAULT_PARTITION, query.items())
        assert asked.identifiers == identifiers_of("1.2", "1.3", "1.4")
        assert asked.content_types == [""]
        assert asked.frame_number is None


@pytest.mark.parametrize(
    ("parameters", "content_types"),
    [
        ({"contentType": "image/png"}, ["image/png"]),
        ({"contentType": "image/png,image/jpeg;q=0.5"}, ["image/png,image/jpeg;q=0.5"]),
        ({"transferSyntax": "1.2.840.10008.1.2"}, ['application/dicom; transfer-syntax="1.2.840.10008.1.2"']),
        (
            {"contentType": "application/dicom", "transferSyntax": "*"},
            ['application/dicom; transfer-syntax="*"'],
        ),
    ],
)
def test_says_what_it_accepts(parameters: dict[str, str], content_types: list[str]) -> None:
    assert parse_uri_request(DEFAULT_PARTITION, {**QUERY, **parameters}.items()).content_types == content_types


def test_names_a_frame() -> None:
    assert parse_uri_request(DEFAULT_PARTITION, {**QUERY, "frameNumber": "12"}.items()).frame_number == 12


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"requestType": "QIDO"}, "requestType"),
        ({"requestType": ""}, "requestType"),
        ({"studyUID": ""}, "studyUID"),
        ({"seriesUID": "1.x"}, "seriesUID"),
        ({"objectUID": "../1"}, "objectUID"),
        ({"frameNumber": "0"}, "frameNumber"),
        ({"frameNumber": "1,2"}, "frameNumber"),
        ({"frameNumber": "9" * 5000}, "frameNumber"),
        ({"transferSyntax": "explicit"}, "transferSyntax"),
        ({"anonymize": "yes"}, "anonymize"),
        ({"presentationUID": "1.5"}, "presentationUID"),
    ],
)
def test_names_the_invalid_parameter(changes: dict[str, str], named: str) -> None:
    with pytest.raises(BadRequest, match=f"parameter {named} "):
        parse_uri_request(DEFAULT_PARTITION, {**QUERY, **changes}.items())
