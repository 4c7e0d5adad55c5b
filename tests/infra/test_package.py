"""What is deployed: the files that .funcignore leaves, and the packages that Azure installs; what is installed here."""

import platform
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.repository_files import ROOT, files_but, ignored_by

# A package in the lock: name, version, marker, and its hashes on the lines below.
_ENTRY: Final = re.compile(
    r"^([\w.-]+==\S+)(?: ; (.+?))? \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)

# What azd and Python's tools leave in the folder, beside what is in the repository.
LEFT_OVERS: Final = [
    ".azure/prod/.env",
    ".env",
    ".venv/bin/python",
    "dicomweb_env/pyvenv.cfg",
    "functions/__pycache__/store.cpython-313.pyc",
    "infra/hooks/hooks_env/pyvenv.cfg",
    "local.settings.json",
    "node_modules/azurite/package.json",
]


LOCKS: Final = {
    "app": "requirements.txt",
    "hooks": "infra/hooks/requirements.txt",
    **{name: f"requirements/{name}.txt" for name in ("run", "worker", "node", "docs", "test", "fuzz")},
}
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())

# What `make run` and azd's hooks work with, and what Azure runs.
PYTHONS: Final = ("3.11.0", "3.12.0", "3.13.0")
AZURES: Final = "3.13.0"
HERE: Final = platform.python_version()


def pinned(group: str) -> list[tuple[Requirement, int]]:
    """The packages that a group is locked to, and how many hashes each has."""
    entries = []
    for requirement, marker, hashes in _ENTRY.findall((ROOT / LOCKS[group]).read_text()):
        entries.append((Requirement(f"{requirement}; {marker}" if marker else requirement), hashes.count("--hash")))
    return entries


def asked(group: str) -> Iterator[Requirement]:
    """What pyproject.toml asks for in a group and those that it includes."""
    for one in PROJECT["dependency-groups"][group]:
        if isinstance(one, dict):
            yield from asked(one["include-group"])
        else:
            yield Requirement(one)


def also_asked(group: str) -> Iterator[Requirement]:
    """What is locked with a group beside it: the package's dependencies, and those of the examples."""
    if group in ("run", "test"):
        yield from map(Requirement, PROJECT["project"]["dependencies"])
    if group == "test":
        lines = (ROOT / "examples/requirements.txt").read_text().splitlines()
        yield from map(Requirement, filter(None, (line.partition("#")[0].strip() for line in lines)))


def minor(python: str) -> str:
    return python.rpartition(".")[0]


def applies(requirement: Requirement, python: str) -> bool:
    """Whether the requirement is one of this machine with that version of Python."""
    versions = {"python_version": minor(python), "python_full_version": python}
    return requirement.marker is None or requirement.marker.evaluate(versions)


