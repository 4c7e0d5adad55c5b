"""The layers hold: functions -> services -> storage and protocol, and only storage knows the Azure SDKs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = sorted([*ROOT.glob("shared/**/*.py"), *ROOT.glob("functions/**/*.py"), ROOT / "function_app.py"])
PURE = sorted(
    path
    for folder in ("", "multipart/", "dicom/", "web/", "archive/", "search/", "openapi/")
    for path in ROOT.glob(f"shared/{folder}*.py")
)
CLI = sorted(ROOT.glob("dicomweb_cli/*.py"))
IO = ("asyncio", "azure", "aiohttp", "socket", "subprocess", "http.client", "urllib.request", "pathlib", "os")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_check() -> None:
    assert len(SHIPPED) > 20
    assert len(PURE) > 10
    assert len(CLI) > 10


@pytest.mark.parametrize("path", PURE, ids=name)
def test_protocol_is_pure(path: Path) -> None:
    for module in imports(path):
        assert not any(is_in(module, package) for package in IO), f"{module} does I/O"
        assert not any(is_in(module, package) for package in ("shared.services", "shared.storage", "functions"))


@pytest.mark.parametrize("path", sorted(ROOT.glob("shared/storage/*.py")), ids=name)
def test_storage_knows_no_service_and_no_function(path: Path) -> None:
    assert not any(is_in(module, package) for module in imports(path) for package in ("shared.services", "functions"))


@pytest.mark.parametrize("path", sorted(ROOT.glob("shared/**/*.py")), ids=name)
def test_shared_knows_no_azure_functions_and_no_http_framework(path: Path) -> None:
    for module in imports(path):
        assert not any(
            is_in(module, package) for package in ("azure.functions", "azurefunctions", "starlette", "fastapi")
        )
        assert not any(is_in(module, package) for package in ("functions", "local", "tests"))


@pytest.mark.parametrize("path", SHIPPED, ids=name)
def test_only_storage_imports_the_azure_sdks(path: Path) -> None:
    sdks = [module for module in imports(path) if is_in(module, "azure") and not is_in(module, "azure.functions")]
    assert not sdks or path.parent.name == "storage" or path.name == "telemetry.py"


@pytest.mark.parametrize("path", SHIPPED, ids=name)
def test_only_telemetry_imports_opentelemetry(path: Path) -> None:
    assert path.name == "telemetry.py" or not any(is_in(module, "opentelemetry") for module in imports(path))


@pytest.mark.parametrize("path", CLI, ids=name)
def test_the_command_line_knows_the_protocol_and_nothing_of_the_service(path: Path) -> None:
    for module in imports(path):
        assert not any(is_in(module, package) for package in ("functions", "local", "tests"))
        place = ROOT / module.replace(".", "/")
        assert not is_in(module, "shared") or {place.with_suffix(".py"), place / "__init__.py"} & {*PURE}
        assert not is_in(module, "azure") or is_in(module, "azure.identity") or is_in(module, "azure.core")


@pytest.mark.parametrize("path", [*SHIPPED, *CLI], ids=name)
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_function_app_is_an_index() -> None:
    assert len((ROOT / "function_app.py").read_text().splitlines()) < 30


def test_no_installed_package_hides_one_of_ours() -> None:
    # On Azure the app's folder comes last on the path.
    assert not {"functions", "shared", "function_app"} & set(packages_distributions())


_READING = ", ".join(
    f"shared.services.{name}"
    for name in ("search.search", *(f"retrieve.{name}" for name in ("instances", "metadata", "frames", "stored_file")))
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
