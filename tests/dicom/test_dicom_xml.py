import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from shared.dicom import dicom_json_reader
from shared.dicom.dicom_json_reader import read_attributes
from shared.dicom.dicom_json_text import json_texts
from shared.dicom.dicom_xml import native_dicom_model
from tests.support.part10_files import SAMPLES, read

NAMESPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">'
)
NAME_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def document_of(metadata: Mapping[str, Any]) -> bytes:
    return b"".join(native_dicom_model(metadata.items()))


def content_of(metadata: Mapping[str, Any]) -> str:
    """The content of the document, without its declaration and root."""
    text = document_of(metadata).decode()
    assert text.startswith(HEAD)
    assert text.endswith("</NativeDicomModel>\n")
    return text.removeprefix(HEAD).removesuffix("</NativeDicomModel>\n")


def root_of(metadata: Mapping[str, Any]) -> ElementTree.Element:
    return ElementTree.fromstring(document_of(metadata))  # noqa: S314 - made here


def value_of(value: str, vr: str = "LT") -> str | None:
    """What a parser reads as the value."""
    return root_of({"00104000": {"vr": vr, "Value": [value]}})[0][0].text


class TestValues:
    def test_are_numbered(self) -> None:
        image_type = {"vr": "CS", "Value": ["MPG", None, "XR3"]}
        assert content_of({"00080008": image_type}) == (
            '<DicomAttribute tag="00080008" vr="CS" keyword="ImageType">'
            '<Value number="1">MPG</Value><Value number="2"></Value><Value number="3">XR3</Value>'
            "</DicomAttribute>"
        )

    def test_that_are_missing_have_no_element(self) -> None:
        expected = '<DicomAttribute tag="00100020" vr="LO" keyword="PatientID"></DicomAttribute>'
        assert content_of({"00100020": {"vr": "LO"}}) == expected

    def test_of_no_attributes(self) -> None:
        assert content_of({}) == ""

    @pytest.mark.parametrize(
        ("vr", "value", "text"),
        [
            ("DS", 0.5, "0.5"),
            ("DS", 42, "42"),
            ("DS", "1,5", "1,5"),
            ("IS", -7, "-7"),
            ("FD", 1e-7, "1e-07"),
            ("FD", "NaN", "NaN"),
            ("FD", "-Infinity", "-Infinity"),
            ("UV", 2**64 - 1, "18446744073709551615"),
            ("AT", "7FE00010", "7FE00010"),
            ("US", 0, "0"),
        ],
    )
    def test_are_text(self, vr: str, value: object, text: str) -> None:
        found = content_of({"00091001": {"vr": vr, "Value": [value]}})
        assert found == f'<DicomAttribute tag="00091001" vr="{vr}"><Value number="1">{text}</Value></DicomAttribute>'

    def test_that_are_bulk_have_a_uri(self) -> None:
        uri = "https://host/v2/studies/1/series/2/instances/3/bulkdata/7FE00010?a=1&b=2"
        assert content_of({"7FE00010": {"vr": "OW", "BulkDataURI": uri}}) == (
            '<DicomAttribute tag="7FE00010" vr="OW" keyword="PixelData">'
            '<BulkData uri="https://host/v2/studies/1/series/2/instances/3/bulkdata/7FE00010?a=1&amp;b=2"/>'
            "</DicomAttribute>"
        )


class TestText:
    @pytest.mark.parametrize(
        "text",
        ['<a href="b">&amp;</a>\'', "]]>", "  \tone\r\ntwo\rthree\n ", "Größe ブラック 🩻", "\x85\u2028\x7f\ufffd"],
    )
    def test_is_read_as_it_was(self, text: str) -> None:
        assert value_of(text) == text
        creator = root_of({"00090010": {"vr": "LO", "Value": [text]}, "00091001": {"vr": "LO"}})
        assert creator[1].get("privateCreator") == text

    @pytest.mark.parametrize("code", [0, 0x08, 0x0B, 0x1B, 0x1F, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF])
    def test_that_xml_cannot_contain_is_replaced(self, code: int) -> None:
        assert value_of(f"a{chr(code)}b") == "a\ufffdb"

    def test_is_utf_8(self) -> None:
        assert "ブ".encode() in document_of({"00100020": {"vr": "LO", "Value": ["ブ"]}})


