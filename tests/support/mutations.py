"""Valid requests, mutated, each made from its number alone: one that does harm can be made again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from tests.support.part10_files import image, part10, sample

_STUDY: Final = b"2.25.2000"
_INSTANCE: Final = b"2.25.1000000000"
_STUDIES: Final = 12  # so that most of what is stored joins a study that exists

_SAMPLES: Final = (
    "JPEGLSNearLossless_16.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "UN_sequence.dcm",
    "image_dfl.dcm",
    "no_meta_group_length.dcm",
    "nested_priv_SQ.dcm",
    "reportsi.dcm",
    "rtplan.dcm",
)
_SYNTAXES: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def _generated(syntax: UID, pixels: bytes) -> bytes:
    return part10(
        image(
            pixels,
            StudyInstanceUID=_STUDY.decode(),
            SOPInstanceUID=_INSTANCE.decode(),
            PatientID="ID",
            StudyDate="20260101",
            Modality="OT",
        ),
        syntax,
    )


FILES: Final = (
    *map(sample, _SAMPLES),
    *(_generated(syntax, b"pixels") for syntax in _SYNTAXES),
    _generated(RLELossless, bytes.fromhex("feff00e000000000 feff00e004000000 01020304 feffdde000000000")),
)

CONTENT_TYPE: Final = 'multipart/related; type="application/dicom"; boundary=fuzz'
_DELIMITER: Final = b"--fuzz\r\nContent-Type: application/dicom\r\n\r\n"
_CONTENT_TYPES: Final = (
    "application/dicom",
    'multipart/related; type="application/dicom+json"; boundary=fuzz',
    "multipart/related; boundary=" + "f" * 300,
    "multipart/related; boundary=fuzz; boundary=other",
    "multipart/mixed; boundary=fuzz",
    "",
)
_WORDS: Final = (
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    bytes(4),
    b"\xfe\xff\x00\xe0",
    b"\r\n--",
)
_VRS: Final = (b"SQ", b"OB", b"UN", b"UI", b"PN", b"US", b"DA", b"LO")


@dataclass(frozen=True)
class StoreRequest:
    """A store request, its body in chunks; `part_count` is how many parts it has, where that is certain."""

    number: int
    content_type: bytes
    chunks: Sequence[bytes]
    part_count: int | None


def store_request(number: int) -> StoreRequest:
    """The request of this number: most are wrong within a file, some in their framing, a few in their Content-Type."""
    rng = Random(number)
    files = [_file(rng, number * 4 + index) for index in range(rng.choice((1, 1, 1, 2, 4)))]
    segments = [segment for file in files for segment in (_DELIMITER, file, b"\r\n")] + [b"--fuzz--\r\n"]
    content_type, part_count = CONTENT_TYPE.encode(), len(files)
    how = rng.random()
    if how < 0.1:
        content_type = rng.choice((rng.choice(_CONTENT_TYPES).encode(), _printable(_mutated(rng, content_type))))
    elif how < 0.35:
        segments = _reframed(rng, segments)
    body = b"".join(segments)
    if 0.3 < how < 0.4:
        body = _mutated(rng, body)
    return StoreRequest(number, content_type, _cut(rng, body), part_count if how >= 0.4 else None)


def _file(rng: Random, number: int) -> bytes:
    file = rng.choice(FILES).replace(_INSTANCE, b"2.25.1%09d" % number)
    file = file.replace(_STUDY, b"2.25.2%03d" % rng.randrange(_STUDIES))
    return _mutated(rng, file) if rng.random() < 0.9 else file


def _reframed(rng: Random, segments: list[bytes]) -> list[bytes]:
    """The segments of a body in another order, too few or too many of them, or with one delimiter changed."""
    first, second = rng.randrange(len(segments)), rng.randrange(len(segments))
    match rng.randrange(4):
        case 0:
            return [*segments[:first], *segments[first + 1 :]]
        case 1:
            return [*segments[:first], segments[second], *segments[first:]]
        case 2:
            segments[first], segments[second] = segments[second], segments[first]
        case _:
            first -= first % 3
            segments[first] = _mutated(rng, segments[first])
    return segments


def _cut(rng: Random, body: bytes) -> list[bytes]:
    most = rng.choice((1 << 20, 1000, 100))
    chunks = []
    position = 0
    while position < len(body):
        size = rng.randint(1, most)
        chunks.append(body[position : position + size])
        position += size
    return chunks


def _flip(rng: Random, data: bytearray, at: int, end: int) -> None:
    data[at] ^= 1 << rng.randrange(8)


def _truncate(rng: Random, data: bytearray, at: int, end: int) -> None:
    del data[at:]


def _insert(rng: Random, data: bytearray, at: int, end: int) -> None:
    data[at:at] = rng.randbytes(end - at)


def _delete(rng: Random, data: bytearray, at: int, end: int) -> None:
    del data[at:end]


def _repeat(rng: Random, data: bytearray, at: int, end: int) -> None:
    where = rng.randrange(len(data))
    data[where:where] = data[at:end]


def _overwrite(rng: Random, data: bytearray, at: int, end: int) -> None:
    word = rng.choice(_WORDS)
    data[at : at + len(word)] = word


def _blow_up(rng: Random, data: bytearray, at: int, end: int) -> None:
    """Overwrite the length of an element, which follows its VR: at once if it has 2 bytes, else after 2 others."""
    found = data.find(rng.choice(_VRS), at)
    if found >= 0:
        offset = found + rng.choice((2, 4))
        word = rng.choice(_WORDS[:4])
        data[offset : offset + 4] = word


def _swap_bytes(rng: Random, data: bytearray, at: int, end: int) -> None:
    """Turn little endian words into big endian, and the other way round."""
    end -= (end - at) % 2
    data[at:end:2], data[at + 1 : end : 2] = data[at + 1 : end : 2], data[at:end:2]


def _rename_syntax(rng: Random, data: bytearray, at: int, end: int) -> None:
    """Name another transfer syntax, with a UID as long."""
    root = b"1.2.840.10008.1.2."
    found = data.find(root)
    if 0 <= found < len(data) - len(root):
        data[found + len(root)] = ord(rng.choice("1245"))


_MUTATIONS: Final[tuple[Callable[[Random, bytearray, int, int], None], ...]] = (
    _flip,
    _truncate,
    _insert,
    _delete,
    _repeat,
    _overwrite,
    _blow_up,
    _blow_up,
    _swap_bytes,
    _rename_syntax,
)


def _mutated(rng: Random, original: bytes) -> bytes:
    data = bytearray(original)
    for _ in range(rng.choice((1, 1, 2, 5))):
        if data:
            at = rng.randrange(len(data))
            rng.choice(_MUTATIONS)(rng, data, at, min(at + rng.randint(1, 60), len(data)))
    return bytes(data)


def _printable(value: bytes) -> bytes:
    """A value that an HTTP header can carry."""
    return bytes(byte for byte in value if byte >= 0x20 and byte != 0x7F).strip()


@dataclass(frozen=True)
class ResourceRequest:
    """A request without a body, its target as it goes over the wire."""

    number: int
    method: str
    target: bytes
    accept: bytes


_ROUTES: Final = (
    "/v2/studies/{0}",
    "/v2/studies/{0}/metadata",
    "/v2/studies/{0}/series/{1}",
    "/v2/studies/{0}/series/{1}/metadata",
    "/v2/studies/{0}/series/{1}/instances/{2}",
    "/v2/studies/{0}/series/{1}/instances/{2}/metadata",
    "/v2/studies/{0}/series/{1}/instances/{2}/frames/1",
    "/v2/studies/{0}/series/{1}/instances/{2}/bulkdata/7FE00010",
    "/v1/studies/{0}/series/{1}/instances?limit=5&offset=0",
    "/v2/studies?StudyDate=20260101-20260131&limit=10&includefield=all",
    "/v2/studies?PatientName=Doe&fuzzymatching=true&PatientID=ID",
    "/v2/series?Modality=CT,MR&StudyInstanceUID={0}&includefield=00081030",
    "/v2/instances?SOPInstanceUID={2}&00100020=ID",
    "/v2/studies/{0}/instances?offset=1",
)
_ACCEPTS: Final = (
    b"*/*",
    b"application/dicom+json, application/json;q=0.5",
    b'multipart/related; type="application/dicom"; transfer-syntax=*',
    b"application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
    b'multipart/related; type="application/octet-stream"; transfer-syntax=*',
)
_PIECES: Final = (
    *("..", "../..", "%2e%2e%2f", "..%5c", "/", "//", "%2F", "%252F", ".", "%00", "%0d%0aX-Evil:%201", "%", "%zz"),
    *("%C3%A9", "%F0%9F%98%80", "%ED%A0%80", "%FF", "%C0%AF", "%u0041", "%E2%80%AE", "%27%20or%201%20eq%201"),
    *("&", "&&", "=", "+", "%26", ";", "#", "%23", "~", "!", "|", "{0}", "*", "?", "??", "%3F", "'", ",", "-1"),
    *("1" * 65, "9" * 3000),
)


def resource_request(number: int, instances: Sequence[tuple[str, str, str]]) -> ResourceRequest:
    """The request of this number, for something of `instances`, by their three UIDs, or for a mutation of its name."""
    rng = Random(number)
    target = rng.choice(_ROUTES).format(*rng.choice(instances))
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        at = rng.randrange(1, len(target) + 1)
        match rng.randrange(4):
            case 0:
                target = target[:at] + target[at + rng.randint(1, 12) :]
            case 1:
                target = target[:at] + f"%{rng.randrange(256):02x}" + target[at:]
            case 2:
                target = target[:at] + target[rng.randrange(len(target)) :]
            case _:
                target = target[:at] + rng.choice(_PIECES) + target[at:]
    accept = rng.choice(_ACCEPTS)
    if rng.random() < 0.4:
        accept = _printable(_mutated(rng, accept))
    return ResourceRequest(number, rng.choice(("GET",) * 8 + ("HEAD", "DELETE")), target.encode(), accept)
