"""The folders hold: what each may import, which are pure, and that no import leads back to where it came from."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[1]
SHARED = sorted(ROOT.glob("shared/**/*.py"))
FUNCTIONS = sorted(ROOT.glob("functions/**/*.py"))
SHIPPED = [*SHARED, *FUNCTIONS, ROOT / "function_app.py"]
CLI = sorted(ROOT.glob("dicomweb_cli/*.py"))
TESTS = sorted(ROOT.glob("tests/**/*.py"))
IO = ("asyncio", "azure", "aiohttp", "socket", "subprocess", "http.client", "urllib.request", "pathlib", "os")

# A folder may import those of its line, and itself; each line only names folders that stand above it.
MAY_IMPORT: Final[Mapping[str, tuple[str, ...]]] = {
    "shared": (),
    "shared/dicom": ("shared",),
    "shared/multipart": ("shared",),
    "shared/web": ("shared", "shared/dicom"),
    "shared/archive": ("shared/dicom",),
    "shared/search": ("shared", "shared/dicom", "shared/archive"),
    "shared/openapi": ("shared", "shared/dicom", "shared/web", "shared/archive", "shared/search"),
    "shared/imaging": ("shared", "shared/dicom", "shared/web"),
    "shared/storage": ("shared", "shared/dicom", "shared/archive", "shared/multipart"),
    "shared/services": ("shared", "shared/storage"),
    "shared/services/sign_in": ("shared", "shared/web"),
    "shared/services/retrieve": (
        "shared",
        "shared/dicom",
        "shared/web",
        "shared/archive",
        "shared/imaging",
        "shared/storage",
        "shared/services",
    ),
    "shared/services/write": (
        "shared",
        "shared/dicom",
        "shared/multipart",
        "shared/web",
        "shared/archive",
        "shared/storage",
        "shared/services",
    ),
    "shared/services/indexing": (
        "shared",
        "shared/dicom",
        "shared/archive",
        "shared/storage",
        "shared/services/retrieve",
        "shared/services/write",
    ),
    "shared/services/repair": (
        "shared",
        "shared/dicom",
        "shared/archive",
        "shared/storage",
        "shared/services/retrieve",
        "shared/services/write",
        "shared/services/indexing",
    ),
    "shared/services/feed": (
        "shared",
        "shared/dicom",
        "shared/web",
        "shared/archive",
        "shared/storage",
        "shared/services",
        "shared/services/retrieve",
        "shared/services/write",
    ),
    "shared/services/subscriptions": (
        "shared",
        "shared/dicom",
        "shared/web",
        "shared/archive",
        "shared/search",
        "shared/storage",
        "shared/services/feed",
    ),
    "shared/services/backup": (
        "shared",
        "shared/dicom",
        "shared/archive",
        "shared/storage",
        "shared/services/write",
        "shared/services/indexing",
        "shared/services/repair",
    ),
    "shared/services/operations": (
        "shared",
        "shared/dicom",
        "shared/web",
        "shared/archive",
        "shared/storage",
        "shared/services/write",
        "shared/services/indexing",
        "shared/services/repair",
    ),
    "shared/services/tag_set": (
        "shared",
        "shared/dicom",
        "shared/web",
        "shared/archive",
        "shared/search",
        "shared/storage",
        "shared/services/operations",
    ),
    "shared/services/search": (
        "shared",
        "shared/dicom",
        "shared/web",
        "shared/archive",
        "shared/search",
        "shared/storage",
        "shared/services",
        "shared/services/retrieve",
        "shared/services/repair",
    ),
}
PAST_THE_SERVICE: Final = ("dicomweb_cli/backup.py", "dicomweb_cli/storage_errors.py")
"""What of the command line uses the archive's storage itself."""

PURE: Final = (
    "shared",
    "shared/dicom",
    "shared/multipart",
    "shared/web",
    "shared/archive",
    "shared/search",
    "shared/openapi",
)


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, by their whole names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            for one in node.names:
                inner = f"{node.module}.{one.name}"
                yield inner if file_of(inner) else node.module