class TestNames:
    def test_have_groups_and_components(self) -> None:
        name = {
            "Alphabetic": "Yamada^Tarou^M^Dr^Jr",
            "Ideographic": "山田^太郎",
            "Phonetic": "やまだ^^^^さん",
        }
        assert content_of({"00100010": {"vr": "PN", "Value": [name, None, {"Alphabetic": "Doe & Co"}]}}) == (
            '<DicomAttribute tag="00100010" vr="PN" keyword="PatientName">'
            '<PersonName number="1">'
            "<Alphabetic><FamilyName>Yamada</FamilyName><GivenName>Tarou</GivenName><MiddleName>M</MiddleName>"
            "<NamePrefix>Dr</NamePrefix><NameSuffix>Jr</NameSuffix></Alphabetic>"
            "<Ideographic><FamilyName>山田</FamilyName><GivenName>太郎</GivenName></Ideographic>"
            "<Phonetic><FamilyName>やまだ</FamilyName><NameSuffix>さん</NameSuffix></Phonetic>"
            "</PersonName>"
            '<PersonName number="2"></PersonName>'
            '<PersonName number="3"><Alphabetic><FamilyName>Doe &amp; Co</FamilyName></Alphabetic></PersonName>'
            "</DicomAttribute>"
        )

    def test_with_too_many_components_lose_none(self) -> None:
        found = content_of({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "^^^^Jr^II^"}]}})
        assert "<Alphabetic><NameSuffix>Jr^II^</NameSuffix></Alphabetic>" in found


class TestSequences:
    def test_are_nested(self) -> None:
        inner = {"vr": "SQ", "Value": [{"00080104": {"vr": "LO", "Value": ["left"]}}]}
        assert content_of({"00540220": {"vr": "SQ", "Value": [{}, {"00540222": inner}]}, "00080060": {"vr": "CS"}}) == (
            '<DicomAttribute tag="00540220" vr="SQ" keyword="ViewCodeSequence">'
            '<Item number="1"></Item>'
            '<Item number="2">'
            '<DicomAttribute tag="00540222" vr="SQ" keyword="ViewModifierCodeSequence">'
            '<Item number="1">'
            '<DicomAttribute tag="00080104" vr="LO" keyword="CodeMeaning"><Value number="1">left</Value>'
            "</DicomAttribute></Item></DicomAttribute></Item></DicomAttribute>"
            '<DicomAttribute tag="00080060" vr="CS" keyword="Modality"></DicomAttribute>'
        )

    def test_can_be_searched_as_in_the_standard(self) -> None:
        code = {"00080104": {"vr": "LO", "Value": ["cranio-caudal"]}}
        found = root_of({"00540220": {"vr": "SQ", "Value": [code]}}).find(
            f"{NAMESPACE}DicomAttribute[@keyword='ViewCodeSequence']/{NAMESPACE}Item[@number='1']"
            f"/{NAMESPACE}DicomAttribute[@keyword='CodeMeaning']/{NAMESPACE}Value[@number='1']"
        )
        assert found is not None
        assert found.text == "cranio-caudal"


class TestPrivateAttributes:
    CREATOR = '<DicomAttribute tag="00090010" vr="LO"><Value number="1">ACME</Value></DicomAttribute>'

    def test_have_their_creator_and_no_block(self) -> None:
        metadata = {
            "00090010": {"vr": "LO", "Value": ["ACME"]},
            "000900FF": {"vr": "LO", "Value": ["OTHER"]},
            "000910FE": {"vr": "US"},
            "0009FF02": {"vr": "US"},
        }
        assert content_of(metadata) == (
            self.CREATOR
            + '<DicomAttribute tag="000900FF" vr="LO"><Value number="1">OTHER</Value></DicomAttribute>'
            + '<DicomAttribute tag="000900FE" vr="US" privateCreator="ACME"></DicomAttribute>'
            + '<DicomAttribute tag="00090002" vr="US" privateCreator="OTHER"></DicomAttribute>'
        )

    @pytest.mark.parametrize(
        "creator",
        [
            {},
            {"00090010": {"vr": "LO"}},
            {"00090010": {"vr": "UN", "BulkDataURI": "https://host/bulkdata/00090010"}},
            {"00090010": {"vr": "SQ", "Value": [{}]}},
            {"00090010": {"vr": "IS", "Value": [1]}},
            {"00090011": {"vr": "LO", "Value": ["ACME"]}},
            {"000B0010": {"vr": "LO", "Value": ["ACME"]}},
        ],
    )
    def test_without_a_creator_keep_their_tag(self, creator: dict[str, Any]) -> None:
        found = content_of(creator | {"00091001": {"vr": "US"}})
        assert found.endswith('<DicomAttribute tag="00091001" vr="US"></DicomAttribute>')

    def test_have_the_creator_of_their_own_data_set(self) -> None:
        private = {"00091001": {"vr": "US"}}
        metadata = {"00090010": {"vr": "LO", "Value": ["ACME"]}, "00540220": {"vr": "SQ", "Value": [private]}}
        assert '<Item number="1"><DicomAttribute tag="00091001" vr="US">' in content_of(metadata)

    @pytest.mark.parametrize("tag", ["00090102", "00090001", "00080118"])
    def test_are_those_in_a_block(self, tag: str) -> None:
        creator = {"00090001": {"vr": "LO", "Value": ["ACME"]}, "00080001": {"vr": "LO", "Value": ["ACME"]}}
        assert f'<DicomAttribute tag="{tag}" vr="US"' in content_of(creator | {tag: {"vr": "US"}})


