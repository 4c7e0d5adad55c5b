"""docs/operations.md names what is exported, and queries ask for that."""

import re
from pathlib import Path

import pytest
from azure.storage.queue import QueueServiceClient

from local.azurite import Azurite

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
TELEMETRY = (ROOT / "functions/edge/application_insights.py").read_text()
PRIVACY = (ROOT / "docs/privacy.md").read_text()
LOOK, PUT_BACK = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
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


def test_messages_are_counted_and_put_back_by_what_the_page_says(
    azurite: Azurite, capsys: pytest.CaptureFixture[str]
) -> None:
    account = QueueServiceClient.from_connection_string(azurite.connection_string)
    queue, poison = account.create_queue("operations"), account.create_queue("operations-poison")
    for body in ("one", "two"):
        poison.send_message(body)
    look = re.sub(r"^(from|account = ).*\n", "", LOOK, flags=re.MULTILINE)
    exec(look + PUT_BACK + look, {"account": account})  # noqa: S102 -- our own page
    before, after = re.findall(r"^operations (\d)$", capsys.readouterr().out, re.MULTILINE)
    assert (before, after) == ("0", "2")
    assert poison.get_queue_properties().approximate_message_count == 0
    found = list(queue.receive_messages())
    assert sorted(message.content for message in found) == ["one", "two"]
    assert all(message.expires_on and message.expires_on.year == 9999 for message in found)
    for each in (queue, poison):
        each.delete_queue()
