"""All checks of infra/. They need neither Azure nor the Bicep compiler, and cannot replace them."""

from pathlib import Path

from tests.infra.bicep_names import check_names
from tests.infra.bicep_policy import check_policy
from tests.infra.bicep_syntax import BicepFile, BicepSyntaxError, parse
from tests.infra.bicep_types import check_types
from tests.infra.parameters import check_parameters

ROOT = Path(__file__).parents[2]
PARAMETERS = "infra/main.parameters.json"


def sources() -> dict[str, str]:
    """The text of every file in infra/, by its path."""
    paths = [*ROOT.glob("infra/**/*.bicep"), ROOT / PARAMETERS]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted(paths)}


def parsed(texts: dict[str, str]) -> dict[str, BicepFile]:
    """The Bicep files among the texts; raises BicepSyntaxError."""
    return {path: parse(path, text) for path, text in texts.items() if path.endswith(".bicep")}


def problems(texts: dict[str, str]) -> list[str]:
    """A line for each thing that is wrong."""
    try:
        files = parsed(texts)
    except BicepSyntaxError as error:
        return [str(error)]
    return [
        *check_names(files),
        *check_types(files),
        *check_policy(files),
        *check_parameters(texts[PARAMETERS], files["infra/main.bicep"]),
    ]