class TestSamples:
    @pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
    def test_are_the_same_read_a_piece_at_a_time(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = b"".join(json_texts(read(path.read_bytes())[1].metadata.items()))
        monkeypatch.setattr(dicom_json_reader, "PIECE_CHARACTERS", 200)
        in_pieces = native_dicom_model(read_attributes([text[:100], text[100:]]))
        assert b"".join(in_pieces) == document_of(json.loads(text))

    @pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
    def test_say_what_their_json_says(self, path: Path) -> None:
        metadata = json.loads(b"".join(json_texts(read(path.read_bytes())[1].metadata.items())))
        assert said_in_xml(root_of(metadata)) == said_in_json(metadata)


def said_in_json(data_set: Mapping[str, Any]) -> dict[str, tuple[str, object]]:
    found: dict[str, tuple[str, object]] = {}
    for tag, attribute in data_set.items():
        vr, values = attribute["vr"], attribute.get("Value", [])
        if vr == "SQ":
            said: object = [said_in_json(item) for item in values]
        elif vr == "PN":
            said = [{group: name.rstrip("^") for group, name in (value or {}).items()} for value in values]
        else:
            said = attribute.get("BulkDataURI") or ["" if value is None else str(value) for value in values]
        found[tag] = (vr, said)
    return found


def said_in_xml(data_set: ElementTree.Element) -> dict[str, tuple[str, object]]:
    """What a reader that follows PS3.19 A.1.6 makes of it, with private attributes put back into their blocks."""
    found: dict[str, tuple[str, object]] = {}
    blocks: dict[tuple[str, str], str] = {}
    for attribute in data_set:
        assert attribute.tag == f"{NAMESPACE}DicomAttribute"
        tag, vr, creator = attribute.attrib["tag"], attribute.attrib["vr"], attribute.get("privateCreator")
        children = list(attribute)
        names = {child.tag.removeprefix(NAMESPACE) for child in children}
        if names == {"BulkData"}:
            said: object = children[0].attrib["uri"]
        else:
            assert names <= {{"SQ": "Item", "PN": "PersonName"}.get(vr, "Value")}
            assert [child.get("number") for child in children] == [str(n) for n in range(1, len(children) + 1)]
            said = [READERS.get(vr, text_in_xml)(child) for child in children]
        if creator is not None:
            tag = tag[:4] + blocks[tag[:4], creator] + tag[6:]
        elif vr == "LO" and isinstance(said, list) and said:
            blocks[tag[:4], said[0]] = tag[6:]
        found[tag] = (vr, said)
    return found


def text_in_xml(value: ElementTree.Element) -> str:
    return value.text or ""


def name_in_xml(name: ElementTree.Element) -> dict[str, str]:
    return {
        group.tag.removeprefix(NAMESPACE): "^".join(
            group.findtext(f"{NAMESPACE}{component}", "") for component in NAME_COMPONENTS
        ).rstrip("^")
        for group in name
    }


READERS: dict[str, Callable[[ElementTree.Element], Any]] = {"SQ": said_in_xml, "PN": name_in_xml}
