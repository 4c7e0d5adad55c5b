"""Checks infra/main.parameters.json against the parameters of infra/main.bicep."""

import json
import re
from collections.abc import Iterator
from typing import Final

from tests.infra.bicep_syntax import BicepFile, Declaration, Literal

_REFERENCE: Final = re.compile(r"\$\{(\w+)(?:=(.*))?\}")

# azd's own names; every other variable is its parameter's name in upper case.
_AZD: Final = {"environmentName": "AZURE_ENV_NAME", "location": "AZURE_LOCATION"}

# Computed by default, which a file of values cannot say.
NOT_IN_THE_FILE: Final = {"authority"}


def variable_of(parameter: str) -> str:
    """The variable of an azd environment that sets a parameter: ``softDeleteDays`` is ``SOFT_DELETE_DAYS``."""
    return _AZD.get(parameter) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", parameter).upper()


def check_parameters(text: str, main: BicepFile) -> Iterator[str]:
    """A line for each parameter that is unknown, missing, or has a default other than in Bicep."""
    wanted = main.of("parameter")
    given = {name: entry["value"] for name, entry in json.loads(text)["parameters"].items()}
    for name in sorted(set(given) - set(wanted)):
        yield f"main.parameters.json: {name} is not a parameter of main.bicep."
    for name in sorted(set(wanted) - set(given) - NOT_IN_THE_FILE):
        yield f"main.parameters.json: {name} is missing."
    for name, value in given.items():
        if name in wanted and isinstance(value, str):
            yield from _check_reference(value, wanted[name])


def _check_reference(value: str, parameter: Declaration) -> Iterator[str]:
    found = _REFERENCE.fullmatch(value)
    if not found or found[1] != variable_of(parameter.name):
        yield f"main.parameters.json: {parameter.name} is not taken from {variable_of(parameter.name)}."
        return
    default = parameter.value.value if isinstance(parameter.value, Literal) else None
    expected = None if default is None else str(default).lower() if isinstance(default, bool) else str(default)
    if found[2] != expected:
        yield f"main.parameters.json: {parameter.name} has the default {found[2]!r}, in main.bicep {expected!r}."
