"""Which URL is probably meant where a server has no DICOMweb service at the one that is given."""

import re
from collections.abc import Iterator

import httpx

from dicomweb_cli.connection import CannotGoOn, Connection
from dicomweb_cli.results import page_of

_WITH_RESOURCE = re.compile(r"/(studies|series|instances)(/.*)?$")
_VERSION = re.compile(r"/v\d[^/]*$")


async def meant_url(connection: Connection) -> str | None:
    """Where the server has a DICOMweb service, if it has none at the connection's URL; None if it is not found."""
    try:
        if is_service(await searched(connection, connection.url)):
            return None
        for url in _candidates(connection.url):
            if is_service(await searched(connection, url)):
                return url
    except CannotGoOn:
        pass
    return None


async def searched(connection: Connection, url: str, *, is_signed: bool = True) -> httpx.Response:
    """The answer to a search for one study at the URL. Raises CannotGoOn where there is none."""
    return await connection.probe(f"{url}/studies?limit=1", is_signed=is_signed)


def is_service(response: httpx.Response) -> bool:
    """Whether an answer to a search is that of a DICOMweb service, or of one that requires another sign-in."""
    return response.status_code in (401, 403) or (response.is_success and page_of(response) is not None)


def without_version(url: str) -> str:
    """The URL before the version of the API that ends it."""
    return _VERSION.sub("", url)


def _candidates(url: str) -> Iterator[str]:
    whole = httpx.URL(url)
    origin = str(whole.copy_with(path="/", query=None)).rstrip("/")
    service = _WITH_RESOURCE.sub("", url)
    root = without_version(service)
    urls = (service, f"{root}/v2", root, f"{root}/dicom-web", f"{origin}/v2", f"{origin}/dicom-web")
    yield from (candidate for candidate in dict.fromkeys(urls) if candidate != url)
