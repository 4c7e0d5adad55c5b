"""Terms of Specific Character Set as devices spell them (PS3.3 C.12.1.1.2): read as Orthanc does, and told."""

from collections.abc import Callable

import pytest
from pydicom.charset import python_encoding

from tests.support.encoded_elements import element
from tests.support.part10_files import part10_of, read

BEFORE = element(0x00080018, "UI", b"1.2.3.44")
AFTER = element(0x0020000D, "UI", b"1.2\0") + element(0x0020000E, "UI", b"1.2.3\0")
# A text of each repertoire, and Python's name of its encoding.
REPERTOIRES = {
    "ISO_IR 100": ("Buc^Jérôme", "latin-1"),
    "ISO_IR 101": ("Wałęsa", "iso8859-2"),
    "ISO_IR 109": ("Ĝis", "iso8859-3"),
    "ISO_IR 110": ("Āda", "iso8859-4"),
    "ISO_IR 126": ("Διονυσιος", "iso8859-7"),
    "ISO_IR 127": ("قباني", "iso8859-6"),
    "ISO_IR 138": ("שרון", "iso8859-8"),
    "ISO_IR 144": ("Люкceмбypг", "iso8859-5"),
    "ISO_IR 148": ("Çelik", "iso8859-9"),
    "ISO_IR 166": ("ไทย", "tis-620"),
    "ISO_IR 203": ("Œuvre €", "iso8859-15"),
    "ISO_IR 13": ("ﾔﾏﾀﾞ", "shift_jis"),
    "ISO_IR 192": ("Müller 山田 김희중", "utf-8"),
    "GB18030": ("王小东", "gb18030"),
    "GBK": ("王小东", "gbk"),
}
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as defined": str,
    "lower case": str.lower,
    "capitalized": str.title,
    "hyphen": lambda term: term.replace("_", "-"),
    "spaces": lambda term: term.replace("_", " "),
    "underscores": lambda term: term.replace(" ", "_"),
    "no underscore": lambda term: term.replace("_", ""),
    "no separators": lambda term: term.replace("_", "").replace(" ", ""),
    "padded": lambda term: f" {term}  ",
    "null": lambda term: f"{term}\0",
}


def read_text(term: bytes, text: bytes) -> tuple[object, tuple[str, ...]]:
    """The text of a description in a character set, and what was assumed."""
    file = part10_of(element(0x00080005, "CS", term) + BEFORE + element(0x00081030, "LO", text) + AFTER)
    stored, instance = read(file)
    assert stored == file
    assert instance.metadata["00080005"]["Value"] == ["ISO_IR 192"]
    return instance.metadata["00081030"]["Value"][0], instance.assumptions


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("term", REPERTOIRES)
def test_are_read_however_they_are_spelt(term: str, spelling: str) -> None:
    text, encoding = REPERTOIRES[term]
    spelt = SPELLINGS[spelling](term)
    found, assumptions = read_text(spelt.encode(), text.encode(encoding))
    assert found == text
    if spelt.strip("\0 ") == term:
        assert assumptions == ()
    else:
        assert assumptions == (f"Specific Character Set is no defined term; {term} is assumed.",)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_code_extensions_are_read_however_they_are_spelt(spelling: str) -> None:
    spelt = SPELLINGS[spelling]("ISO 2022 IR 6\\ISO 2022 IR 87")
    assert read_text(spelt.encode(), "Yamada 山田".encode("iso2022_jp"))[0] == "Yamada 山田"


def test_all_terms_have_their_own_spelling() -> None:
    assert {term for term in python_encoding if term.startswith(("ISO_IR", "GB"))} - {"ISO_IR 6"} == set(REPERTOIRES)


@pytest.mark.parametrize("term", ["ISO_IR 999", "latin-7x", "base64", "?", "ISO", "\\\\", "rot13"])
def test_one_that_nobody_knows_is_the_default_repertoire(term: str) -> None:
    found, assumptions = read_text(term.encode(), "Buc^Jérôme".encode("latin-1"))
    assert found == "Buc^Jérôme"
    first = term.split("\\")[0]
    expected = ("Specific Character Set is no defined term; ISO_IR 100 is assumed.",) if first else ()
    assert assumptions == expected


def test_one_of_an_item_is_told_as_well() -> None:
    content = element(0x00080005, "CS", b"iso_ir 192") + element(0x00081150, "UI", b"1.2 ")
    items = b"\xfe\xff\x00\xe0" + len(content).to_bytes(4, "little") + content
    _, instance = read(part10_of(BEFORE + element(0x00081140, "SQ", items) + AFTER))
    assert instance.assumptions == ("Specific Character Set is no defined term; ISO_IR 192 is assumed.",)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        (b"=", None), (b"==", None), (b"= ", None), (b" == ", None), (b"=A ", [{"Ideographic": "A"}]),
        (b"==A ", [{"Phonetic": "A"}]), (b"A=\\=", [{"Alphabetic": "A"}, None]), (b"=\\A", [None, {"Alphabetic": "A"}]),
    ],
)  # fmt: skip
def test_a_name_of_only_delimiters_is_empty(name: bytes, groups: list[object] | None) -> None:
    _, instance = read(part10_of(BEFORE + element(0x00100010, "PN", name) + AFTER))
    assert instance.metadata["00100010"] == ({"vr": "PN", "Value": groups} if groups else {"vr": "PN"})
