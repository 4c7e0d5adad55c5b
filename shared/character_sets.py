"""Text of a data set to str, by its Specific Character Set (0008,0005): PS3.5 6.1.2, PS3.3 C.12.1.1.2.

The names of the character sets and their escape sequences are pydicom's tables. The decoding is not: pydicom's warns
and logs on text that does not fit its character set, which is common. Here such bytes become U+FFFD.
"""

import re
from typing import Final

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

DEFAULT_CODEC: Final = "latin-1"
"""The default repertoire is ASCII (PS3.5 6.1.1); bytes beyond it most often are Latin-1, and nothing is lost so."""

_STAND_ALONE: Final = frozenset({"utf-8", "gb18030", "gbk"})  # no escape sequences in these: PS3.3 C.12.1.1.2


def _spelling(name: str) -> str:
    """A defined term without what writers get wrong in it: case, spaces, hyphens and underscores."""
    return re.sub(r"[^A-Z0-9]", "", name.upper())


_CODECS: Final = {
    **{_spelling(name): codec.lower() for name, codec in python_encoding.items() if name},
    **dict.fromkeys(("ISOIR192", "UTF8"), "utf-8"),
    **dict.fromkeys(("ISOIR6", "ISO2022IR6"), DEFAULT_CODEC),
    **dict.fromkeys(("ISOIR203", "ISO2022IR203"), "iso8859_15"),
    # Kanji are only ever reached by escape sequences, from the set that stands first.
    **dict.fromkeys(("ISO2022IR87", "ISO2022IR159"), DEFAULT_CODEC),
}

# Kanji are put in place of ASCII (G0); the other sets live in bytes from 0x80 on (G1), beside it: PS3.5 6.1.2.4.
_KANJI: Final = frozenset({b"\x1b$B", b"\x1b$@", b"\x1b$(D"})
_ASCII: Final = frozenset({b"\x1b(B", b"\x1b(J"})
_BESIDE_ASCII: Final = {
    **{code: codec for code, codec in CODES_TO_ENCODINGS.items() if code not in _KANJI | _ASCII},
    b"\x1b-b": "iso8859_15",
}

_RUNS: Final = re.compile(rb"\x1b\$[()]?[@-~]|\x1b[()\-][@-~]|\x1b|[^\x1b]+")
# What brings back the first character set (PS3.5 6.1.2.5.3).
_TEXT_DELIMITER: Final = re.compile(rb"[\\\t\n\f\r]")
_NAME_DELIMITER: Final = re.compile(rb"[\\\t\n\f\r^=]")


def codec_of(specific_character_set: bytes) -> str:
    """The Python codec of the first of the encoded values of Specific Character Set; an unknown one is the default.

    The other values need no looking at: each escape sequence names its set.
    """
    first = specific_character_set.decode("latin-1").split("\\")[0]
    return _CODECS.get(_spelling(first[:32]), DEFAULT_CODEC)


def decode(value: bytes, codec: str, *, is_person_name: bool = False) -> str:
    """The text of a value, all of its backslash-separated values at once, that begins in `codec`.

    Never fails: what cannot be decoded becomes U+FFFD.
    """
    if b"\x1b" not in value or codec in _STAND_ALONE:
        return value.decode(codec, "replace")
    delimiter = _NAME_DELIMITER if is_person_name else _TEXT_DELIMITER
    kanji, beside_ascii = b"", codec
    text = []
    for run in _RUNS.findall(value):
        if run in _KANJI:
            kanji = run
        elif run in _ASCII:
            kanji = b""
        elif run in _BESIDE_ASCII:
            beside_ascii = _BESIDE_ASCII[run]
        elif kanji:
            text.append((kanji + run).decode("iso2022_jp_2", "replace"))
        else:
            found = delimiter.search(run)
            end = found.start() if found else len(run)
            text.append(run[:end].decode(beside_ascii, "replace"))
            if found:
                beside_ascii = codec
                text.append(run[end:].decode(codec, "replace"))
    return "".join(text)
