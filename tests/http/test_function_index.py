"""What the Functions host and the Python worker require of the functions before they serve any."""

import re
from inspect import signature
from typing import get_type_hints

import pytest
from azure.functions.decorators.function_app import Function
from azurefunctions.extensions.base import (  # type: ignore[import-untyped]
    HttpV2FeatureChecker,
    RequestTrackerMeta,
    ResponseTrackerMeta,
)
from azurefunctions.extensions.http.fastapi import web  # type: ignore[import-untyped]

from local.routing import find
from local.server import routes_of


def is_http(function: Function) -> bool:
    trigger = function.get_trigger()
    return trigger is not None and trigger.type == "httpTrigger"


def test_names_are_valid_and_differ_in_more_than_case(functions: list[Function]) -> None:
    names = [(function.get_function_name() or "").lower() for function in functions]
    assert all(re.fullmatch(r"(?!host$)[a-z][a-z0-9_-]{0,127}", name) for name in names)
    assert len(names) == len(set(names))


def test_handlers_have_types_that_the_extension_knows(functions: list[Function]) -> None:
    assert HttpV2FeatureChecker.http_v2_enabled()
    for function in filter(is_http, functions):
        handler, trigger = function.get_user_function(), function.get_trigger()
        assert trigger
        assert list(signature(handler).parameters) == [trigger.name]
        hints = get_type_hints(handler)
        assert isinstance(hints["return"], type)  # not a union
        assert RequestTrackerMeta.check_type(hints[trigger.name]), function.get_function_name()
        assert ResponseTrackerMeta.check_type(hints["return"]), function.get_function_name()


def test_the_worker_has_no_pages_of_its_own(functions: list[Function]) -> None:
    # The extension's app is a FastAPI: a function at one of its paths would never be called, and the host would wait.
    assert functions
    assert web.WebApp().get_app().routes == []


@pytest.mark.parametrize("path", ["admin", "runtime"])
def test_no_function_asks_for_a_path_of_the_host(functions: list[Function], path: str) -> None:
    # The host's own pages come before all functions, but it refuses to start with a function that names them.
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        found = find(routes_of(functions), method, f"/{path}/functions")
        assert found
        assert found[0].function_name == "ZAnswerOtherPaths"
