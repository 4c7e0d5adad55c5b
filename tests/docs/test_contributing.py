"""CONTRIBUTING.md names what exists, and each recipe every file that its example stands in."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.support.repository_files import texts

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = dict(re.findall(r"^## (Add .+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
STEPS = [
    (heading, step)
    for heading, recipe in RECIPES.items()
    for step in re.findall(r"^\d+\. (.*?)(?=^\d+\. |^$)", recipe, re.MULTILINE | re.DOTALL)
]
PATH: Final = re.compile(r"(?<![\w./*-])(?:[\w-]+/)*[\w.-]+\.(?:bicep|json|md|py|toml)\b|\btests/[\w/]+(?!\.)\b")

# What an example of each recipe is called in the files that it needs; other files must not say it in passing.
EXAMPLES: Final = {
    "Add a searchable attribute": "RequestedProcedureID",
    "Add a setting": '(?i:max_frames)|publicBaseUrl|"TRUST_FORWARDED": "true"',
    "Add a transaction": (
        r"RetrieveBulkdata|retrieve_bulk|BULK_VALUE|^    retrieve,$|def other_request|^\| Retrieve \(WADO-RS\)"
    ),
    "Add a codec": r"JPEG[-_]LS|1\.2\.840\.10008\.1\.2\.4\.80",
}
# A lock and a changelog say everything in their own words; this test and its document name the examples themselves.
NOT_SEARCHED: Final = re.compile(r"requirements.*|CHANGELOG\.md|CONTRIBUTING\.md|tests/docs/test_contributing\.py")
FILES: Final = {name: text.decode() for name, text in texts().items() if not NOT_SEARCHED.fullmatch(name)}


def named(text: str) -> set[str]:
    """The paths in a text, but for the changelog's: what stands there is said in other words."""
    return set(PATH.findall(text)) - {"CHANGELOG.md"}


def saying(expression: str) -> set[str]:
    """The files in which something stands."""
    return {name for name, text in FILES.items() if re.search(expression, text, re.MULTILINE)}


def test_there_is_something_to_check() -> None:
    assert RECIPES.keys() == EXAMPLES.keys()
    assert len(STEPS) > 30
    assert len(named(TEXT)) > 40


def test_every_path_exists() -> None:
    assert not [path for path in named(TEXT) if not (ROOT / path).exists()]


def test_every_make_word_exists() -> None:
    words = set(re.findall(r"make ([a-z-]+)", "".join(re.findall(r"`[^`]+`|```.*?```", TEXT, re.DOTALL))))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert len(words) > 8
    assert words <= targets


@pytest.mark.parametrize(("heading", "step"), STEPS, ids=[step.partition("`: ")[0][:60] for _, step in STEPS])
def test_every_name_in_a_step_stands_in_a_file_of_the_step(heading: str, step: str) -> None:
    names = {span.strip("*") for span in re.findall(r"`([*\w]+)`", step)}
    contents = [(ROOT / path).read_text() for path in named(step)]
    assert not [name for name in names if not any(re.search(rf"\b{name}\b", text) for text in contents)], heading


@pytest.mark.parametrize("heading", RECIPES)
def test_a_recipe_names_every_file_that_its_example_stands_in(heading: str) -> None:
    found = saying(EXAMPLES[heading])
    # Tests that only make use of an example need no change for the next one.
    needed = {path for path in found if not path.startswith("tests/")}
    assert not needed - named(RECIPES[heading]), "The recipe does not name all files that its example stands in."


@pytest.mark.parametrize("heading", RECIPES)
def test_a_step_begins_with_a_file_that_the_example_stands_in(heading: str) -> None:
    found = saying(EXAMPLES[heading]) | {"CHANGELOG.md"}
    first = [step[1:].partition("`")[0] for at, step in STEPS if at == heading]
    assert not set(first) - found, "The recipe leads to a file that its example does not need."
