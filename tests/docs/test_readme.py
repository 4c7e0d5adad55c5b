"""The README says truly what is needed, and what is not there."""

import re
from pathlib import Path

import pytest
from azure.functions.decorators.function_app import Function

from local.server import routes_of
from tests.support.documents import rows

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

# What Microsoft's service has and this one lacks, and what stands in the route of each.
LACKING = {
    "bulk update": "$bulkupdate",
    "bulk import": "import",
    "export": "export",
    "partitions": "partitions",
    "worklist": "workitems",
}


def lacking(document: str) -> list[str]:
    """What a document says is lacking, in its order."""
    listed = re.search(r"it has no (store by PUT, expiry, .*?) \(UPS-RS\)", " ".join(document.split()), re.IGNORECASE)
    assert listed
    return re.split(r", | or ", listed[1])


@pytest.mark.parametrize("name", ["README.md", "docs/faq.md"])
def test_what_is_lacking_is_named_and_not_there(name: str, functions: list[Function]) -> None:
    assert lacking((ROOT / name).read_text()) == ["store by PUT", "expiry", *LACKING]
    routes = list(routes_of(functions))
    served = [route for route in routes if route.template != "{*path}"]
    assert not [route for route in served if "PUT" in route.methods]
    assert not [part for part in LACKING.values() for route in served if part in route.template.lower()]


def test_the_pythons_are_those_that_are_set_up() -> None:
    allowed = re.search(
        r"\(3, (\d+)\) <= sys.version_info\[:2\] <= \(3, (\d+)\)", (ROOT / "local/setup.sh").read_text()
    )
    assert allowed
    first, last = map(int, allowed.groups())
    *others, newest = (f"3.{minor}" for minor in range(first, last + 1))
    assert f"Python {', '.join(others)} and {newest}." in README
    assert f"Python {', '.join(others)} or {newest} with" in README


def test_the_disk_that_is_needed_is_what_the_table_adds_up_to() -> None:
    (needed,) = (what for target, what in rows(README, "for") if target.startswith("make run"))
    packages, azurite, node = (int(number) for number in re.findall(r"\b(\d{2,})\b(?= of)", needed))
    said = re.search(r"(\d+) MB of disk \((\d+) where", README)
    assert said
    assert [int(number) for number in said.groups()] == [packages + azurite, packages + azurite + node]


def test_no_sentence_goes_on_after_a_block() -> None:
    after = re.findall(r"^```\w+\n.*?^```\n\n(.)", README, re.MULTILINE | re.DOTALL)
    assert len(after) > 8
    assert not [first for first in after if first.islower()]
