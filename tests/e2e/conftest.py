from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import Server


@pytest.fixture(params=["v1", "v2"])
def service(server: Server, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client of the service's URL, of each version in turn."""
    with httpx.Client(base_url=f"{server.base_url}/{request.param}", timeout=60) as client:
        yield client
