"""The memory that the served process takes, over what it takes at rest, while it stores large and many instances."""

from collections.abc import Iterator

import pytest

from tests.support.measured_server import (
    GIB,
    KIB,
    MIB,
    Files,
    WarmServer,
    check_growth,
    enhanced_image,
    instance,
    needs_proc,
    store,
    warm_server,
)
from tests.support.served_instances import new_uid

pytestmark = [pytest.mark.long, needs_proc]

FRAMES = 10_000
REQUESTS_AT_ONCE = 16


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmServer]:
    """A server for these tests alone, which has stored something."""
    with warm_server(
        tmp_path_factory.mktemp("memory"), lambda server: store(server, iter([enhanced_image(100)]))
    ) as running:
        yield running


def mixed_request(study: str) -> Files:
    """A large instance, an enhanced one and many small ones."""
    yield instance(study, 64 * MIB)
    yield enhanced_image(FRAMES, study)
    for _ in range(40):
        yield instance(study, 500 * KIB)


def test_an_instance_of_2_gib(server: WarmServer, capsys: pytest.CaptureFixture[str]) -> None:
    check_growth(server, capsys, "An instance of 2 GiB", store(server, iter([instance(new_uid(), 2 * GIB)])))


def test_2000_instances_in_one_request(server: WarmServer, capsys: pytest.CaptureFixture[str]) -> None:
    study = new_uid()
    files = (instance(study, 500 * KIB) for _ in range(2_000))
    check_growth(server, capsys, "2,000 instances of 500 KiB in one request", store(server, files))


def test_many_requests_at_once(server: WarmServer, capsys: pytest.CaptureFixture[str]) -> None:
    requests = [store(server, mixed_request(new_uid())) for _ in range(REQUESTS_AT_ONCE)]
    what = f"{REQUESTS_AT_ONCE} requests at once, each of 64 MiB, of {FRAMES} frames and of 40 x 500 KiB"
    check_growth(server, capsys, what, *requests)
