"""A hook of Hatchling: the wheel holds one top-level package, dicomweb_cli, with the modules that it takes of shared/.

Here `shared` is a top-level package, since Azure runs the service from this folder. Installed beside other packages
that name is not ours to take, so each `from shared.` becomes `from dicomweb_cli.shared.`, in the wheel alone.
"""

import ast
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PACKAGE: Final = "dicomweb_cli"
_IMPORT: Final = re.compile(r"^( *from )(shared[. ])", re.MULTILINE)


class WheelHook(BuildHookInterface[Any]):
    """Puts the modules into the wheel; an editable install is left as it is, since it imports from this folder."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the modules as the wheel has them, and say where each goes."""
        if version == "editable":
            return
        root, self._folder = Path(self.root), tempfile.TemporaryDirectory()
        for source in sorted(_modules(root)):
            name = source.relative_to(root).as_posix()
            inside = name if name.startswith(f"{_PACKAGE}/") else f"{_PACKAGE}/{name}"
            target = Path(self._folder.name, inside)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_IMPORT.sub(rf"\1{_PACKAGE}.\2", source.read_text("utf-8")), "utf-8")
            build_data["force_include"][str(target)] = inside

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was written."""
        if version != "editable":
            self._folder.cleanup()


def _modules(root: Path) -> set[Path]:
    """The files of the package, and those of shared/ that they import, directly or through others."""
    found: set[Path] = set()
    open_ones = list(root.glob(f"{_PACKAGE}/*.py"))
    while open_ones:
        path = open_ones.pop()
        if path not in found:
            found.add(path)
            open_ones += _imported(path, root)
    return found


def _imported(path: Path, root: Path) -> Iterator[Path]:
    """The files of shared/ that a file imports, with those of the packages that they are in."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "shared":
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                module = root.joinpath(*name.split("."))
                files = [parent / "__init__.py" for parent in module.parents if parent.is_relative_to(root / "shared")]
                yield from filter(Path.is_file, [*files, module / "__init__.py", module.with_suffix(".py")])
