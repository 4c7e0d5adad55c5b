"""Reads Bicep into declarations and expressions, with tree-sitter's grammar: as much of the language as infra/ uses."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import tree_sitter_bicep
from lark.exceptions import LarkError
from pycep import BicepParser
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_bicep.language()))
_SECOND_PARSER = BicepParser()


class BicepSyntaxError(Exception):
    """Text that is not Bicep, or beyond what this module reads; the message has the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A value. `line` counts from 1."""

    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal(Expression):
    value: str | int | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpolated(Expression):
    """A string with `${…}`: its literal text, each hole as a NUL, and what fills the holes."""

    text: str
    holes: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Array(Expression):
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Object(Expression):
    """Members by name; those with a computed name separately."""

    members: dict[str, Expression]
    computed: tuple[tuple[Expression, Expression], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(Expression):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member(Expression):
    """``target.name``, or ``target[key]`` where `name` is empty."""

    target: Expression
    name: str
    key: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Expression):
    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Expression):
    """Any operator but the ternary: all in infra/ make a Boolean."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional(Expression):
    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A parameter, variable, resource, module or output.

    `kind` says which; `type` is a data type, a resource's type or a module's path; `value` a default, value or body.
    """

    kind: str
    name: str
    line: int
    type: str = ""
    api_version: str = ""
    existing: bool = False
    value: Expression | None = None
    condition: Expression | None = None
    loop_over: Expression | None = None
    loop_names: tuple[str, ...] = ()
    decorators: dict[str, tuple[Expression, ...]] = field(default_factory=dict)

    @property
    def body(self) -> Object:
        """The object that a resource or module is made of."""
        assert isinstance(self.value, Object)
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class BicepFile:
    path: str
    scope: str
    declarations: tuple[Declaration, ...]

    def of(self, kind: str) -> dict[str, Declaration]:
        """The declarations of a kind, by name."""
        return {declared.name: declared for declared in self.declarations if declared.kind == kind}


def parse(path: str, text: str) -> BicepFile:
    """Read a file; raises BicepSyntaxError where one of two independent grammars refuses it."""
    root = _PARSER.parse(text.encode()).root_node
    for node in _descendants(root):
        if node.is_error or node.is_missing:
            raise BicepSyntaxError(f"{path}:{_line(node)}: not Bicep: {_text(node)[:60]!r}")
    scope, declarations, decorators = "resourceGroup", [], dict[str, tuple[Expression, ...]]()
    for node in root.named_children:
        if node.type == "decorators":
            decorators = dict(_decorator(decorator) for decorator in node.named_children)
        elif node.type == "target_scope_assignment":
            scope = str(_literal(node.named_children[0]))
        elif node.type.endswith("_declaration"):
            declarations.append(_declaration(path, node, decorators))
            decorators = {}
        elif node.type != "comment":
            raise BicepSyntaxError(f"{path}:{_line(node)}: {node.type} is not read by these checks.")
    try:
        _SECOND_PARSER.parse(text=text)
    except (LarkError, ValueError) as error:
        raise BicepSyntaxError(f"{path}: not Bicep to the second grammar: {str(error).splitlines()[0]}") from error
    return BicepFile(path=path, scope=scope, declarations=tuple(declarations))


def inner(expression: Expression) -> tuple[Expression, ...]:
    """The direct parts of an expression."""
    match expression:
        case Interpolated():
            return expression.holes
        case Array():
            return expression.items
        case Object():
            return (*expression.members.values(), *(one for pair in expression.computed for one in pair))
        case Member():
            return (expression.target, *((expression.key,) if expression.key else ()))
        case Call():
            return expression.arguments
        case Operation():
            return expression.operands
        case Conditional():
            return (expression.condition, expression.then, expression.otherwise)
    return ()


def within(expression: Expression) -> Iterator[Expression]:
    """An expression and everything in it."""
    yield expression
    for one in inner(expression):
        yield from within(one)


def expressions(declared: Declaration) -> Iterator[Expression]:
    """Every expression in a declaration, including its decorators."""
    roots = (declared.value, declared.condition, declared.loop_over)
    for root in (*roots, *(argument for arguments in declared.decorators.values() for argument in arguments)):
        if root is not None:
            yield from within(root)


def _descendants(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _descendants(child)


def _line(node: Node) -> int:
    return node.start_point[0] + 1


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def _decorator(node: Node) -> tuple[str, tuple[Expression, ...]]:
    call = _expression(node.named_children[0])
    assert isinstance(call, Call)
    return call.function, call.arguments


def _declaration(path: str, node: Node, decorators: dict[str, tuple[Expression, ...]]) -> Declaration:
    kind = node.type.removesuffix("_declaration")
    name, *rest = [child for child in node.named_children if child.type != "comment"]
    declared_type = api_version = ""
    if kind in ("resource", "module"):
        declared_type = str(_literal(rest.pop(0)))
        if kind == "resource":
            declared_type, at, api_version = declared_type.partition("@")
            if not at or not api_version:
                raise BicepSyntaxError(f"{path}:{_line(node)}: {_text(name)} has no API version.")
    elif kind in ("parameter", "output"):
        declared_type = _text(rest.pop(0))
    value = rest[0] if rest else None
    condition = loop_over = None
    loop_names: tuple[str, ...] = ()
    if value is not None and value.type == "for_statement":
        names, source, value = [child for child in value.named_children if child.type != "comment"]
        loop_names = tuple(_text(one) for one in (names.named_children or [names]))
        loop_over = _expression(source)
    if value is not None and value.type == "if_statement":
        condition, value = _expression(value.named_children[0]), value.named_children[1]
    return Declaration(
        kind=kind,
        name=_text(name),
        line=_line(node),
        type=declared_type,
        api_version=api_version,
        existing=any(child.type == "existing" for child in node.children),
        value=None if value is None else _expression(value),
        condition=condition,
        loop_over=loop_over,
        loop_names=loop_names,
        decorators=decorators,
    )


def _literal(node: Node) -> str | int | bool | None:
    expression = _expression(node)
    assert isinstance(expression, Literal), _text(node)
    return expression.value


def _expression(node: Node) -> Expression:
    line, children = _line(node), [child for child in node.named_children if child.type != "comment"]
    match node.type:
        case "string":
            return _string(node)
        case "number":
            return Literal(line=line, value=int(_text(node)))
        case "boolean":
            return Literal(line=line, value=_text(node) == "true")
        case "null":
            return Literal(line=line, value=None)
        case "array":
            return Array(line=line, items=tuple(map(_expression, children)))
        case "object":
            return _object(line, children)
        case "identifier":
            return Name(line=line, name=_text(node))
        case "parenthesized_expression" | "interpolation":
            return _expression(children[0])
        case "member_expression":
            return Member(line=line, target=_expression(children[0]), name=_text(children[1]))
        case "subscript_expression":
            return Member(line=line, target=_expression(children[0]), name="", key=_expression(children[1]))
        case "call_expression":
            arguments = children[1].named_children
            return Call(line=line, function=_text(children[0]), arguments=tuple(map(_expression, arguments)))
        case "unary_expression" | "binary_expression":
            return Operation(line=line, operands=tuple(map(_expression, children)))
        case "ternary_expression":
            condition, then, otherwise = map(_expression, children)
            return Conditional(line=line, condition=condition, then=then, otherwise=otherwise)
    raise BicepSyntaxError(f"line {line}: {node.type} is not read by these checks.")


def _string(node: Node) -> Expression:
    parts = node.named_children
    text = "".join("\0" if part.type == "interpolation" else _text(part) for part in parts)
    holes = tuple(_expression(part) for part in parts if part.type == "interpolation")
    if holes:
        return Interpolated(line=_line(node), text=text, holes=holes)
    return Literal(line=_line(node), value=text)


def _object(line: int, properties: list[Node]) -> Object:
    members: dict[str, Expression] = {}
    computed = []
    for pair in properties:
        key, value = (child for child in pair.named_children if child.type != "comment")
        name = _string(key) if key.type == "string" else Literal(line=_line(key), value=_text(key))
        if isinstance(name, Literal):
            if name.value in members:
                raise BicepSyntaxError(f"line {_line(key)}: {name.value} is given twice.")
            members[str(name.value)] = _expression(value)
        else:
            computed.append((name, _expression(value)))
    return Object(line=line, members=members, computed=tuple(computed))
