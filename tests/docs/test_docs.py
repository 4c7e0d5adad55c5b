"""The documents say what the code does."""

import re
from collections.abc import Iterator
from dataclasses import fields
from enum import IntEnum
from pathlib import Path

import pytest
from azure.functions.decorators.function_app import Function

from local.server import routes_of
from shared.archive.terms import is_indexed
from shared.dicom.attributes import ATTRIBUTES, SEARCHABLE, Level
from shared.dicom.transfer_syntaxes import DECODABLE, ENCODABLE, frame_media_type
from shared.openapi import statuses
from shared.openapi.operation_schemas import operation_schemas
from shared.openapi.statuses import Statuses
from shared.search.query_values import matched_by
from shared.settings import Settings
from shared.web import cross_origin
from shared.web.failure_reasons import FailureReason, WarningReason
from shared.web.permissions import ROLES, SCOPES, Permission
from tests.support.documents import CONFORMANCE, check_rows, rows

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])


def test_the_conformance_statement_lists_every_route_and_no_other(functions: list[Function]) -> None:
    registered = [
        (route.function_name, ", ".join(sorted(route.methods)), route.template) for route in routes_of(functions)
    ]
    check_rows("docs/conformance.md", "function", registered)


@pytest.mark.parametrize(("heading", "reasons"), [("code", FailureReason), ("warning", WarningReason)])
def test_the_conformance_statement_lists_every_reason(heading: str, reasons: type[IntEnum]) -> None:
    documented = {name: int(code) for code, name, _ in rows(CONFORMANCE, heading)}
    assert documented == {reason.name: reason.value for reason in reasons}


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("Sign-in", statuses.SIGN_IN),
        ("Store (STOW-RS)", statuses.STORE),
        ("Retrieve (WADO-RS)", statuses.RETRIEVE),
        ("Search (QIDO-RS)", statuses.SEARCH),
        ("Delete", statuses.DELETE),
        ("Change feed", statuses.CHANGES),
        ("Extended query tags", statuses.TAGS_ADDED),
        ("Subscriptions", statuses.SUBSCRIBED),
    ],
)
def test_the_conformance_statement_lists_every_status(heading: str, table: Statuses) -> None:
    expected = [(str(status.value), when) for status, when in table.items()]
    check_rows("docs/conformance.md", "status", expected, section=heading)


@pytest.mark.parametrize(
    ("heading", "table"),
    [("status of a start", statuses.OPERATION_STARTED), ("status of a state", statuses.OPERATION)],
)
def test_the_conformance_statement_lists_every_status_of_operations(heading: str, table: Statuses) -> None:
    check_rows("docs/conformance.md", heading, [(str(status.value), when) for status, when in table.items()])


def test_the_conformance_statement_lists_what_starts_an_operation() -> None:
    schemas = operation_schemas()
    documented = rows(CONFORMANCE, "member of the body")
    assert [name for name, _ in documented] == list(schemas["Verify"]["properties"])
    members = [name for names, _ in rows(CONFORMANCE, "member of the state") for name in names.split(", ")]
    assert members == list(schemas["Operation"]["properties"])


def test_the_conformance_statement_lists_every_searchable_attribute() -> None:
    expected = [(key.keyword, ".".join(key.path), key.level.word, ", ".join(matched_by(key.vr))) for key in SEARCHABLE]
    check_rows("docs/conformance.md", "attribute", expected)
    assert [key.keyword for key in SEARCHABLE if not is_indexed(key)] == ["StudyInstanceUID", "InstanceNumber"]


def test_the_conformance_statement_lists_what_searches_return_unasked() -> None:
    expected = [
        (level.word, ", ".join(known.keyword for known in ATTRIBUTES if known.is_returned and known.level is level))
        for level in Level
    ]
    check_rows("docs/conformance.md", "of each", expected)


def test_the_conformance_statement_lists_the_transfer_syntaxes_that_can_be_transcoded() -> None:
    expected = [(uid, frame_media_type(uid), "yes", "yes" if uid in ENCODABLE else "no") for uid in sorted(DECODABLE)]
    expected.append(("any other", "as in PS3.18 8.7.3.3", "no", "no"))
    check_rows("docs/conformance.md", "transfer syntax", expected)


def test_the_conformance_statement_lists_the_roles_and_scopes() -> None:
    permitted = {"GET, HEAD": Permission.READ, "every method": Permission.READ | Permission.WRITE}
    documented = rows(CONFORMANCE, "app role")
    assert {role: permitted[methods] for role, _, methods in documented} == ROLES
    assert {scope: permitted[methods] for _, scope, methods in documented} == SCOPES


def test_the_conformance_statement_lists_the_headers_that_pages_may_read() -> None:
    exposed = cross_origin.sharing_headers(frozenset({"*"}), None)["Access-Control-Expose-Headers"].split(", ")
    listed = re.search(r"errors too, allow their origin and expose ([\w\s,-]+)\.", CONFORMANCE)
    assert listed
    assert re.split(r",\s+|\s+and\s+", listed[1]) == exposed


def test_every_setting_is_documented_with_its_default_and_meaning() -> None:
    expected = []
    for setting in fields(Settings):
        default = str(setting.default).lower() if isinstance(setting.default, bool) else str(setting.default or "")
        expected.append((setting.name.upper(), default, setting.metadata["meaning"].replace("`", "")))
    check_rows("docs/configuration.md", "variable", expected)


def links() -> Iterator[tuple[str, str]]:
    """The documents and their links, but those to other sites; code holds none."""
    for document in DOCUMENTS:
        text = re.sub(r"```.*?```|`[^`\n]*`", "", document.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" not in target:
                yield str(document.relative_to(ROOT)), target


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("document", "target"), sorted(set(links())))
def test_links_lead_somewhere(document: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = (ROOT / document).parent / path if path else ROOT / document
    assert file.resolve().exists()
    assert not anchor or anchor in anchors(file)


def test_every_make_word_of_the_readme_exists() -> None:
    words = set(re.findall(r"`?make ([a-z-]+)", (ROOT / "README.md").read_text()))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert words
    assert words <= targets


def test_the_layout_of_the_readme_exists() -> None:
    text = (ROOT / "README.md").read_text()
    block = text[text.index("## Layout") :].split("```")[1]
    names = re.findall(r"^ *([\w./]+)", block, re.MULTILINE)
    assert len(names) > 8
    assert not [name for name in names if not list(ROOT.rglob(name.rstrip("/").rpartition("/")[2] or name))]


def test_the_messages_that_are_explained_are_those_of_the_service() -> None:
    sources = "".join(path.read_text() for folder in ("functions", "shared") for path in ROOT.glob(f"{folder}/**/*.py"))
    said = re.sub(r"\{[^{}]*\}|\"\s+f?\"", "", sources)
    messages = [message for _, message, _ in rows((ROOT / "docs/debugging.md").read_text(), "status") if message]
    assert len(messages) > 20
    # An ellipsis stands for what differs from case to case.
    assert not [message for message in messages if not all(part.strip() in said for part in message.split("…"))]