def file_of(module: str) -> Path | None:
    """The file of a module of ours."""
    path = ROOT / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def folder(path: Path) -> str:
    return name(path.parent)


def test_there_is_something_to_check() -> None:
    assert len(SHARED) > 80
    assert len(FUNCTIONS) > 15
    assert len(CLI) > 10
    assert {folder(path) for path in SHARED} == MAY_IMPORT.keys()


def test_no_import_leads_back_to_the_folder_that_it_came_from() -> None:
    above: list[str] = []
    for one, others in MAY_IMPORT.items():
        assert set(others) <= set(above), one
        above.append(one)


def test_the_picture_of_the_folders_shows_what_they_may_import() -> None:
    files = [file for path in FUNCTIONS for module in imports(path) if (file := file_of(module)) in SHARED]
    may_import = {**MAY_IMPORT, "functions": {folder(file) for file in files}}
    picture = (ROOT / "docs/architecture.md").read_text().partition("```mermaid\n")[2].partition("```")[0]
    drawn: dict[str, set[str]] = {one: set() for one in may_import}
    for ends in re.findall(r"^ *(\S+) -+> (\S+)$", picture, re.MULTILINE):
        one, other = (end if end in ("functions", "shared") else f"shared/{end}" for end in ends)
        assert other in may_import[one], ends
        drawn[one].add(other)
    below: dict[str, set[str]] = {}
    for one in may_import:  # what it may import stands before it
        below[one] = drawn[one].union(*(below[other] for other in drawn[one]))
        assert set(may_import[one]) <= below[one], one
    assert below["functions"] == MAY_IMPORT.keys()


@pytest.mark.parametrize("path", SHARED, ids=name)
def test_a_folder_imports_what_it_may(path: Path) -> None:
    for module in imports(path):
        assert not any(is_in(module, package) for package in ("functions", "local", "tests", "dicomweb_cli"))
        file = file_of(module)
        if file is not None and is_in(module, "shared"):
            assert folder(file) in (folder(path), *MAY_IMPORT[folder(path)]), module


@pytest.mark.parametrize("path", [path for path in SHARED if folder(path) in PURE], ids=name)
def test_protocol_is_pure(path: Path) -> None:
    for module in imports(path):
        assert not any(is_in(module, package) for package in IO), f"{module} does I/O"


@pytest.mark.parametrize("path", SHARED, ids=name)
def test_shared_knows_no_azure_functions_and_no_http_framework(path: Path) -> None:
    for module in imports(path):
        assert not any(
            is_in(module, package) for package in ("azure.functions", "azurefunctions", "starlette", "fastapi")
        )


def test_no_file_of_the_functions_imports_itself_through_others() -> None:
    files = [*FUNCTIONS, ROOT / "function_app.py"]
    graph = {path: {file for module in imports(path) if (file := file_of(module)) in files} for path in files}
    assert len(list(TopologicalSorter(graph).static_order())) == len(files)  # raises for a circle


@pytest.mark.parametrize("path", sorted(ROOT.glob("functions/edge/*.py")), ids=name)
def test_the_edge_knows_the_table_of_routes_and_no_transaction(path: Path) -> None:
    ours = [module for module in imports(path) if is_in(module, "functions")]
    assert all(is_in(module, "functions.edge") or module == "functions.routes" for module in ours)


def test_a_file_name_tells_one_place() -> None:
    shared = Counter(path.name for path in SHARED if path.name != "__init__.py")
    assert [one for one, count in shared.items() if count > 1] == []
    # A file of functions/ may have the name of the service that it calls.
    services = {path.name for path in ROOT.glob("shared/services/**/*.py")}
    assert {path.name for path in FUNCTIONS} & shared.keys() <= services


