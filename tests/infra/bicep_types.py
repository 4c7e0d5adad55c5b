"""Checks resources against the shapes of Azure's types: names, kinds of values, parents, and what is read from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.infra.azure_shapes import (
    ListOf,
    MapOf,
    Model,
    Scalar,
    Shape,
    api_versions,
    shape_to_read,
    shape_to_write,
)
from tests.infra.bicep_names import FUNCTIONS, module_path, params_of
from tests.infra.bicep_syntax import (
    Array,
    BicepFile,
    Call,
    Conditional,
    Declaration,
    Expression,
    Interpolated,
    Literal,
    Member,
    Name,
    Object,
    Operation,
    expressions,
)

_OF_BICEP: Final = {"name", "parent", "scope", "dependsOn"}
_READ_OF_ALL: Final = {"id": "string", "name": "string"}


def check_types(files: dict[str, BicepFile]) -> Iterator[str]:
    """A line for each resource, value or read property that does not fit Azure's types."""
    for file in files.values():
        checks = _Checks(files, file)
        for resource in file.of("resource").values():
            yield from checks.resource(resource)
        for declared in file.declarations:
            yield from checks.declared(declared)
            for one in expressions(declared):
                if isinstance(one, Member):
                    yield from checks.reading(one)


@dataclass(frozen=True, slots=True)
class _Checks:
    files: dict[str, BicepFile]
    file: BicepFile

    def resource(self, resource: Declaration) -> Iterator[str]:
        where = f"{self.file.path}:{resource.line}: resource {resource.name}"
        shape = shape_to_write(resource.type)
        if shape is None:
            yield f"{where}: {resource.type} is not a type that is known here."
            return
        if resource.api_version not in api_versions(resource.type):
            yield f"{where}: {resource.type} has no API version {resource.api_version} in its SDK."
        yield from self._place(resource, where)
        own = {name: value for name, value in resource.body.members.items() if name not in _OF_BICEP}
        if resource.existing and own:
            yield f"{where} exists already: {', '.join(own)} cannot be set."
        if not resource.existing:
            body = Object(line=resource.line, members=own, computed=())
            yield from self.value(body, shape, resource.name)

    def _place(self, resource: Declaration, where: str) -> Iterator[str]:
        """A child has its parent's type and one more part; without a parent its name has a part for each type."""
        members = resource.body.members
        parent, name = members.get("parent"), members.get("name")
        if name is None:
            yield f"{where} has no name."
            return
        if parent is None:
            text = name.value if isinstance(name, Literal) else name.text if isinstance(name, Interpolated) else ""
            if str(text).count("/") + 1 != resource.type.count("/"):
                yield f"{where} has no parent."
            return
        root = parent.target if isinstance(parent, Member) else parent
        found = self.file.of("resource").get(root.name) if isinstance(root, Name) else None
        if found is None or found.type != resource.type.rpartition("/")[0]:
            yield f"{where}: its parent is not a {resource.type.rpartition('/')[0]}."

    def value(self, value: Expression, shape: Shape, path: str) -> Iterator[str]:
        """Check that a value fits a shape, through variables, conditions and the functions that join."""
        where = f"{self.file.path}:{value.line}: {path}"
        match value, shape:
            case Name(), _ if value.name in self.file.of("variable"):
                found = self.file.of("variable")[value.name].value
                assert found is not None
                yield from self.value(found, shape, path)
            case Conditional(), _:
                yield from self.value(value.then, shape, path)
                yield from self.value(value.otherwise, shape, path)
            case Call(function="concat" | "union"), _:
                for argument in value.arguments:
                    yield from self.value(argument, shape, path)
            case Object(), Model():
                yield from self._object(value, shape, path)
            case Object(), MapOf():
                for name, member in (*value.members.items(), *(("…", one) for _, one in value.computed)):
                    yield from self.value(member, shape.value, f"{path}.{name}")
            case Array(), ListOf():
                for item in value.items:
                    yield from self.value(item, shape.item, path)
            case Literal(), Scalar() if shape.values and str(value.value) not in shape.values:
                yield f"{where} is {value.value}, not one of {', '.join(sorted(shape.values))}."
            case _:
                kind, wanted = self.kind(value), _kind(shape)
                if "any" not in (kind, wanted) and kind not in (wanted, "null"):
                    yield f"{where} is of type {kind}, not {wanted}."

    def _object(self, value: Object, shape: Model, path: str) -> Iterator[str]:
        for name, member in value.members.items():
            found = shape.properties.get(name)
            if found is None:
                yield f"{self.file.path}:{member.line}: {path} has no property {name}."
            elif found.read_only:
                yield f"{self.file.path}:{member.line}: {path}.{name} can only be read."
            else:
                yield from self.value(member, found.shape, f"{path}.{name}")
        for name, found in shape.properties.items():
            if found.required and not found.read_only and name not in value.members and name not in _OF_BICEP:
                yield f"{self.file.path}:{value.line}: {path} lacks {name}."

    def declared(self, declared: Declaration) -> Iterator[str]:
        """Check that conditions, loops, defaults, outputs and arguments of modules have the right data types."""
        where = f"{self.file.path}:{declared.line}: {declared.kind} {declared.name}"
        for value, wanted in ((declared.condition, "bool"), (declared.loop_over, "array")):
            if value is not None and self.kind(value) not in (wanted, "any"):
                yield f"{where} depends on a value of type {self.kind(value)}, not {wanted}."
        if declared.kind in ("parameter", "output") and declared.value is not None:
            kind = self.kind(declared.value)
            if kind not in (declared.type, "any"):
                yield f"{where} is of type {kind}, not {declared.type}."
        if declared.kind == "module":
            found = self.files.get(module_path(self.file, declared))
            parameters = found.of("parameter") if found else {}
            for name, value in params_of(declared).items():
                kind = self.kind(value)
                if name in parameters and kind not in (parameters[name].type, "any"):
                    yield f"{where} is given {name} of type {kind}, not {parameters[name].type}."

    def reading(self, member: Member) -> Iterator[str]:
        """Check that what is read from a resource, or from a variable that is an object, exists."""
        try:
            self._read(member)
        except LookupError as error:
            yield f"{self.file.path}:{member.line}: {error.args[0]}"

    def _read(self, member: Member) -> Shape | None:
        """The shape of a member of a resource; None where it is unknown. Raises LookupError without such a member."""
        target: Shape | None
        if isinstance(member.target, Name):
            resource = self.file.of("resource").get(member.target.name)
            if resource is None:
                self._look_up(member)
                return None
            if resource.loop_over is not None and not member.name:
                return shape_to_read(resource.type)
            target, label = shape_to_read(resource.type), resource.name
        elif isinstance(member.target, Member):
            target, label = self._read(member.target), member.target.name
        else:
            return None
        if isinstance(target, ListOf) and not member.name:
            return target.item
        if not isinstance(target, Model) or (member.name in _READ_OF_ALL):
            return None
        if member.name not in target.properties:
            raise LookupError(f"{label} has no property {member.name} that can be read.")
        return target.properties[member.name].shape

    def _look_up(self, member: Member) -> None:
        assert isinstance(member.target, Name)
        variable = self.file.of("variable").get(member.target.name)
        members = variable.value.members if variable and isinstance(variable.value, Object) else None
        key = member.key.value if isinstance(member.key, Literal) else member.name
        if members is not None and key and key not in members:
            raise LookupError(f"{member.target.name} has no {key}.")

    def kind(self, value: Expression) -> str:
        """The data type of a value: string, int, bool, object, array, null, or any where it is not known."""
        match value:
            case Literal():
                return {str: "string", int: "int", bool: "bool"}.get(type(value.value), "null")
            case Interpolated():
                return "string"
            case Array():
                return "array"
            case Object():
                return "object"
            case Operation():
                return "bool"
            case Call():
                return FUNCTIONS.get(value.function, "any")
            case Conditional():
                kinds = {self.kind(value.then), self.kind(value.otherwise)} - {"null"}
                return kinds.pop() if len(kinds) == 1 else "any"
            case Name() if value.name in self.file.of("parameter"):
                return self.file.of("parameter")[value.name].type
            case Name() if value.name in self.file.of("variable"):
                variable = self.file.of("variable")[value.name]
                assert variable.value is not None
                return self.kind(variable.value)
            case Member():
                return self._kind_of_member(value)
        return "any"

    def _kind_of_member(self, member: Member) -> str:
        target = member.target
        if isinstance(target, Member) and isinstance(target.target, Name) and target.name == "outputs":
            module = self.file.of("module").get(target.target.name)
            found = self.files.get(module_path(self.file, module)) if module else None
            output = found.of("output").get(member.name) if found else None
            return output.type if output else "any"
        if member.name in _READ_OF_ALL:
            return _READ_OF_ALL[member.name]
        try:
            shape = self._read(member)
        except LookupError:
            return "any"
        return _kind(shape) if shape else "any"


def _kind(shape: Shape) -> str:
    match shape:
        case Scalar():
            return shape.kind
        case ListOf():
            return "array"
    return "object"
