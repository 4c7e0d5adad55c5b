"""What the Functions host and the Python worker require of the functions before they serve any."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import get_type_hints

import pytest
from azure.functions.decorators.function_app import Function
from azurefunctions.extensions.base import (  # type: ignore[import-untyped]
    HttpV2FeatureChecker,
    RequestTrackerMeta,
    ResponseTrackerMeta,
)
from fastapi import FastAPI
from starlette.routing import Route as FastApiRoute

from local.routing import find
from local.server import routes_of

ROOT = Path(__file__).parents[2]

# Prints the names under which the worker's own code registers the functions; fails for one that it does not accept.
INDEX = """
import json
from types import SimpleNamespace
from azure.functions.decorators.core import BindingDirection
from azure_functions_runtime.bindings.meta import load_binding_registry
from azure_functions_runtime.functions import Registry
from azure_functions_runtime.http_v2 import HttpV2Registry
from azure_functions_runtime.loader import index_function_app

load_binding_registry()
directions = SimpleNamespace(out=BindingDirection.OUT.value, inout=BindingDirection.INOUT.value, undefined=None)
registry, functions = Registry(), index_function_app("function_app.py")
assert HttpV2Registry.http_v2_enabled(), "bodies would not be streamed"
entered = [registry.add_indexed_function(function, SimpleNamespace(BindingInfo=directions)) for function in functions]
print(json.dumps([[info.name, info.is_async, info.is_http_func] for info in entered]))
"""


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


def test_no_function_has_a_path_that_fastapi_itself_answers(functions: list[Function]) -> None:
    # The extension's app is a FastAPI: a function at such a path would never be called, and the host would wait for it.
    its_own = [route for route in FastAPI().routes if isinstance(route, FastApiRoute)]
    assert {"/docs", "/redoc", "/openapi.json"} <= {route.path for route in its_own}
    routes = routes_of(functions)
    for route in its_own:
        for method in route.methods or ():
            assert find(routes, method, route.path) is None, (method, route.path)


@pytest.mark.parametrize("path", ["admin", "runtime"])
def test_no_function_has_a_path_of_the_host(functions: list[Function], path: str) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        assert find(routes_of(functions), method, f"/{path}/functions") is None


@pytest.mark.skipif(find_spec("azure_functions_runtime") is None, reason="the worker's code needs Python 3.13")
def test_the_worker_itself_registers_every_function(functions: list[Function]) -> None:
    done = subprocess.run([sys.executable, "-c", INDEX], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(done.stdout)) == sorted(
        [function.get_function_name(), True, is_http(function)] for function in functions
    )
