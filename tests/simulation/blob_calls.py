"""Random calls of the blob service, as the SDK makes them, for two storages to answer."""

from random import Random
from typing import Any, Final
from uuid import UUID

from azure.core import MatchConditions
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import BlobLeaseClient

from tests.simulation.both_storages import Side
from tests.simulation.table_calls import Described

_PUT: Final = ("a", "a/1", "b/1/x")  # blobs that are written whole, and others that are written in blocks
_IN_BLOCKS: Final = ("a/2", "b/1/y", "é")
_NAMES: Final = (*_PUT, *_IN_BLOCKS)
_IDS: Final = ("000", "001", "002")
_LEASES: Final = tuple(str(UUID(int=number)) for number in (1, 2))


def blob_call(chance: Random) -> Described:
    """A call of any kind."""
    kinds = [_upload, _stage, _commit, _download, _properties, _delete, _delete_several, _list, _lease]
    return chance.choices(kinds, [4, 3, 3, 4, 2, 2, 1, 3, 3])[0](chance)


async def _condition(side: Side, name: str, which: int | None) -> dict[str, Any]:
    """The condition of a call: that a blob which exists has one of the ETags that it had."""
    known = side.etags.get(name)
    if which is None or not known or not await side.container.get_blob_client(name).exists():
        return {}
    return {"etag": known[which], "match_condition": MatchConditions.IfNotModified}


def _with_lease(chance: Random) -> dict[str, Any]:
    return {"lease": chance.choice(_LEASES)} if chance.random() < 0.2 else {}


async def _is_only_staged(side: Side, name: str) -> bool:
    """Whether there are blocks of a blob and no blob, which Azurite takes for one in some calls, and Azure does not."""
    return name in side.staged and not await side.container.get_blob_client(name).exists()


def _upload(chance: Random) -> Described:
    name, content, lease = chance.choice(_PUT), chance.randbytes(chance.randint(3, 9)), _with_lease(chance)
    is_overwriting, which = chance.random() < 0.7, chance.choice((None, None, -1, 0))

    async def make(side: Side) -> Any:
        if await _is_only_staged(side, name):
            return None
        condition = await _condition(side, name, which) if is_overwriting else {}
        settings = ContentSettings(content_type="application/dicom")
        blob = side.container.get_blob_client(name)
        options = {**condition, **lease}
        answer = await blob.upload_blob(content, overwrite=is_overwriting, content_settings=settings, **options)
        return side.note(name, answer["etag"])

    return Described(f"upload {name} {content!r} {is_overwriting} if {which} {lease}", make)


def _stage(chance: Random) -> Described:
    name, block_id, content = chance.choice(_IN_BLOCKS), chance.choice(_IDS), chance.randbytes(chance.randint(3, 9))

    async def make(side: Side) -> Any:
        await side.container.get_blob_client(name).stage_block(block_id, content)
        side.staged.add(name)

    return Described(f"stage {name} {block_id} {content!r}", make)


def _commit(chance: Random) -> Described:
    name, lease = chance.choice(_IN_BLOCKS), _with_lease(chance)
    ids = [chance.choice(_IDS) for _ in range(chance.randint(1, 3))]

    async def make(side: Side) -> Any:
        if lease and await _is_only_staged(side, name):
            return None
        blocks = [BlobBlock(block_id) for block_id in ids]
        answer = await side.container.get_blob_client(name).commit_block_list(blocks, **lease)
        return side.note(name, str(answer["etag"]))

    return Described(f"commit {name} {ids} {lease}", make)


def _download(chance: Random) -> Described:
    name, which = chance.choice(_NAMES), chance.choice((None, None, -1, 0))
    offset, length = chance.choice(((None, None), (0, 3), (2, 4), (0, 100), (1, None), (100, 2)))

    async def make(side: Side) -> Any:
        download = await side.container.download_blob(name, offset, length, **(await _condition(side, name, which)))
        return download.size, await download.readall(), side.note(name, download.properties.etag)

    return Described(f"download {name} {offset} {length} if {which}", make)


def _properties(chance: Random) -> Described:
    name, which = chance.choice(_NAMES), chance.choice((None, -1, 0))

    async def make(side: Side) -> Any:
        blob = side.container.get_blob_client(name)
        is_there = await blob.exists()
        found = await blob.get_blob_properties(**(await _condition(side, name, which)))
        return is_there, found.size, side.note(name, found.etag), found.content_settings.content_type

    return Described(f"properties {name} if {which}", make)


def _delete(chance: Random) -> Described:
    name, which, lease = chance.choice(_NAMES), chance.choice((None, -1, 0)), _with_lease(chance)

    async def make(side: Side) -> Any:
        if await _is_only_staged(side, name):
            return
        await side.container.delete_blob(name, **(await _condition(side, name, which)), **lease)

    return Described(f"delete {name} if {which} {lease}", make)


def _delete_several(chance: Random) -> Described:
    names = chance.sample(_NAMES, chance.randint(1, 3))

    async def make(side: Side) -> Any:
        if any([await _is_only_staged(side, name) for name in names]):
            return None
        answers = await side.container.delete_blobs(*names, raise_on_any_failure=False)
        return [(one.status_code, one.headers.get("x-ms-error-code")) async for one in answers]

    return Described(f"delete {names}", make)


def _list(chance: Random) -> Described:
    prefix, page = chance.choice((None, "a", "a/", "b/", "b/1/", "zz")), chance.choice((None, 1, 2))
    kind = chance.choice(("names", "blobs", "folders"))

    async def make(side: Side) -> Any:
        options: dict[str, Any] = {"name_starts_with": prefix, "results_per_page": page}
        if kind == "names":
            names = side.container.list_blob_names(**options)
            return [[name async for name in one] async for one in names.by_page()]
        if kind == "blobs":
            blobs = side.container.list_blobs(**options).by_page()
            return [
                [(blob.name, blob.size, side.note(blob.name, f'"{blob.etag}"')) async for blob in one]
                async for one in blobs
            ]
        return [item.name async for item in side.container.walk_blobs(**options, delimiter="/")]

    return Described(f"list {kind} {prefix} {page}", make)


def _lease(chance: Random) -> Described:
    name, lease_id = chance.choice(_NAMES), chance.choice(_LEASES)
    action = chance.choice(("acquire", "acquire", "renew", "release", "release"))

    async def make(side: Side) -> Any:
        if await _is_only_staged(side, name):
            return
        lease: BlobLeaseClient = BlobLeaseClient(side.container.get_blob_client(name), lease_id=lease_id)
        match action:
            case "acquire":
                await lease.acquire(lease_duration=15)
            case "renew":
                await lease.renew()
            case _:
                await lease.release()

    return Described(f"{action} {name} {lease_id}", make)
