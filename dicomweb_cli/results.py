"""Results of searches (QIDO-RS), page by page."""

from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Any, Final

import httpx

from dicomweb_cli.connection import DICOM_JSON, Connection, NoService, expect
from dicomweb_cli.terminal import plain

_PAGE: Final = 200  # the most that Microsoft's service returns
_ERRONEOUS: Final = "erroneous-dicom-attributes"  # Microsoft's: extended query tags that could not index all instances

Result = dict[str, Any]
"""A data set in the DICOM JSON Model."""


async def results(
    connection: Connection,
    path: str,
    query: Sequence[tuple[str, str]] = (),
    *,
    wanted: int | None = None,
    warnings: list[str] | None = None,
) -> AsyncIterator[Result]:
    """The results of a search, up to the number wanted, or all.

    A server may return fewer than requested and have more: the end is an empty page, or the same page again.
    `warnings` gets the Warning headers of the last page with results, which are those that still hold, and which keys
    do not find all instances.
    Raises Refused and CannotGoOn.
    """
    page: list[Result] = []
    count = 0
    while wanted is None or count < wanted:
        limit = _PAGE if wanted is None else min(_PAGE, wanted - count)
        asked = [*query, ("limit", str(limit)), ("offset", str(count))]
        response = await connection.send("GET", path, headers={"Accept": DICOM_JSON}, query=asked)
        before, page = page, _expected_page(response)
        if warnings is not None and (page or not count):
            warnings[:] = [plain(text) for text in response.headers.get_list("Warning")]
            if erroneous := plain(response.headers.get(_ERRONEOUS, "")):
                warnings.append(f"some instances could not be indexed by {erroneous}, and are not found by it")
        if not page or page == before:
            return
        for result in page[: None if wanted is None else wanted - count]:
            yield result
        count += len(page)


def values_of(result: Result, tag: str) -> list[Any]:
    """The values of an attribute, for a name its alphabetic group; empty without the attribute."""
    values = result.get(tag, {}).get("Value") or []
    return [value.get("Alphabetic") if isinstance(value, dict) else value for value in values]


def value_of(result: Result, tag: str) -> str:
    """The first value of an attribute as text; "" without one."""
    first = next(iter(values_of(result, tag)), None)
    return "" if first is None else str(first)


def page_of(response: httpx.Response) -> list[Result] | None:
    """The data sets of an answer; None where it holds something else."""
    try:
        page = response.json() if response.content else []
    except ValueError:
        return None
    return page if isinstance(page, list) and all(isinstance(result, dict) for result in page) else None


def _expected_page(response: httpx.Response) -> list[Result]:
    page = page_of(expect(response, HTTPStatus.OK, HTTPStatus.NO_CONTENT))
    if page is None:
        kind = plain(response.headers.get("Content-Type", "an unnamed type"))
        raise NoService(f"{response.url.copy_with(query=None)} does not answer as DICOMweb: it sends {kind}.")
    return page
