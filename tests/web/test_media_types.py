import pytest

from shared.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from shared.errors import BadRequest
from shared.web.media_types import MediaType, boundary_of, format_media_type, parse_media_type

JPEG_LS = "1.2.840.10008.1.2.4.80"


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        pytest.param("application/dicom", "application/dicom", {}, id="bare"),
        pytest.param(
            'multipart/related; boundary="3f2504e0-4f89-41d3-9a0c-0305e82c3301"; type="application/dicom"',
            "multipart/related",
            {"boundary": "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "type": "application/dicom"},
            id="dotnet_store",
        ),
        pytest.param(
            'multipart/related; type="application/dicom"; boundary="0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"',
            "multipart/related",
            {"type": "application/dicom", "boundary": "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"},
            id="python_dicomweb_client_store",
        ),
        pytest.param(
            "multipart/related; type=application/dicom; boundary=abc",
            "multipart/related",
            {"type": "application/dicom", "boundary": "abc"},
            id="dcmjs_and_curl_unquoted_type",
        ),
        pytest.param("multipart/related; boundary=abc", "multipart/related", {"boundary": "abc"}, id="script_no_type"),
        pytest.param(
            "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80",
            "application/dicom",
            {"transfer-syntax": JPEG_LS},
            id="dcm4che_part",
        ),
        pytest.param(
            'application/dicom+json; charset="utf-8"', "application/dicom+json", {"charset": "utf-8"}, id="charset"
        ),
        pytest.param(
            'multipart/related; boundary="a;b=c d"',
            "multipart/related",
            {"boundary": "a;b=c d"},
            id="separators_quoted",
        ),
        pytest.param(
            r'multipart/related; boundary="a\"b\\c\d;"', "multipart/related", {"boundary": 'a"b\\cd;'}, id="escapes"
        ),
        pytest.param(
            "Multipart/RELATED;BOUNDARY=AbC;Type=Application/DICOM",
            "multipart/related",
            {"boundary": "AbC", "type": "Application/DICOM"},
            id="case_of_values_kept",
        ),
        pytest.param(
            ' multipart/related \t;\t boundary = abc ; type = "application/dicom" ; ',
            "multipart/related",
            {"boundary": "abc", "type": "application/dicom"},
            id="spaces_and_trailing_semicolon",
        ),
        pytest.param("a/b;;;x=1;", "a/b", {"x": "1"}, id="empty_parameters"),
        pytest.param("a/b; flag; x=1", "a/b", {"x": "1"}, id="no_equals_sign"),
        pytest.param("a/b; x=1; X=2", "a/b", {"x": "1"}, id="first_of_two"),
        pytest.param("a/b; x=1=2", "a/b", {"x": "1=2"}, id="equals_sign_in_value"),
        pytest.param('a/b; x=; y=""', "a/b", {"x": "", "y": ""}, id="empty_values"),
        pytest.param("a/b; q=0.5", "a/b", {"q": "0.5"}, id="no_weight_in_a_content_type"),
        pytest.param("*/*", "*/*", {}, id="wildcard"),
    ],
)
def test_parses_a_content_type(text: str, name: str, parameters: dict[str, str]) -> None:
    assert parse_media_type(text) == MediaType(name, parameters, 1.0)


@pytest.mark.parametrize(
    "text", ["", " ", ";", "gzip", "multipart", "/dicom", "application/", "a b/c", "a/b/c", "a/ b"]
)
def test_a_content_type_without_type_and_subtype_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest, match="type/subtype"):
        parse_media_type(text)


@pytest.mark.parametrize("value", ['"abc', '"abc\\"', '"abc\\', '"abc"def', 'a"b', 'a"b"', '"'])
def test_a_quote_out_of_place_is_a_bad_request(value: str) -> None:
    with pytest.raises(BadRequest, match="quote"):
        parse_media_type(f"multipart/related; boundary={value}")


def test_a_media_type_is_a_value() -> None:
    media_type = parse_media_type("a/b; x=1")

    assert hash(media_type) == hash(parse_media_type("A/B;X=1"))
    with pytest.raises(TypeError):
        media_type.parameters["x"] = "2"  # type: ignore[index]


def test_the_boundary_is_taken_as_quoted() -> None:
    assert boundary_of(parse_media_type('multipart/related; boundary=" a b "')) == " a b "


@pytest.mark.parametrize("parameters", ["", "; boundary=", '; boundary=""', "; boundary", '; type="application/dicom"'])
def test_a_missing_boundary_is_a_bad_request(parameters: str) -> None:
    with pytest.raises(BadRequest, match=r"multipart/related .* no boundary"):
        boundary_of(parse_media_type("multipart/related" + parameters))


@pytest.mark.parametrize(
    ("name", "parameters", "text"),
    [
        ("application/dicom+json", {}, "application/dicom+json"),
        (
            "multipart/related",
            {"type": "application/dicom", "boundary": "0123abcd"},
            'multipart/related; type="application/dicom"; boundary=0123abcd',
        ),
        (
            "application/dicom",
            {"transfer-syntax": EXPLICIT_VR_LITTLE_ENDIAN},
            "application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
        ),
        ("a/b", {"x": 'say "a\\b"', "y": "", "z": "*"}, r'a/b; x="say \"a\\b\""; y=""; z=*'),
    ],
)
def test_formats_a_media_type(name: str, parameters: dict[str, str], text: str) -> None:
    assert format_media_type(name, parameters) == text
