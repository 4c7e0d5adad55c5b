"""Every input that once failed a target passes it, as do the inputs that fuzzing begins with."""

import tracemalloc
from typing import Final

import pytest

from tests.fuzzing.target import Target, TooManyCalls, cut, examine
from tests.fuzzing.targets import CORPUS, TARGETS, failed_inputs, kept_input

_MEMORY_BYTES: Final = 64 * 1024**2
"""How much an input may take at once. What fuzzing allows is more, since it includes the interpreter's own."""

FAILED: Final = sorted((path.parent.name, path.name) for path in CORPUS.glob("*/*.hex"))


@pytest.mark.parametrize(("name", "file"), FAILED)
def test_an_input_that_once_failed(name: str, file: str) -> None:
    tracemalloc.start()
    try:
        examine(TARGETS[name], kept_input(CORPUS / name / file))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < _MEMORY_BYTES


@pytest.mark.parametrize("name", TARGETS)
def test_the_inputs_that_fuzzing_begins_with(name: str) -> None:
    seeds = list(TARGETS[name].seeds())
    assert len(seeds) > 2
    for seed in seeds[::10]:
        examine(TARGETS[name], seed)


def test_the_failed_inputs_are_small_and_of_a_target() -> None:
    for name in {name for name, _ in FAILED}:
        assert all(len(data) <= TARGETS[name].max_bytes for data in failed_inputs(name))


def test_work_that_grows_faster_than_its_input_fails() -> None:
    def check(data: bytes) -> None:
        def step() -> None:
            pass

        for _ in range(len(data) ** 2):
            step()

    target = Target(check=check, seeds=list, tokens=(), runs=1)
    examine(target, bytes(100))
    with pytest.raises(TooManyCalls):
        examine(target, bytes(10_000))


def test_the_chunks_of_an_input_are_all_of_it_and_the_same_each_time() -> None:
    for size in range(200):
        data = bytes(range(size))
        assert b"".join(cut(data)) == data
        assert cut(data) == cut(data)
    assert len({len(cut(bytes(size))) for size in range(100, 200)}) > 5
