"""What a process has read lately stays within its bounds, whatever is put there and asked for."""

from hypothesis import given
from hypothesis import strategies as st

from shared.storage.recent import Recent

MAX_BYTES, MAX_ENTRIES = 100, 5
KEYS = st.integers(0, 9)


@given(st.lists(st.one_of(st.tuples(KEYS, st.integers(0, 120)), KEYS)))
def test_the_last_used_values_are_kept(steps: list[tuple[int, int] | int]) -> None:
    recent = Recent[int, object](MAX_BYTES, MAX_ENTRIES)
    expected: list[tuple[int, int, object]] = []  # key, size and value, the last used first
    for step in steps:
        if isinstance(step, tuple):
            key, size_bytes = step
            value = object()
            recent.put(key, value, size_bytes)
            expected = [entry for entry in expected if entry[0] != key]
            if size_bytes <= MAX_BYTES:
                expected.insert(0, (key, size_bytes, value))
            while sum(entry[1] for entry in expected) > MAX_BYTES or len(expected) > MAX_ENTRIES:
                expected.pop()
        else:
            known = [entry for entry in expected if entry[0] == step]
            assert recent.get(step) is (known[0][2] if known else None)
            expected = known + [entry for entry in expected if entry[0] != step]
    for key, _, value in expected:
        assert recent.get(key) is value
    assert sum(recent.get(key) is not None for key in range(10)) == len(expected)


def test_what_is_forgotten_makes_room() -> None:
    recent = Recent[str, int](MAX_BYTES, MAX_ENTRIES)
    recent.put("first", 1, 60)
    recent.forget("first")
    recent.forget("first")
    recent.put("second", 2, 60)
    recent.put("third", 3, 40)
    assert [recent.get(key) for key in ("first", "second", "third")] == [None, 2, 3]
