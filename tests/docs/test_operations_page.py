"""docs/operations.md names what is exported, and queries ask for that."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
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
