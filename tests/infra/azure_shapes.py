"""Azure's resource types: the models of its management SDKs, of both generations, as plain shapes."""

import enum
import importlib
import re
import sys
import types
import typing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Scalar:
    """``string``, ``int``, ``bool`` or ``any``; where `values` are given, one of them."""

    kind: str
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ListOf:
    item: "Shape"


@dataclass(frozen=True, slots=True)
class MapOf:
    value: "Shape"


@dataclass(slots=True)
class Property:
    shape: "Shape"
    required: bool = False
    read_only: bool = False


@dataclass(slots=True)
class Model:
    """An object of known properties. Mutable, since models may hold themselves."""

    properties: dict[str, Property] = field(default_factory=dict)


Shape = Scalar | ListOf | MapOf | Model

STRING, INTEGER, BOOLEAN, ANY = Scalar("string"), Scalar("int"), Scalar("bool"), Scalar("any")


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A model of an SDK: its module below ``azure.mgmt``, its class, and the files that state its API version."""

    module: str
    model: str
    operations: str = "*.py"


_LOGS: Final = ListOf(
    Model(
        {
            "category": Property(STRING),
            "categoryGroup": Property(STRING),
            "enabled": Property(BOOLEAN, required=True),
        }
    )
)

# Types that none of the SDKs here has: from Microsoft's reference, as much as infra/ needs of them.
_WRITTEN_DOWN: Final[dict[str, tuple[str, Model]]] = {
    "Microsoft.Resources/resourceGroups": (
        "2024-11-01",
        Model({"location": Property(STRING, required=True), "tags": Property(MapOf(STRING))}),
    ),
    "Microsoft.Insights/diagnosticSettings": (
        "2021-05-01-preview",
        Model({"properties": Property(Model({"workspaceId": Property(STRING), "logs": Property(_LOGS)}), True)}),
    ),
}

_SDK_MODELS: Final = {
    "Microsoft.Authorization/roleAssignments": ResourceType(
        "authorization.v2022_04_01", "RoleAssignmentCreateParameters"
    ),
    "Microsoft.Insights/actionGroups": ResourceType("monitor", "ActionGroupResource", "_action_groups_*.py"),
    "Microsoft.Insights/components": ResourceType("applicationinsights.v2020_02_02", "ApplicationInsightsComponent"),
    "Microsoft.Insights/scheduledQueryRules": ResourceType(
        "monitor", "ScheduledQueryRuleResource", "_scheduled_query_rules_*.py"
    ),
    "Microsoft.ManagedIdentity/userAssignedIdentities": ResourceType("msi.v2024_11_30", "Identity"),
    "Microsoft.Network/privateDnsZones": ResourceType("privatedns", "PrivateZone"),
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": ResourceType("privatedns", "VirtualNetworkLink"),
    "Microsoft.Network/privateEndpoints": ResourceType("network", "PrivateEndpoint"),
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": ResourceType("network", "PrivateDnsZoneGroup"),
    "Microsoft.Network/virtualNetworks": ResourceType("network", "VirtualNetwork"),
    "Microsoft.OperationalInsights/workspaces": ResourceType("loganalytics", "Workspace"),
    "Microsoft.Storage/storageAccounts": ResourceType("storage", "StorageAccount"),
    "Microsoft.Storage/storageAccounts/blobServices": ResourceType("storage", "BlobServiceProperties"),
    "Microsoft.Storage/storageAccounts/blobServices/containers": ResourceType("storage", "BlobContainer"),
    "Microsoft.Storage/storageAccounts/managementPolicies": ResourceType("storage", "ManagementPolicy"),
    "Microsoft.Storage/storageAccounts/tableServices": ResourceType("storage", "TableServiceProperties"),
    "Microsoft.Storage/storageAccounts/tableServices/tables": ResourceType("storage", "Table"),
    "Microsoft.Web/serverfarms": ResourceType("web", "AppServicePlan"),
    "Microsoft.Web/sites": ResourceType("web", "Site"),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": ResourceType(
        "web", "CsmPublishingCredentialsPoliciesEntity"
    ),
    "Microsoft.Web/staticSites": ResourceType("web", "StaticSiteARMResource"),
    "Microsoft.Web/sites/config": ResourceType("web", "StringDictionary"),
}

# A storage account is sent in one shape and returned in another.
_WRITTEN_AS: Final = {"Microsoft.Storage/storageAccounts": ResourceType("storage", "StorageAccountCreateParameters")}

_SIMPLE: Final = {"str": STRING, "int": INTEGER, "long": INTEGER, "float": INTEGER, "bool": BOOLEAN}
_PYTHON: Final[dict[object, Scalar]] = {str: STRING, int: INTEGER, float: INTEGER, bool: BOOLEAN}


def shape_to_write(resource_type: str) -> Model | None:
    """What a resource of the type is declared with, beside its name; None for an unknown type."""
    if resource_type in _WRITTEN_DOWN:
        return _WRITTEN_DOWN[resource_type][1]
    found = _WRITTEN_AS.get(resource_type) or _SDK_MODELS.get(resource_type)
    return _model(found) if found else None


def shape_to_read(resource_type: str) -> Model | None:
    """What can be read from a resource of the type, beside its name and ID; None for an unknown type."""
    if resource_type in _WRITTEN_DOWN:
        return _WRITTEN_DOWN[resource_type][1]
    found = _SDK_MODELS.get(resource_type)
    return _model(found) if found else None


@cache
def api_versions(resource_type: str) -> frozenset[str]:
    """The API versions of the SDK that has the type, for which the shapes here are right."""
    if resource_type in _WRITTEN_DOWN:
        return frozenset({_WRITTEN_DOWN[resource_type][0]})
    if resource_type not in _SDK_MODELS:
        return frozenset()
    found = _SDK_MODELS[resource_type]
    folder = Path(str(importlib.import_module(f"azure.mgmt.{found.module}").__file__)).parent
    sources = [*folder.glob("_configuration.py"), *folder.glob(f"operations/{found.operations}")]
    return frozenset(
        version
        for source in sources
        for version in re.findall(r'api[_-]version", "(\d{4}-\d\d-\d\d(?:-preview)?)"', source.read_text())
    )


def _model(resource_type: ResourceType) -> Model:
    models = importlib.import_module(f"azure.mgmt.{resource_type.module}.models")
    return _model_of(getattr(models, resource_type.model), models)


_models: Final[dict[type, Model]] = {}


def _model_of(cls: type, models: types.ModuleType) -> Model:
    if cls in _models:
        return _models[cls]
    model = _models[cls] = Model()  # registered before it is filled: it may hold itself
    if hasattr(cls, "_attribute_map"):
        _fill_from_attribute_map(model, cls, models)
    else:
        _fill_from_rest_fields(model, cls, models)
    return model


def _fill_from_attribute_map(model: Model, cls: Any, models: types.ModuleType) -> None:
    """The older generation: a map of attributes to dotted keys and types, values of enumerations in the docstring."""
    text = " ".join((cls.__doc__ or "").split())
    enumerations = dict(re.findall(r":vartype (\w+): str or ~[\w.]+\.(\w+)", text))
    for name, entry in cls._attribute_map.items():
        *outer, key = entry["key"].replace("\\.", "\0").split(".")
        target = model
        for step in outer:
            inner = target.properties.setdefault(step, Property(Model())).shape
            assert isinstance(inner, Model)
            target = inner
        rules = cls._validation.get(name, {})
        shape = _shape_of_text(entry["type"], models)
        if name in enumerations:
            shape = _enumeration(getattr(models, enumerations[name]))
        required, read_only = rules.get("required", False), rules.get("readonly", False)
        target.properties[key.replace("\0", ".")] = Property(shape, required, read_only)


def _shape_of_text(text: str, models: types.ModuleType) -> Shape:
    if text.startswith("["):
        return ListOf(_shape_of_text(text[1:-1], models))
    if text.startswith("{"):
        return MapOf(_shape_of_text(text[1:-1], models))
    if text in _SIMPLE:
        return _SIMPLE[text]
    cls = getattr(models, text, None)
    if cls is None:
        return STRING if text in ("duration", "iso-8601", "date") else ANY
    return _enumeration(cls) if issubclass(cls, enum.Enum) else _model_of(cls, models)


def _fill_from_rest_fields(model: Model, cls: type, models: types.ModuleType) -> None:
    """The newer generation: annotated descriptors, on the class and its bases."""
    for base in reversed(cls.__mro__):
        namespace = {**vars(sys.modules[base.__module__]), "_models": models}
        hints = typing.get_type_hints(base, globalns=namespace) if "__annotations__" in vars(base) else {}
        for name, rest_field in vars(base).items():
            if type(rest_field).__name__ == "_RestField":
                hint = hints[name]
                key = rest_field._rest_name_input or name
                read_only = rest_field._visibility == ["read"]
                model.properties[key] = Property(
                    _shape_of_hint(hint, models), type(None) not in typing.get_args(hint), read_only
                )


def _shape_of_hint(hint: Any, models: types.ModuleType) -> Shape:
    origin, arguments = typing.get_origin(hint), [one for one in typing.get_args(hint) if one is not type(None)]
    if origin in (typing.Union, types.UnionType):
        named = [one for one in arguments if one is not str]
        return _shape_of_hint(named[0] if named else str, models)
    if origin is list:
        return ListOf(_shape_of_hint(arguments[0], models))
    if origin is dict:
        return MapOf(_shape_of_hint(arguments[1], models))
    if isinstance(hint, type):
        if issubclass(hint, enum.Enum):
            return _enumeration(hint)
        if hint.__module__.startswith(models.__name__):
            return _model_of(hint, models)
    return _PYTHON.get(hint, ANY)


def _enumeration(cls: type[enum.Enum]) -> Scalar:
    return Scalar("string", frozenset(str(member.value) for member in cls))
