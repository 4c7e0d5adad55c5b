"""The HTTP functions that the app registers, for those that tell clients of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import azure.functions as func


@dataclass(frozen=True, slots=True)
class HttpFunction:
    """A function's name, the template of its route without leading slash, its methods, and what its docstring says."""

    name: str
    route: str
    methods: tuple[str, ...]
    summary: str


@cache
def http_functions() -> tuple[HttpFunction, ...]:
    """All of them, by name."""
    return tuple(sorted(_registered(), key=lambda function: function.name))


def _registered() -> Iterator[HttpFunction]:
    from functions.blueprints import BLUEPRINTS

    app = func.FunctionApp()
    for blueprint in BLUEPRINTS:
        app.register_functions(blueprint)
    for function in app.get_functions():
        trigger = function.get_trigger()
        if trigger is not None and trigger.type == "httpTrigger":
            details = trigger.get_dict_repr()
            yield HttpFunction(
                name=function.get_function_name() or "",
                route=details["route"],
                methods=tuple(method.value for method in details["methods"]),
                summary=(function.get_user_function().__doc__ or "").partition("\n")[0],
            )
