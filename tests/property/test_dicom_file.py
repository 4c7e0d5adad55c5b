"""What holds for every file: it is read the same however it is cut, and bad bytes are only refused."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from tests.support.accepted_files import TIGHT, check_accepted, long_from, outcome, plain_metadata
from tests.support.part10_files import SAMPLES, image, part10

pytestmark = pytest.mark.property

FILES = [path.read_bytes() for path in SAMPLES if path.stat().st_size < 10_000] + [
    part10(image(b"first.second", NumberOfFrames=2), syntax)
    for syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
]
files = st.sampled_from(FILES)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A file with some of its bytes changed, left out, or repeated elsewhere."""
    data = bytearray(draw(files))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, max(len(data) - 1, 0)))
        end = min(begin + draw(st.integers(1, 40)), len(data))
        how = draw(st.sampled_from(["flip", "overwrite", "cut", "repeat", "end"]))
        if how == "flip" and begin < len(data):
            data[begin] ^= 1 << draw(st.integers(0, 7))
        elif how == "overwrite":
            value = draw(
                st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", b"SQ"])
            )
            data[begin : begin + len(value)] = value
        elif how == "cut":
            del data[begin:end]
        elif how == "repeat":
            where = draw(st.integers(0, len(data)))
            data[where:where] = data[begin:end]
        else:
            del data[begin:]
    return bytes(data)


@given(st.binary(max_size=400))
@example(bytes(128) + b"DICM\2\0\0\0")
@example(b"\x08\x00\x05\x00" + b"\xff" * 12)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for prefix in (b"", bytes(128) + b"DICM"):
        result = outcome([prefix + data])
        if result is not None:
            check_accepted(*result)


@given(st.sampled_from(FILES), st.binary(max_size=200))
def test_any_data_set_is_read_or_refused(file: bytes, encoded: bytes) -> None:
    meta_end = 144 + int.from_bytes(file[140:144], "little")
    result = outcome([file[:meta_end] + encoded])
    if result is not None:
        check_accepted(*result)


@settings(max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_any_mutation_is_read_or_refused(data: bytes) -> None:
    outcome([data], TIGHT)
    result = outcome([data])
    if result is not None:
        check_accepted(*result)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_long_elements_are_read_as_short_ones(path: Path) -> None:
    data = path.read_bytes()
    short = outcome([data])
    assert short is not None
    for size in (1, 100):
        with long_from(size):
            for chunk_bytes in (len(data), 997):
                chunks = [data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes)]
                long = outcome(chunks)
                assert long is not None
                assert long[0] == short[0]
                assert plain_metadata(long[1]) == plain_metadata(short[1])
                assert long[1].frames == short[1].frames
                assert long[1].header_bytes == short[1].header_bytes


@settings(max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
@given(mutated(), st.integers(1, 200))
def test_any_mutation_of_long_elements_is_read_or_refused(data: bytes, chunk_bytes: int) -> None:
    with long_from(8):
        result = outcome([data])
        if result is not None:
            check_accepted(*result)
        assert result == outcome([data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes)])


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(files, mutated()), st.lists(st.integers(1, 3_000), min_size=1, max_size=20))
def test_chunks_make_no_difference(data: bytes, sizes: list[int]) -> None:
    chunks: list[bytes] = []
    position = 0
    while position < len(data):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[position : position + size])
        position += size
    assert outcome(chunks) == outcome([data])
