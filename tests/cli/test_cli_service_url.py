"""Which URL is suggested where no service answers at the one that is given."""

from collections.abc import Callable

import httpx
import pytest

from dicomweb_cli.connection import Connection
from dicomweb_cli.service_url import meant_url, without_version

FOUND = httpx.Response(200, json=[])


def connection(url: str, answer: Callable[[str], httpx.Response]) -> Connection:
    """A connection to a server whose answer depends on the path."""
    return Connection(httpx.AsyncClient(transport=httpx.MockTransport(lambda request: answer(request.url.path))), url)


@pytest.mark.parametrize(
    ("given", "service", "answer"),
    [
        ("https://h", "https://h/v2", FOUND),
        ("https://h/dicom", "https://h/dicom/v2", FOUND),
        ("https://h/dicom", "https://h/v2", httpx.Response(401)),
        ("https://h/v9", "https://h/v2", httpx.Response(403)),
        ("https://h/v2/v2", "https://h/v2", FOUND),
        ("https://h/v2/studies/1.2", "https://h/v2", FOUND),
        ("https://h/rs/studies", "https://h/rs", FOUND),
        ("https://h:8042", "https://h:8042/dicom-web", httpx.Response(204)),
    ],
)
async def test_the_service_is_found_near_the_url(given: str, service: str, answer: httpx.Response) -> None:
    path = httpx.URL(f"{service}/studies").path
    assert await meant_url(connection(given, lambda asked: answer if asked == path else httpx.Response(404))) == service


@pytest.mark.parametrize(
    "everywhere", [httpx.Response(200, html="<p>Welcome</p>"), httpx.Response(200, json=["a"]), httpx.Response(404)]
)
async def test_what_is_not_dicomweb_is_not_suggested(everywhere: httpx.Response) -> None:
    assert await meant_url(connection("https://h", lambda _: everywhere)) is None


async def test_nothing_is_suggested_where_the_url_is_right_or_nobody_answers() -> None:
    def break_off(_: str) -> httpx.Response:
        raise httpx.ReadError("broken")

    assert await meant_url(connection("https://h/v1", lambda _: FOUND)) is None
    assert await meant_url(connection("https://h/v1", break_off)) is None


def test_the_version_is_the_end_of_a_url() -> None:
    assert [without_version(f"https://h{end}") for end in ("/v2", "/v1.0-prerelease", "/a/v1", "/views", "")] == [
        "https://h",
        "https://h",
        "https://h/a",
        "https://h/views",
        "https://h",
    ]
