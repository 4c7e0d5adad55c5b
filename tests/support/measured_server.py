"""A served app whose memory is measured, and requests of any size, generated as they are sent."""

import asyncio
import os
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Server, serving
from tests.support.served_instances import dataset, new_uid, part10

needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read from Linux' /proc")

KIB, MIB, GIB = 1024, 1024**2, 1024**3
MAX_GROWTH_BYTES = 100 * MIB
NOISE = os.urandom(MIB)
BOUNDARY = b"boundary"
HEADERS = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=boundary'}

Files = Iterator[Iterator[bytes]]


@dataclass(frozen=True)
class WarmServer(Server):
    """A server that has imported what it needs: its process' folder in /proc, and the memory it takes at rest."""

    process: Path
    bytes_at_rest: int


@contextmanager
def warm_server(folder: Path, warm_up: Callable[[Server], Coroutine[Any, Any, None]]) -> Iterator[WarmServer]:
    """A server that has done `warm_up`; its Azurite keeps its data on disk."""
    with serving(folder / "log", DATA=str(folder / "data"), FUNCTIONS_REQUEST_BODY_SIZE_LIMIT=str(8 * GIB)) as running:
        asyncio.run(warm_up(running))
        process = process_of(running)
        yield WarmServer(running.base_url, running.log, process, peak_bytes(process))


def process_of(server: Server) -> Path:
    """The folder in /proc of the process that runs the app, which alone has loaded a library of FastAPI's."""
    port = f"PORT={httpx.URL(server.base_url).port}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (
                port in (folder / "environ").read_bytes().split(b"\0")
                and "pydantic_core" in (folder / "maps").read_text()
            ):
                return folder
        except OSError:  # another user's, or already gone
            continue
    raise AssertionError("The served process cannot be found.")


def peak_bytes(process: Path) -> int:
    """The most bytes that a process has held in memory."""
    line = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * KIB


def instance(study: str, pixel_bytes: int) -> Iterator[bytes]:
    """A file with Pixel Data of that size, without holding it."""
    file = part10(dataset(StudyInstanceUID=study, Rows=1, Columns=1, PixelData=b"\0\0"))
    yield file[:-6] + struct.pack("<L", pixel_bytes)
    for start in range(0, pixel_bytes, MIB):
        yield NOISE[: min(MIB, pixel_bytes - start)]


def enhanced_image(frames: int, study: str | None = None) -> Iterator[bytes]:
    """A file with an item of functional groups for each frame, each with six elements and three sequences."""

    def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
        if vr == b"SQ":
            item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(value)) + value
            return struct.pack("<HH2sHL", group, number, vr, 0, len(item)) + item
        return struct.pack("<HH2sH", group, number, vr, len(value)) + value

    image = dataset(StudyInstanceUID=study or new_uid(), NumberOfFrames=frames, PixelData=None)
    yield part10(image)
    yield struct.pack("<HH2sHL", 0x5200, 0x9230, b"SQ", 0, 0xFFFFFFFF)
    for number in range(1, frames + 1):
        groups = (
            element(
                0x0020,
                0x9111,
                b"SQ",
                element(0x0018, 0x9074, b"DT", b"20260101120000.123456 ")
                + element(0x0020, 0x9056, b"SH", b"1 ")
                + element(0x0020, 0x9057, b"UL", struct.pack("<L", number))
                + element(0x0020, 0x9157, b"UL", struct.pack("<LL", 1, number)),
            )
            + element(0x0020, 0x9113, b"SQ", element(0x0020, 0x0032, b"DS", b"%09.3f\\-120.530\\33.221 " % number))
            + element(0x0028, 0x9110, b"SQ", element(0x0028, 0x0030, b"DS", b"0.9375\\0.9375 "))
        )
        yield b"\xfe\xff\x00\xe0" + struct.pack("<L", len(groups)) + groups
    yield bytes.fromhex("feffdde000000000")
    pixels = bytes(16 * frames)
    yield struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, len(pixels)) + pixels


async def store(server: Server, files: Files) -> None:
    """Store files in one request, generated as it is sent; all of them must be stored."""
    count = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal count
        for file in files:
            count += 1
            yield b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n"
            for chunk in file:
                yield chunk
            yield b"\r\n"
        yield b"--" + BOUNDARY + b"--\r\n"

    async with httpx.AsyncClient(base_url=f"{server.base_url}/v2", timeout=600) as client:
        response = await client.post("/studies", content=body(), headers=HEADERS)
    assert response.status_code == 200, response.text[:1000]
    assert len(response.json()["00081199"]["Value"]) == count


def check_growth(server: WarmServer, capsys: pytest.CaptureFixture[str], what: str, *requests: Awaitable[None]) -> None:
    """Send requests at once, and check that the process' memory stays within bounds."""

    async def all_at_once() -> None:
        await asyncio.gather(*requests)

    (server.process / "clear_refs").write_text("5")  # restarts the count of the peak
    asyncio.run(all_at_once())
    growth = peak_bytes(server.process) - server.bytes_at_rest
    with capsys.disabled():
        sys.stdout.write(f"\n{what}: the process grew by {growth / MIB:.0f} MiB\n")
    assert growth < MAX_GROWTH_BYTES
