"""The loads that freeze or fill a process, or once did: what each needs in the archive, and who asks for what.

A load's `scale` is 1 for what was first seen to do harm; a smaller one does less of it, in less time.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.conftest import Server
from tests.support.hostile_clients import LOAD_SECONDS, leave, post, read_all, read_slowly, send_headers, stop_midway
from tests.support.hostile_files import (
    deflated_frame,
    document,
    large_frame,
    long_attributes,
    many_fragments,
    many_frames,
    many_values,
    short_attributes,
)
from tests.support.measured_load import Load
from tests.support.measured_server import BOUNDARY, HEADERS, MIB, enhanced_image, instance, store
from tests.support.served_instances import dataset, new_uid, part10

Prepare = Callable[[Server, float], Coroutine[Any, Any, Load]]
Client = Callable[[Server, str, str], Awaitable[str]]

_DICOM = 'multipart/related; type="application/dicom"'
_STORED = f"{_DICOM}; transfer-syntax=*"
_JPEG_LS_UID = "1.2.840.10008.1.2.4.80"
_JPEG_LS = f"{_DICOM}; transfer-syntax={_JPEG_LS_UID}"
_JPEG_LS_FRAME = f'multipart/related; type="image/jls"; transfer-syntax={_JPEG_LS_UID}'
_XML = 'multipart/related; type="application/dicom+xml"'
_FILE = "application/dicom"
_LEFT_SECONDS = 5


@dataclass(frozen=True)
class HostileLoad:
    """A row of `LOADS`. `prepare(server, scale)` stores what is needed, and returns the load."""

    what: str
    prepare: Prepare


async def warm_up(server: Server) -> None:
    """Do once what loads the libraries."""
    path = await _stored(server, part10(dataset()))
    for below, accept in (("", _JPEG_LS), ("/rendered", "*/*"), ("/metadata", _XML), ("/metadata", "*/*")):
        await read_all(server, f"{path}{below}", accept)
    await read_all(server, f"{path.partition('/series')[0]}/instances")


def _file(
    make: Callable[[int], bytes],
    size: int,
    below: str,
    *,
    accept: str = "*/*",
    client: Client = read_all,
    clients: int = 1,
) -> Prepare:
    """A file of a size, and clients that ask at once for something of it."""

    async def prepare(server: Server, scale: float) -> Load:
        path = await _stored(server, make(int(size * scale)))
        return lambda: _at_once(client(server, f"{path}{below}", accept) for _ in range(clients))

    return prepare


def _functional_groups(query: str, clients: int) -> Prepare:
    async def prepare(server: Server, scale: float) -> Load:
        study = new_uid()
        await store(server, (enhanced_image(int(2_000 * scale), study) for _ in range(10)))
        target = f"/v2/studies/{study}/instances{query}"

        async def searches() -> "Counter[str]":
            answers: Counter[str] = Counter()
            for _ in range(3):
                answers += await _at_once(read_all(server, target) for _ in range(clients))
            return answers

        return searches

    return prepare


async def _slow_readers_of_a_study(server: Server, scale: float) -> Load:
    study = new_uid()
    await store(server, (instance(study, 4 * MIB) for _ in range(int(8 * scale))))
    return lambda: _at_once(read_slowly(server, f"/v2/studies/{study}", _STORED) for _ in range(100))


async def _search_of_long_attributes(server: Server, scale: float) -> Load:
    study = new_uid()
    for _ in range(int(40 * scale)):
        await _stored(server, long_attributes(study, 24 * MIB))
    return lambda: _at_once([read_all(server, f"/v2/studies/{study}/instances?includefield=all")])


async def _all_that_is_held(server: Server, scale: float) -> Load:
    """Whatever fills a budget, all at once: readers that are slow, frames that are large, headers that are odd."""
    loads = [await LOADS[name].prepare(server, scale) for name in ("1a", "3a", "3b", "3c", "3d", "3e", "3g")]
    frame = await _stored(server, large_frame(int(16 * MIB * scale)))
    header = short_attributes(int(1.4 * MIB * scale))

    async def load() -> "Counter[str]":
        drawn = [read_all(server, f"{frame}/rendered") for _ in range(10)]
        encoded = [read_all(server, f"{frame}/frames/1", _JPEG_LS_FRAME) for _ in range(10)]
        stored = [post(server, header, _FILE) for _ in range(10)]
        answers = await asyncio.gather(_at_once([*drawn, *encoded, *stored]), *(one() for one in loads))
        return sum(answers, Counter[str]())

    return load


async def _stalled_upload(server: Server, scale: float) -> Load:
    stalled, other = short_attributes(int(2.4 * MIB * scale)), short_attributes(int(1.2 * MIB * scale))

    async def after_a_moment() -> str:
        await asyncio.sleep(2)
        return f"of another {await post(server, other, _FILE, LOAD_SECONDS / 2)}"

    return lambda: _at_once([stop_midway(server, stalled), after_a_moment()])


async def _listed_uids(server: Server, scale: float) -> Load:
    images = [dataset() for _ in range(int(100 * scale))]
    await store(server, (iter([part10(image)]) for image in images))
    uids = ",".join(image.SOPInstanceUID for image in images)
    return lambda: _at_once([read_all(server, f"/v2/instances?SOPInstanceUID={uids}")])


async def _left_metadata(server: Server, scale: float) -> Load:
    study = new_uid()
    await store(server, (enhanced_image(90, study) for _ in range(int(1_000 * scale))))

    async def left_often() -> "Counter[str]":
        answers = [await leave(server, f"/v2/studies/{study}/metadata") for _ in range(10)]
        await asyncio.sleep(_LEFT_SECONDS)  # what goes on after that
        return Counter(answers)

    return left_often


async def _endless_headers(server: Server, scale: float) -> Load:
    return lambda: _at_once(send_headers(server, int(50 * MIB * scale)) for _ in range(8))


async def _unfinished_headers(server: Server, scale: float) -> Load:
    return lambda: _at_once(send_headers(server, 0) for _ in range(int(300 * scale)))


async def _long_accept(server: Server, scale: float) -> Load:
    length = int(31 * 1024 * scale)
    accept = ",".join(f"a/b{number:05};q=0.1" for number in range(length // 15))
    path = await _stored(server, part10(dataset()))
    return lambda: _at_once(read_all(server, path, accept) for _ in range(20))


async def _tiny_parts(server: Server, scale: float) -> Load:
    part = b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\nx\r\n"
    body = int(10_000 * scale) * part + b"--" + BOUNDARY + b"--\r\n"
    return lambda: _at_once(post(server, body, HEADERS["Content-Type"]) for _ in range(4))


LOADS = {
    "1a": HostileLoad("100,000 frames of a pixel, as JPEG-LS", _file(many_frames, 100_000, "", accept=_JPEG_LS)),
    "1b": HostileLoad("the same as GIF", _file(many_frames, 100_000, "/rendered", accept="image/gif")),
    "1c": HostileLoad("100,000 encapsulated frames as bulk data", _file(many_fragments, 100_000, "/bulkdata/7FE00010")),
    "2a": HostileLoad("3 x 2 searches of 10 instances of 2,000 functional groups", _functional_groups("", 2)),
    "2b": HostileLoad("3 x 1 of them with includefield=all", _functional_groups("?includefield=all", 1)),
    "2c": HostileLoad("3.8 million values as XML", _file(many_values, 116, "/metadata", accept=_XML)),
    "3a": HostileLoad(
        "20 slow readers of a deflated frame of 120 MiB",
        _file(deflated_frame, 120 * MIB, "/frames/1", client=read_slowly, clients=20),
    ),
    "3b": HostileLoad("20 thumbnails of a frame of 110 MB", _file(large_frame, 110_000_000, "/thumbnail", clients=20)),
    "3c": HostileLoad(
        "20 of the same as JPEG-LS",
        _file(large_frame, 110_000_000, "/frames/1", accept=_JPEG_LS_FRAME, clients=20),
    ),
    "3d": HostileLoad(
        "30 slow readers of a PDF of 60 MB",
        _file(document, 60_000_000, "/rendered", client=read_slowly, clients=30),
    ),
    "3e": HostileLoad("100 slow readers of a study of 8 x 4 MiB", _slow_readers_of_a_study),
    "3f": HostileLoad("a search of 40 deflated files of 24 MiB of attributes", _search_of_long_attributes),
    "3g": HostileLoad(
        "30 slow readers of the metadata of one",
        _file(
            lambda size_bytes: long_attributes(new_uid(), size_bytes),
            24 * MIB,
            "/metadata",
            client=read_slowly,
            clients=30,
        ),
    ),
    "3h": HostileLoad("1a, 3a to 3e and 3g at once, pictures, and uploads of 60,000 attributes", _all_that_is_held),
    "4": HostileLoad("an upload of 2.4 MiB of short attributes stops; another of 1.2 MiB", _stalled_upload),
    "5": HostileLoad("100 UIDs in one search", _listed_uids),
    "6": HostileLoad("metadata of 1,000 instances of 70 KB, left by 10 clients", _left_metadata),
    "9a": HostileLoad("400 MiB of request headers in 8 connections", _endless_headers),
    "9b": HostileLoad("300 connections that do not finish their headers", _unfinished_headers),
    "10a": HostileLoad("an Accept of 31 KB, 20 at once", _long_accept),
    "10b": HostileLoad("4 stores of 10,000 tiny parts", _tiny_parts),
}


async def _stored(server: Server, file: bytes) -> str:
    """Store a file; return its path, from the root of the server."""
    async with httpx.AsyncClient(timeout=600) as client:
        response = await client.post(f"{server.base_url}/v2/studies", content=file, headers={"Content-Type": _FILE})
    assert response.status_code == 200, response.text[:1000]
    (item,) = response.json()["00081199"]["Value"]
    return "/v2/studies" + str(item["00081190"]["Value"][0].partition("/v2/studies")[2])


async def _at_once(requests: Iterable[Awaitable[str]]) -> "Counter[str]":
    """The answers to requests that are sent together."""
    return Counter(await asyncio.gather(*requests))
