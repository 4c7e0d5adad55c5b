from collections.abc import AsyncIterator

import pytest

from shared.errors import NotFound
from shared.web.content import Content, in_memory, started

PATH = "studies/1/series/2/instances/3"


async def all_of(items: AsyncIterator[bytes]) -> list[bytes]:
    return [item async for item in items]


async def test_bytes_in_memory_are_read_whole_or_by_range() -> None:
    content = in_memory(PATH, "text/plain", "1.2", b"0123456789")
    assert (content.path, content.media_type, content.transfer_syntax_uid) == (PATH, "text/plain", "1.2")
    assert (content.size_bytes, content.is_ranged) == (10, True)
    assert await all_of(content.all()) == [b"0123456789"]
    assert await all_of(content.read(3, 4)) == [b"3456"]
    assert await all_of(in_memory(PATH, "text/plain", None, b"").all()) == [b""]


@pytest.mark.parametrize("chunks", [[], [b"a"], [b"a", b"b", b"c"]])
async def test_starting_takes_the_first_step_and_loses_nothing(chunks: list[bytes]) -> None:
    taken: list[bytes] = []

    async def read(_offset: int, _length: int) -> AsyncIterator[bytes]:
        for chunk in chunks:
            taken.append(chunk)
            yield chunk

    content = Content(PATH, "text/plain", None, None, read)
    ready = await content.started()
    assert taken == chunks[:1]
    assert not ready.is_ranged
    assert await all_of(ready.all()) == chunks
    assert taken == chunks


async def test_an_early_failure_comes_at_the_start_and_a_late_one_in_its_turn() -> None:
    async def failing(*chunks: bytes) -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
        raise NotFound("It is gone.")

    with pytest.raises(NotFound):
        await started(failing())
    rest = await started(failing(b"a", b"b"))
    assert [await anext(rest), await anext(rest)] == [b"a", b"b"]
    with pytest.raises(NotFound):
        await anext(rest)
