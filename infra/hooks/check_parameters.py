"""azd runs it before it provisions: refuses values that azd cannot read, and points out variables that are misspelt.

A bool or an int that it cannot read, azd leaves out, and the template's default holds: with PRIVATE_NETWORK=yes, the
storage would be open to the Internet.
"""

import difflib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Kind:
    """The parameters of a type in Bicep: which values azd reads as such."""

    types: str
    """A pattern of how Bicep writes the type."""
    reads: Callable[[str], bool]
    allowed: str
    example: str


def _is_int(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?[0-9]+", text)) and -(2**63) <= int(text) < 2**63


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


# Go's ParseBool and ParseInt; any text is a string.
_BOOLS: Final = {"1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"}
KINDS: Final = (
    Kind(r"bool\??", _BOOLS.__contains__, "true or false", "true"),
    Kind(r"int\??", _is_int, "a whole number", "30"),
    Kind(r"object\??|\{.*", _is_object, "a JSON object", """'{"NAME": "value"}'"""),
)


def main() -> None:
    """Exit with 1, and a line for each value that azd cannot read, if there are any."""
    template = (ROOT / "infra/main.bicep").read_text()
    parameters = json.loads((ROOT / "infra/main.parameters.json").read_text())["parameters"]
    variables = {
        found[1]: name
        for name, entry in parameters.items()
        if (found := re.fullmatch(r"\$\{(\w+)(?:=.*)?\}", str(entry.get("value"))))
    }
    outputs = set(re.findall(r"^output (\w+) ", template, re.MULTILINE))
    for warning in misspelt(set(variables), outputs):
        print(warning, file=sys.stderr)
    problems = list(unreadable(variables, dict(re.findall(r"^param (\w+) (\S+)", template, re.MULTILINE))))
    if problems:
        sys.exit("\n".join(["Nothing is provisioned: azd cannot read the value of", *problems]))


def unreadable(variables: dict[str, str], types: dict[str, str]) -> Iterator[str]:
    """A line for each variable whose value is not of its parameter's type. An empty one counts as not set."""
    for variable, parameter in variables.items():
        value = os.environ.get(variable)
        for kind in KINDS:
            if value and re.fullmatch(kind.types, types.get(parameter, "")) and not kind.reads(value):
                yield f"  {variable}: {value!r} is not {kind.allowed}. Example: azd env set {variable} {kind.example}"


def misspelt(variables: set[str], outputs: set[str]) -> Iterator[str]:
    """A line for each variable of the azd environment that nothing reads, but that looks like one that is read."""
    file = ROOT / ".azure" / os.environ.get("AZURE_ENV_NAME", "") / ".env"
    names = re.findall(r"^(\w+)=", file.read_text(), re.MULTILINE) if file.is_file() else []
    for name in names:
        if name not in variables | outputs and (close := difflib.get_close_matches(name.upper(), variables, 1, 0.8)):
            yield f"Warning: nothing reads {name}, in {file.relative_to(ROOT)}. Was {close[0]} meant?"


if __name__ == "__main__":
    main()