@pytest.mark.parametrize("path", SHIPPED, ids=name)
def test_only_storage_imports_the_azure_sdks(path: Path) -> None:
    sdks = [module for module in imports(path) if is_in(module, "azure") and not is_in(module, "azure.functions")]
    assert not sdks or folder(path) == "shared/storage" or path.name == "application_insights.py"


@pytest.mark.parametrize("path", SHIPPED, ids=name)
def test_only_telemetry_imports_opentelemetry(path: Path) -> None:
    assert path.name == "application_insights.py" or not any(is_in(module, "opentelemetry") for module in imports(path))


@pytest.mark.parametrize("path", CLI, ids=name)
def test_the_command_line_knows_the_protocol_and_nothing_of_the_service(path: Path) -> None:
    for module in imports(path):
        assert not any(is_in(module, package) for package in ("functions", "local", "tests"))
        file = file_of(module)
        if is_in(module, "shared") and name(path) not in PAST_THE_SERVICE:
            assert file is not None
            assert folder(file) in PURE
        assert not is_in(module, "azure") or is_in(module, "azure.identity") or is_in(module, "azure.core")


@pytest.mark.parametrize("path", [*SHIPPED, *CLI, *TESTS], ids=name)
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_what_tests_of_several_folders_share_is_in_support(path: Path) -> None:
    for module in imports(path):
        if is_in(module, "tests") and not is_in(module, "tests.support") and not is_in(module, "tests.conftest"):
            file = file_of(module)
            assert file is not None
            assert file.parent == path.parent
            assert not file.name.startswith("test_")


@pytest.mark.parametrize("path", SHIPPED, ids=name)
def test_what_is_imported_late_says_why_and_is_rare(path: Path) -> None:
    lines = path.read_text().splitlines()
    late = [
        node
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert all("#" in lines[node.end_lineno - 1] + lines[node.lineno - 1] for node in late if node.end_lineno)
    assert len({node.lineno for node in late}) <= LATE_IMPORTS.get(name(path), 1)


def test_function_app_is_an_index() -> None:
    assert len((ROOT / "function_app.py").read_text().splitlines()) < 50


def test_no_installed_package_hides_one_of_ours() -> None:
    # On Azure the app's folder comes last on the path.
    assert not {"functions", "shared", "function_app"} & set(packages_distributions())


# What a process shares is made when it is first needed, each with libraries of its own.
LATE_IMPORTS: Final = {
    "functions/edge/app.py": 3,
    "functions/backup.py": 2,
    "functions/extended_query_tags.py": 6,
    "functions/maintenance.py": 5,
    "functions/operation_units.py": 4,
    "functions/operations.py": 5,
    "functions/search.py": 2,
    "functions/queue_triggers.py": 2,
    "functions/subscriptions.py": 6,
    "shared/search/query_names.py": 2,
}

_READING = ", ".join(
    f"shared.services.{name}"
    for name in (
        "search.search",
        "feed.change_feed",
        *(f"retrieve.{name}" for name in ("instances", "metadata", "frames", "stored_file")),
    )
)


@pytest.mark.parametrize(
    ("imported", "left_out"),
    [
        (
            "function_app",
            {"azure.storage", "azure.data", "aiohttp", "pydicom", "numpy", "PIL", "azure.identity", "jwt"},
        ),
        ("function_app", {"shared.openapi.document", "shared.openapi.statuses", "shared.imaging"}),
        (f"function_app, {_READING}", {"pydicom", "numpy", "PIL", "azure.identity", "jwt"}),
        ("function_app, shared.services.write.store", {"azure.identity", "jwt", "shared.imaging"}),
    ],
)
def test_what_only_some_requests_need_is_not_imported_before(imported: str, left_out: set[str]) -> None:
    code = f"import sys, {imported}; print({left_out!r} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "set()\n"


def test_the_command_line_starts_without_what_only_some_commands_need() -> None:
    code = "import sys, dicomweb_cli.__main__; print({'azure', 'pydicom', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "set()\n"
