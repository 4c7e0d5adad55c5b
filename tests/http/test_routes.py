"""The table of routes: what each function needs, and that none can be forgotten."""

import azure.functions as func
import pytest

from functions.edge import function as edge
from functions.routes import ROUTES
from shared.web.http_function import Answers, HttpFunction
from shared.web.permissions import NOTHING, Permission

OPEN = {"AnswerPreflight", "CheckHealth", "CheckLiveness", "DescribeApi", "DescribeApiAsJson", "ZAnswerOtherPaths"}


@pytest.mark.parametrize("row", ROUTES.values(), ids=ROUTES)
def test_what_a_function_needs_is_what_its_methods_do(row: HttpFunction) -> None:
    if row.name in OPEN:
        assert row.permission == NOTHING
    elif "/subscriptions" not in row.route and set(row.methods) <= {"GET", "HEAD"}:
        assert row.permission == Permission.READ
    else:
        assert row.permission == Permission.WRITE


def test_a_row_without_a_permission_does_not_load() -> None:
    with pytest.raises(TypeError, match="permission"):
        HttpFunction("Forgotten", "{version}/forgotten", ("GET",), answers=Answers.DELETE)  # type: ignore[call-arg]


@pytest.mark.usefixtures("functions")  # all others have theirs
def test_a_row_without_a_handler_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    row = HttpFunction("Forgotten", "{version}/forgotten", ("GET",), Permission.READ, Answers.DELETE)
    monkeypatch.setattr(edge, "ROUTES", {**ROUTES, row.name: row})
    with pytest.raises(KeyError, match="Forgotten"):
        edge.register(func.FunctionApp())


def test_a_handler_without_a_row_does_not_load() -> None:
    with pytest.raises(KeyError, match="Forgotten"):
        edge.function("Forgotten")
