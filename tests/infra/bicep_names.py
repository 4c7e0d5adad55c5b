"""Checks that every name in a set of Bicep files refers to something, and that everything declared is used."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from tests.infra.bicep_syntax import (
    Array,
    BicepFile,
    Call,
    Declaration,
    Expression,
    Literal,
    Member,
    Name,
    Object,
    expressions,
)

# Functions and decorators of the language that infra/ uses; a new one is added here once its spelling is checked.
FUNCTIONS: Final = {
    "concat": "array",
    "empty": "bool",
    "environment": "object",
    "guid": "string",
    "subscription": "object",
    "subscriptionResourceId": "string",
    "tenant": "object",
    "union": "object",
    "uniqueString": "string",
}
_DECORATORS: Final = {"allowed", "description", "maxLength", "maxValue", "minLength", "minValue"}
_GIVEN: Final = {
    "environment": {"authentication.loginEndpoint", "suffixes.storage"},
    "subscription": {"id"},
    "tenant": {"tenantId"},
}
_MODULE_PROPERTIES: Final = {"name", "scope", "params", "dependsOn"}


def module_path(file: BicepFile, module: Declaration) -> str:
    """The path of a module's file, as the file that uses it names it."""
    return str(PurePosixPath(file.path).parent / module.type)


def params_of(module: Declaration) -> dict[str, Expression]:
    """The arguments that a module is given."""
    params = module.body.members.get("params")
    return params.members if isinstance(params, Object) else {}


def check_names(files: dict[str, BicepFile]) -> Iterator[str]:
    """A line for each name that is declared twice, unknown, unused or misused."""
    for file in files.values():
        yield from _check_declarations(file)
        yield from _check_uses(files, file)
        for module in file.of("module").values():
            yield from _check_module(files, file, module)
    yield from _check_reachable(files)


def _check_declarations(file: BicepFile) -> Iterator[str]:
    seen: set[tuple[bool, str]] = set()
    for declared in file.declarations:
        key = (declared.kind == "output", declared.name)
        if key in seen:
            yield f"{file.path}:{declared.line}: {declared.name} is declared twice."
        seen.add(key)
        for name, arguments in declared.decorators.items():
            if name not in _DECORATORS:
                yield f"{file.path}:{declared.line}: @{name} is not a decorator that is known here."
            yield from _check_default(file, declared, name, arguments)
    used = {one.name for declared in file.declarations for one in expressions(declared) if isinstance(one, Name)}
    for declared in file.declarations:
        if declared.name not in used and (declared.kind in ("parameter", "variable") or declared.existing):
            yield f"{file.path}:{declared.line}: {declared.kind} {declared.name} is not used."


def _check_default(
    file: BicepFile, declared: Declaration, name: str, arguments: tuple[Expression, ...]
) -> Iterator[str]:
    """Check that a decorator agrees with the type and the default of its parameter."""
    if declared.kind != "parameter" or name == "description":
        return
    limit, default = arguments[0], declared.value
    given = default.value if isinstance(default, Literal) else None
    where = f"{file.path}:{declared.line}: parameter {declared.name}"
    if name == "allowed":
        allowed = [one.value for one in limit.items if isinstance(one, Literal)] if isinstance(limit, Array) else []
        if {type(value) for value in allowed} != {{"string": str, "int": int}.get(declared.type)}:
            yield f"{where} allows what is not of its type, {declared.type}."
        elif given is not None and given not in allowed:
            yield f"{where} does not allow its default, {given}."
        return
    number = limit.value if isinstance(limit, Literal) else None
    if not isinstance(number, int) or declared.type != ("int" if name.endswith("Value") else "string"):
        yield f"{where} has @{name}, which does not fit its type, {declared.type}."
    elif isinstance(given, int | str):
        measure = len(given) if isinstance(given, str) else given
        if measure < number if name.startswith("min") else measure > number:
            yield f"{where} has the default {given!r}, which @{name} forbids."


def _check_uses(files: dict[str, BicepFile], file: BicepFile) -> Iterator[str]:
    known = {declared.name for declared in file.declarations if declared.kind != "output"}
    for declared in file.declarations:
        names = known | set(declared.loop_names)
        inside = {id(one.target) for one in expressions(declared) if isinstance(one, Member)}
        for one in expressions(declared):
            where = f"{file.path}:{one.line}"
            match one:
                case Name() if one.name not in names:
                    yield f"{where}: {one.name} is not declared."
                case Call() if one.function not in FUNCTIONS and one.function not in _DECORATORS:
                    yield f"{where}: {one.function} is not a function that is known here."
                case Call() if one.function in _GIVEN and id(one) not in inside:
                    yield f"{where}: {one.function}() is used as a whole."
                case Member() if id(one) not in inside:
                    root, path = _path(one)
                    if isinstance(root, Call) and path not in _GIVEN.get(root.function, set()):
                        yield f"{where}: {root.function}() has no {path}."
                    elif isinstance(root, Name) and root.name in file.of("module"):
                        outputs = _outputs(files, file, file.of("module")[root.name])
                        if not path.startswith("outputs.") or path.removeprefix("outputs.") not in outputs:
                            yield f"{where}: module {root.name} has no {path}."


def _path(expression: Expression) -> tuple[Expression, str]:
    names: list[str] = []
    while isinstance(expression, Member):
        names.insert(0, expression.name)
        expression = expression.target
    return expression, ".".join(names)


def _outputs(files: dict[str, BicepFile], file: BicepFile, module: Declaration) -> dict[str, Declaration]:
    found = files.get(module_path(file, module))
    return found.of("output") if found else {}


def _check_module(files: dict[str, BicepFile], file: BicepFile, module: Declaration) -> Iterator[str]:
    where = f"{file.path}:{module.line}: module {module.name}"
    found = files.get(module_path(file, module))
    if found is None:
        yield f"{where}: there is no file {module.type}."
        return
    for name in sorted(set(module.body.members) - _MODULE_PROPERTIES):
        yield f"{where} has {name}, which is not a property of a module."
    if found.scope != file.scope and "scope" not in module.body.members:
        yield f"{where} needs a scope: it deploys to a {found.scope}."
    wanted, given = found.of("parameter"), params_of(module)
    for name in sorted(set(given) - set(wanted)):
        yield f"{where} has no parameter {name}."
    for name, parameter in wanted.items():
        if name not in given and parameter.value is None:
            yield f"{where} is not given {name}."


def _check_reachable(files: dict[str, BicepFile]) -> Iterator[str]:
    used = {module_path(file, module) for file in files.values() for module in file.of("module").values()}
    for path in sorted(set(files) - used - {"infra/main.bicep"}):
        yield f"{path}: no file uses this module."
    for file in files.values():
        for name in _unread_outputs(files, file):
            yield f"{file.path}: output {name} is read nowhere."


def _unread_outputs(files: dict[str, BicepFile], file: BicepFile) -> list[str]:
    if file.path == "infra/main.bicep":
        return []
    read = set()
    for user in files.values():
        aliases = {name for name, module in user.of("module").items() if module_path(user, module) == file.path}
        for declared in user.declarations:
            for one in expressions(declared):
                if isinstance(one, Member):
                    root, path = _path(one)
                    if isinstance(root, Name) and root.name in aliases:
                        read.add(path.removeprefix("outputs."))
    return sorted(set(file.of("output")) - read)
