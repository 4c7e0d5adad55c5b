import pytest

from shared.errors import NotFound
from shared.storage.archive import Archive
from tests.support.instance_rows import new_uid


async def test_a_blob_is_read_whole_and_by_range(archive: Archive) -> None:
    name = f"{new_uid()}/x.dcm"
    await archive.blobs.put(name, bytes(range(256)))
    assert await archive.blobs.read_all(name) == bytes(range(256))
    assert await archive.blobs.read_all(name, 10, 5) == bytes(range(10, 15))
    assert await archive.blobs.read_all(name, 10, 0) == b""
    assert await archive.blobs.read_all(name, 250) == bytes(range(250, 256))


async def test_staged_blocks_are_invisible_until_committed_in_order(archive: Archive) -> None:
    name = f"{new_uid()}/x.dcm"
    await archive.blobs.stage(name, 1, b"second")
    await archive.blobs.stage(name, 0, b"first ")
    with pytest.raises(NotFound):
        await archive.blobs.read_all(name)
    await archive.blobs.commit(name, 2)
    assert await archive.blobs.read_all(name) == b"first second"


async def test_a_large_blob_comes_in_chunks(archive: Archive) -> None:
    name = f"{new_uid()}/x.dcm"
    content = bytes(range(256)) * 4 * 9 * 1024  # 9 MiB
    await archive.blobs.put(name, content)
    chunks = [chunk async for chunk in archive.blobs.read(name)]
    assert b"".join(chunks) == content
    assert max(map(len, chunks)) <= 4 * 1024**2


async def test_many_blobs_are_deleted_at_once_and_missing_ones_ignored(archive: Archive) -> None:
    prefix = new_uid()
    names = [f"{prefix}/{number}.dcm" for number in range(300)]
    for name in names[::10]:
        await archive.blobs.put(name, b"x")
    await archive.blobs.delete(names)
    await archive.blobs.delete([])
    for name in names[::10]:
        with pytest.raises(NotFound):
            await archive.blobs.read_all(name)
