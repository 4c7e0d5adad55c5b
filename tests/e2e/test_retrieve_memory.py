"""The memory that the served process takes, over what it takes at rest, while much is retrieved from it."""

import asyncio
from collections.abc import Iterator
from io import BytesIO

import httpx
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless, RLELossless

from tests.conftest import Server
from tests.support.measured_server import (
    GIB,
    KIB,
    MIB,
    WarmServer,
    check_growth,
    enhanced_image,
    instance,
    needs_proc,
    store,
    warm_server,
)
from tests.support.served_instances import dataset, new_uid, part10

pytestmark = [pytest.mark.long, needs_proc]

LARGE_STUDY, SMALL_STUDY, ENHANCED_STUDY, FRAMES_STUDY = new_uid(), new_uid(), new_uid(), new_uid()
NATIVE = 'multipart/related; type="application/dicom"'
STORED = f"{NATIVE}; transfer-syntax=*"
FRAMES = 200


def frames_image(study: str, frames: int) -> bytes:
    """An image of frames of 512 KiB each, which compress like CT."""
    rng = np.random.default_rng(1)
    ramp = np.add.outer(np.arange(512), np.arange(512)).astype("<u2")
    pixels = b"".join((ramp + rng.integers(0, 20, (512, 512), "<u2")).tobytes() for _ in range(frames))
    return part10(
        dataset(
            StudyInstanceUID=study,
            Rows=512,
            Columns=512,
            NumberOfFrames=frames,
            BitsAllocated=16,
            BitsStored=12,
            HighBit=11,
            PixelData=pixels,
        )
    )


async def warm_up(server: Server) -> None:
    """Store something, and retrieve it in every way."""
    study = new_uid()
    await store(server, iter([iter([frames_image(study, 2)])]))
    for path, accept in [
        ("", f"{NATIVE}; transfer-syntax={RLELossless}"),
        ("", f"{NATIVE}; transfer-syntax={JPEGLSLossless}"),
        ("", "application/zip"),
        ("/metadata", "*/*"),
        ("/rendered", "*/*"),
    ]:
        await retrieve(server, f"/studies/{study}{path}", accept)


async def retrieve(server: Server, path: str, accept: str, least_bytes: int = 0) -> None:
    """Retrieve a resource without keeping it."""
    size = 0
    async with (
        httpx.AsyncClient(base_url=f"{server.base_url}/v2", timeout=600) as client,
        client.stream("GET", path, headers={"Accept": accept, "Accept-Encoding": "identity"}) as response,
    ):
        assert response.status_code == 200
        async for chunk in response.aiter_raw():
            size += len(chunk)
    assert size >= least_bytes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmServer]:
    """A server for these tests alone, with a study of 2 GiB, one of many small instances, and one of many frames."""
    with warm_server(tmp_path_factory.mktemp("memory"), warm_up) as running:
        many = (instance(SMALL_STUDY, 500 * KIB) for _ in range(400))
        asyncio.run(store(running, iter([instance(LARGE_STUDY, 2 * GIB)])))
        asyncio.run(store(running, many))
        asyncio.run(store(running, iter([enhanced_image(10_000, ENHANCED_STUDY)])))
        asyncio.run(store(running, iter([iter([frames_image(FRAMES_STUDY, FRAMES)])])))
        yield running


@pytest.mark.parametrize("accept", [STORED, "application/zip"])
def test_a_study_of_2_gib(server: WarmServer, capsys: pytest.CaptureFixture[str], accept: str) -> None:
    request = retrieve(server, f"/studies/{LARGE_STUDY}", accept, 2 * GIB)
    check_growth(server, capsys, f"A study of 2 GiB as {accept}", request)


def test_a_study_of_many_instances_to_many_clients(server: WarmServer, capsys: pytest.CaptureFixture[str]) -> None:
    requests = [retrieve(server, f"/studies/{SMALL_STUDY}", STORED, 400 * 500 * KIB) for _ in range(4)]
    check_growth(server, capsys, "A study of 400 x 500 KiB to 4 clients", *requests)


def test_metadata_of_ten_thousand_frames(server: WarmServer, capsys: pytest.CaptureFixture[str]) -> None:
    request = retrieve(server, f"/studies/{ENHANCED_STUDY}/metadata", "*/*", 2 * MIB)
    check_growth(server, capsys, "Metadata of 10,000 frames", request)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_many_frames_transcoded(server: WarmServer, capsys: pytest.CaptureFixture[str], syntax: str) -> None:
    requests = [
        retrieve(server, f"/studies/{FRAMES_STUDY}", f"{NATIVE}; transfer-syntax={syntax}", 20 * MIB) for _ in range(2)
    ]
    check_growth(server, capsys, f"{FRAMES} frames of 512 KiB transcoded to {syntax}, twice at once", *requests)


def test_what_was_measured_is_what_was_requested(server: WarmServer) -> None:
    accept = {"Accept": f"{NATIVE}; transfer-syntax={RLELossless}"}
    whole = httpx.get(f"{server.base_url}/v2/studies/{FRAMES_STUDY}", headers=accept, timeout=600).content
    image = dcmread(BytesIO(whole[whole.index(b"DICM") - 128 :]))
    assert image.file_meta.TransferSyntaxUID == RLELossless
    native = dcmread(BytesIO(frames_image(FRAMES_STUDY, FRAMES)))
    assert np.array_equal(image.pixel_array, native.pixel_array)