def version_of(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return specifier.version


def locked(group: str, python: str = HERE) -> dict[str, str]:
    """The versions that a group is locked to for a Python."""
    return {canonicalize_name(one.name): version_of(one) for one, _ in pinned(group) if applies(one, python)}


ASKED: Final = [
    (group, requirement)
    for group in LOCKS
    for requirement in asked(group)
    if group != "app" or applies(requirement, AZURES)
]


def test_the_package_holds_what_runs_and_nothing_else() -> None:
    ignored = ignored_by(".funcignore")
    stays = list(files_but(ignored))
    assert {path for path in stays if "/" not in path} == {"function_app.py", "host.json", "requirements.txt"}
    inside = [path for path in stays if "/" in path]
    assert len(inside) > 50
    assert {path.partition("/")[0] for path in inside} == {"functions", "shared"}
    assert all(path.endswith(".py") for path in inside)
    assert all(map(ignored.match_file, LEFT_OVERS))


@pytest.mark.parametrize("group", LOCKS)
def test_every_package_is_pinned_by_version_and_hash(group: str) -> None:
    text = (ROOT / LOCKS[group]).read_text()
    assert len(pinned(group)) == len(re.findall(r"^\w", text, re.MULTILINE)) > 0
    assert all(hashes for _, hashes in pinned(group))
    assert "://" not in text  # no registry: the installer's default is right


def test_every_group_is_locked() -> None:
    assert PROJECT["dependency-groups"].keys() == LOCKS.keys()
    found = [ROOT / "requirements.txt", ROOT / "infra/hooks/requirements.txt", *ROOT.glob("requirements/*")]
    assert {path.relative_to(ROOT).as_posix() for path in found if path.is_file()} == set(LOCKS.values())


@pytest.mark.parametrize(("group", "requirement"), ASKED, ids=map(str, ASKED))
def test_the_lock_has_what_is_required(group: str, requirement: Requirement) -> None:
    """`make lock` was run after pyproject.toml changed."""
    assert any(
        canonicalize_name(one.name) == canonicalize_name(requirement.name)
        and one.specifier == requirement.specifier
        and (one.marker is None) == (group == "app" or requirement.marker is None)
        for one, _ in pinned(group)
    )


@pytest.mark.parametrize("group", ["run", "test"])
def test_the_command_line_is_locked_to_what_the_package_allows(group: str) -> None:
    for requirement in map(Requirement, PROJECT["project"]["dependencies"]):
        assert requirement.specifier.contains(locked(group)[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("python", PYTHONS)
def test_the_groups_agree(python: str) -> None:
    """What is tested is what is deployed: a package has one version in all of them."""
    assert locked("hooks", python).items() <= locked("run", python).items() <= locked("test", python).items()
    assert locked("docs", python).items() <= locked("test", python).items()


def test_the_app_is_locked_for_azures_python_alone() -> None:
    """A build by another Python fails, as it should: it would install other versions, untested."""
    assert locked("app", AZURES).items() <= locked("run", AZURES).items()
    runtime = r"runtime: \{\s+name: 'python'\s+version: '(.+)'"
    assert re.findall(runtime, (ROOT / "infra/modules/function-app.bicep").read_text()) == [minor(AZURES)]
    assert all(one.marker is None for one, _ in pinned("app"))
    assert "\n--only-binary :all:\n" in (ROOT / LOCKS["app"]).read_text()  # not each has a wheel for 3.14
    assert locked("app")["azure-functions"].startswith("2.")  # version 2 needs Python 3.13


def needed(name: str, extras: frozenset[str], found: set[str]) -> None:
    """Add a package and everything that it needs here, by the installed metadata, to `found`."""
    try:
        requires = distribution(name).requires or []
    except PackageNotFoundError:
        pytest.fail(f"{name} is needed, but not installed: run make setup-test.")
    found.add(canonicalize_name(name))
    for requirement in map(Requirement, requires):
        marker, known = requirement.marker, canonicalize_name(requirement.name) in found and not requirement.extras
        if not known and (marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""})):
            needed(requirement.name, frozenset(requirement.extras), found)


@pytest.mark.parametrize(
    "group",
    [
        pytest.param("app", marks=pytest.mark.skipif(minor(HERE) != minor(AZURES), reason="is for Azure's Python")),
        "hooks",
        "run",
        "test",
    ],
)
def test_the_lock_is_complete_and_what_the_tests_run_on(group: str) -> None:
    """The lock has every package that is needed here, in the installed version, and no other."""
    found: set[str] = set()
    for requirement in [*asked(group), *also_asked(group)]:
        if applies(requirement, HERE):
            needed(requirement.name, frozenset(requirement.extras), found)
    assert {name: version(name) for name in found} == locked(group)


@pytest.mark.parametrize("python", PYTHONS)
def test_a_package_locked_twice_is_installed_once(python: str) -> None:
    names = [one.name for one, _ in pinned("run")]
    twice = {name for name in names if names.count(name) > 1}
    fitting = [one.name for one, _ in pinned("run") if one.name in twice and applies(one, python)]
    assert sorted(fitting) == sorted(twice) != []
