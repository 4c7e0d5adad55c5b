from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import Server


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[httpx.Client]:
    """A client of the service's v2 URL."""
    with httpx.Client(base_url=f"{server.base_url}/v2", timeout=60) as client:
        yield client
