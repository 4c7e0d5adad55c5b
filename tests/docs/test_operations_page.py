"""docs/operations.md names what is exported, queries ask for that, and the script of docs/backup.md copies tables."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableServiceClient

from local import azurite
from local.ports import free_ports

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
BACKUP = (ROOT / "docs/backup.md").read_text()
TELEMETRY = (ROOT / "functions/edge/application_insights.py").read_text()
PRIVACY = (ROOT / "docs/privacy.md").read_text()
QUERIES = re.findall(r"```kql\n(.*?)```", PAGE + PRIVACY, re.DOTALL)
TABLES = {"AppRequests", "AppDependencies", "AppMetrics", "AppTraces", "AppExceptions", "StorageBlobLogs"}


def exported() -> set[str]:
    names = set(re.findall(r'"(dicomweb\.[\w.]+)"', TELEMETRY))
    counters = re.search(r"_STORAGE_COUNTERS: Final = \((.*?)\)", TELEMETRY)
    assert counters is not None
    return names | {f"dicomweb.storage.{name}" for name in re.findall(r'"(\w+)"', counters[1])}


def test_what_is_exported_is_documented_and_nothing_else() -> None:
    described = set(re.findall(r"`(dicomweb\.[\w.]+)`", PAGE.partition("## Questions")[0])) - {"dicomweb.request"}
    assert described == exported()


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_tables_that_are_and_names_that_are_exported(query: str) -> None:
    asked = set(re.findall(r"(?:^|\()\s*((?:App|Storage)\w+)", query, re.MULTILINE))
    assert asked
    assert asked <= TABLES
    named = set(re.findall(r'"(dicomweb\.[\w.]*)"', query))
    assert {name for name in named if not name.endswith(".")} <= exported()


@pytest.fixture(scope="module")
def accounts() -> Iterator[tuple[str, str]]:
    with azurite.running(free_ports(3), None) as one, azurite.running(free_ports(3), None) as other:
        yield one.connection_string, other.connection_string


def test_the_script_copies_each_row_as_it_is(accounts: tuple[str, str]) -> None:
    source, target = accounts
    row = {"PartitionKey": "PatientName=Roe^Max!0023", "RowKey": "1", "packed": b"\x00\xff", "count": 3, "is": True}
    for name in ("journal", "terms", "catalog"):
        table = TableServiceClient.from_connection_string(source).create_table(name)
        table.create_entity(row)
    script: dict[str, Any] = {"__name__": "copy_tables"}
    (code,) = re.findall(r"```python\n(.*?)```", BACKUP, re.DOTALL)
    exec(code, script)  # noqa: S102 -- the page's own
    for _ in range(2):  # a second run finds the tables
        script["copy"](source, target)
    for name in ("journal", "terms", "catalog"):
        copied = TableServiceClient.from_connection_string(target).get_table_client(name).list_entities()
        assert [dict(found) for found in copied] == [row]
