"""Requests for extended query tags, as tests make them."""

import re
from typing import Any, Final

import httpx
from openapi_schema_validator import OAS31Validator

from shared.archive.operation import OperationStatus
from shared.services.operations.settlement import end
from shared.storage.archive import Archive

ROOT: Final = "https://dicom.example.org"
URL: Final = f"{ROOT}/v2"
TAGS: Final = "/extendedquerytags"
AGE: Final = {"path": "00101010", "vr": "AS", "level": "Study"}
PRIVATE: Final = {"path": "00991001", "vr": "LO", "level": "Instance", "privateCreator": "X"}
STATION: Final = {"path": "StationName", "level": "Instance"}

_ID: Final = re.compile("[0-9a-f]{32}")


async def check(client: httpx.AsyncClient, response: httpx.Response, schema: str, status: int = 200) -> Any:
    """The body of an answer, which is as documented."""
    assert response.status_code == status, response.text
    document = (await client.get("/api.json")).json()
    OAS31Validator({**document, "$ref": f"#/components/schemas/{schema}"}).validate(response.json())
    return response.json()


async def added(client: httpx.AsyncClient, *items: dict[str, Any]) -> str:
    """Add tags; return the operation's id."""
    response = await client.post(TAGS, json=items)
    reference = await check(client, response, "OperationReference", 202)
    assert _ID.fullmatch(reference["id"])  # the C# client refuses dashes
    assert reference == {"id": reference["id"], "href": f"{URL}/operations/{reference['id']}"}
    assert response.headers["Location"] == reference["href"]
    return str(reference["id"])


async def ended(archive: Archive, operation_id: str, status: OperationStatus) -> None:
    """Have an operation end, as its last unit does: before it succeeds, its tags are ready."""
    operation = await archive.operations.read(operation_id)
    assert operation is not None
    if status is OperationStatus.SUCCEEDED:
        await archive.tags.change(lambda tags: tags.with_ready(operation_id))
    await end(archive, operation, status)
