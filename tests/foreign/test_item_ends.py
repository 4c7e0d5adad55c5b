"""Items of undefined length that end with their sequence, without a delimiter: read as GDCM reads them."""

from itertools import product

import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from shared.dicom.explicit_vr import explicit_vr_little_endian
from shared.dicom.file_meta import read_header
from shared.dicom.parsing import DicomFileLimits
from tests.support.encoded_elements import UNDEFINED, element, implicit, item, sequence_end
from tests.support.gdcm_files import rewritten
from tests.support.part10_files import ALL_ENCODINGS, chunks, part10_of, read, read_chunks, refusal

SEQUENCES = (0x00081140, 0x0040A170)  # the second within the first
UIDS = {0x00080018: b"1.2.3.44", 0x0020000D: b"1.2\0", 0x0020000E: b"1.2.3\0"}
# A value that looks like the delimiter of a sequence, and one as long as a head.
CONTENT = {0x00081150: b"1.2.3.4\0", 0x00081155: b"\xfe\xff\xdd\xe0\0\0\0\0"}


class Encoder:
    """Encodes in one of the native transfer syntaxes."""

    def __init__(self, syntax: UID) -> None:
        self.syntax = syntax
        self.order = "<" if syntax.is_little_endian else ">"

    def element(self, tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
        if self.syntax.is_implicit_VR:
            return implicit(tag, value, length)
        if length is None:
            return element(tag, vr, value, self.order)
        return (
            element(tag, vr, b"", self.order)[:8] + length.to_bytes(4, "little" if self.order == "<" else "big") + value
        )

    def uids(self, values: dict[int, bytes]) -> bytes:
        return b"".join(self.element(tag, "UI", value) for tag, value in values.items())

    def nested(self, depth: int, lacking: set[int], content: bytes, first_item: bytes) -> bytes:
        """Sequences in one another, innermost 1; the last items of those in `lacking` have no delimiter."""
        encoded = content
        for level in range(1, depth + 1):
            last = item(encoded, self.order, is_undefined=True, is_ended=level not in lacking)
            value = first_item + last + sequence_end(self.order)
            encoded = self.element(SEQUENCES[depth - level], "SQ", value, UNDEFINED) + self.uids({0x0040A124: b"1.9 "})
        return encoded

    def file(self, depth: int, lacking: set[int], content: bytes, first_item: bytes) -> bytes:
        first, *others = UIDS.items()
        found = self.nested(depth, lacking, content, first_item)
        return part10_of(self.uids(dict([first])) + found + self.uids(dict(others)), self.syntax)


@ALL_ENCODINGS
@pytest.mark.parametrize("is_long", [False, True])
def test_are_where_the_sequence_ends(syntax: UID, is_long: bool) -> None:
    encode = Encoder(syntax)
    padding = encode.element(0x0040A160, "UT", b"x" * 70_000) if is_long else b""
    firsts = (
        b"",
        item(encode.uids(CONTENT), encode.order),
        item(encode.uids(CONTENT), encode.order, is_undefined=True),
    )
    for depth, first, last in product((1, 2), firsts, (encode.uids(CONTENT) + padding, b"")):
        complete = encode.file(depth, set(), last, first)
        assert read(complete)[1].assumptions == ()
        for lacking in ({1}, {2}, {1, 2})[: 1 if depth == 1 else 3]:
            file = encode.file(depth, lacking, last, first)
            stored, instance = read(file)
            assert stored == file
            assert instance.metadata == read(complete)[1].metadata
            assert instance.assumptions == ("Items have no delimiter; they are assumed to end with their sequence.",)
            assert read_chunks(chunks(file, seed=5)) == (stored, instance)
            _, data_set = read_header(stored, DicomFileLimits())
            assert read(part10_of(explicit_vr_little_endian(data_set)))[1].metadata == instance.metadata
            if syntax == ExplicitVRLittleEndian:  # the only one where GDCM reads them
                assert read(rewritten(file))[1].metadata == instance.metadata


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_are_not_where_the_file_ends(syntax: UID) -> None:
    file = Encoder(syntax).file(1, {1}, b"", b"")
    assert "cut short" in refusal(file[: file.index(sequence_end())])
