"""Checks what this project requires of its Bicep: roles, nothing secret, nothing open, the app's settings."""

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from shared.settings import Settings, SettingsError
from tests.infra.bicep_syntax import (
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
    expressions,
    within,
)

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES: Final = {
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
}

# Application settings that are the host's, not the app's.
HOST_SETTINGS: Final = {
    "AzureWebJobsStorage__blobServiceUri": "where the host keeps locks and keys",
    "AzureWebJobsStorage__queueServiceUri": "the host's connection names all three",
    "AzureWebJobsStorage__tableServiceUri": "where the host keeps diagnostic events",
    "AzureWebJobsStorage__credential": "the host signs in by managed identity",
    "AzureWebJobsStorage__clientId": "by this one",
    "AzureWebJobsDisableHomepage": "no page of Azure's at /",
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "100 MB unless this raises it",
}

# Settings of the app that a deployment does not set.
NOT_DEPLOYED: Final = {
    "STORAGE_CONNECTION_STRING": "the archive is reached by identity",
    "BACKUP_CONNECTION_STRING": "so is its backup",
    "CREATE_STORAGE": "the template makes container and tables",
    "ANONYMOUS_ACCESS": "a service that others can reach requires sign-in",
}

# Limits, and what few archives need, keep their defaults; the parameter moreSettings changes them.
LIMITS: Final = re.compile("(MAX|DEFAULT)_[A-Z_]+|STORE_WITHOUT_PATIENT_ID")

# Not for the Flex Consumption plan, https://learn.microsoft.com/azure/azure-functions/functions-app-settings
_NOT_ON_FLEX: Final = re.compile(
    "FUNCTIONS_(WORKER_RUNTIME|EXTENSION_VERSION)|WEBSITE_(RUN_FROM_PACKAGE|CONTENT.*|TIME_ZONE)|"
    "SCM_DO_BUILD_DURING_DEPLOYMENT|ENABLE_ORYX_BUILD|AzureWebJobsStorage"
)

_MUST: Final[dict[str, dict[str, str | int | bool]]] = {
    "Microsoft.Storage/storageAccounts": {
        "properties.allowSharedKeyAccess": False,
        "properties.allowBlobPublicAccess": False,
        "properties.allowCrossTenantReplication": False,
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.supportsHttpsTrafficOnly": True,
    },
    "Microsoft.Storage/storageAccounts/blobServices": {
        "properties.deleteRetentionPolicy.enabled": True,
        "properties.containerDeleteRetentionPolicy.enabled": True,
    },
    "Microsoft.Storage/storageAccounts/blobServices/containers": {"properties.publicAccess": "None"},
    "Microsoft.Web/sites": {"properties.httpsOnly": True, "properties.siteConfig.minTlsVersion": "1.2"},
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"properties.allow": False},
    "Microsoft.Insights/components": {"properties.DisableLocalAuth": True},
    "Microsoft.OperationalInsights/workspaces": {"properties.features.disableLocalAuth": True},
}
_MUST_NOT: Final = {"Microsoft.Web/sites": "properties.siteConfig.cors"}
_GUID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SECRET: Final = re.compile("key|secret|password|token|connectionstring|sas$", re.IGNORECASE)


def check_policy(files: dict[str, BicepFile]) -> Iterator[str]:
    """A line for each thing that the files do but must not, or must but do not."""
    for file in files.values():
        yield from _check_roles(file)
        yield from _check_secrets(file)
        for resource in file.of("resource").values():
            if not resource.existing:
                yield from _check_resource(file, resource)
    yield from _check_publishing(files)
    yield from check_settings(files)


def _check_roles(file: BicepFile) -> Iterator[str]:
    for declared in file.declarations:
        roles = _role_table(declared)
        for one in expressions(declared):
            if isinstance(one, Literal) and _GUID.fullmatch(str(one.value)):
                named = [name for name, value in roles.items() if value is one]
                if not named or ROLES.get(named[0]) != one.value:
                    yield f"{file.path}:{one.line}: {one.value} is not the GUID of the role named beside it."
    assignments = [one for one in file.of("resource").values() if one.type.endswith("/roleAssignments")]
    tables = [_role_table(declared) for declared in file.of("variable").values()]
    known = {name for table in tables for name in table}
    for assignment in assignments:
        for role in _assigned(file, assignment) - known:
            yield f"{file.path}:{assignment.line}: {assignment.name} assigns {role}, which has no GUID here."
    unused = known - {role for assignment in assignments for role in _assigned(file, assignment)}
    if unused:
        yield f"{file.path}: {', '.join(sorted(unused))}: a role that nobody is given."


def _role_table(declared: Declaration) -> dict[str, Expression]:
    """The members of a variable that holds GUIDs by the name of the role."""
    if declared.kind != "variable" or not isinstance(declared.value, Object):
        return {}
    members = declared.value.members
    guids = [isinstance(one, Literal) and _GUID.fullmatch(str(one.value)) for one in members.values()]
    return members if any(guids) else {}


def _assigned(file: BicepFile, assignment: Declaration) -> set[str]:
    """The roles that an assignment names, itself or in the list that it loops over."""
    if isinstance(assignment.loop_over, Name) and assignment.loop_over.name in file.of("variable"):
        found = file.of("variable")[assignment.loop_over.name].value
        assert found is not None
        return {str(one.value) for one in within(found) if isinstance(one, Literal)}
    keys = [one.key for one in within(assignment.body) if isinstance(one, Member)]
    return {str(key.value) for key in keys if isinstance(key, Literal)}


def _check_secrets(file: BicepFile) -> Iterator[str]:
    for declared in file.declarations:
        for one in expressions(declared):
            if isinstance(one, Call) and one.function.rpartition(".")[2].lower().startswith(("list", "getsecret")):
                yield f"{file.path}:{one.line}: {one.function} reads a secret."
        if declared.kind == "output" and declared.value is not None:
            names = [declared.name, *(one.name for one in within(declared.value) if isinstance(one, Member))]
            for name in names:
                if _SECRET.search(name.replace("_", "")):
                    yield f"{file.path}:{declared.line}: output {declared.name} tells {name}."


def _check_resource(file: BicepFile, resource: Declaration) -> Iterator[str]:
    for path, wanted in _MUST.get(resource.type, {}).items():
        value = _at(resource.body, path)
        if not isinstance(value, Literal) or value.value != wanted:
            yield f"{file.path}:{resource.line}: {resource.name}: {path} must be {wanted}."
    if resource.type in _MUST_NOT and _at(resource.body, _MUST_NOT[resource.type]) is not None:
        yield f"{file.path}:{resource.line}: {resource.name}: {_MUST_NOT[resource.type]} is the app's own task."
    if resource.type == "Microsoft.Storage/storageAccounts":
        for path, closed in (("properties.publicNetworkAccess", "Disabled"), ("properties.networkAcls", "Deny")):
            value = _at(resource.body, path)
            value = _at(value, "defaultAction") if isinstance(value, Object) else value
            if not isinstance(value, Conditional) or getattr(value.then, "value", None) != closed:
                yield f"{file.path}:{resource.line}: {resource.name}: {path} must be {closed} in a private network."


def _check_publishing(files: dict[str, BicepFile]) -> Iterator[str]:
    policies = {
        getattr(_at(resource.body, "name"), "value", None)
        for file in files.values()
        for resource in file.of("resource").values()
        if resource.type.endswith("/basicPublishingCredentialsPolicies")
    }
    for name in {"ftp", "scm"} - policies:
        yield f"Publishing by password is open: there is no policy {name}."


def _at(value: Expression | None, path: str) -> Expression | None:
    for name in path.split("."):
        value = value.members.get(name) if isinstance(value, Object) else None
    return value


def application_settings(files: dict[str, BicepFile]) -> dict[str, Expression]:
    """The app's settings from the template, which override the operator's: the last that are joined."""
    for file in files.values():
        for resource in file.of("resource").values():
            name = _at(resource.body, "name")
            if resource.type == "Microsoft.Web/sites/config" and getattr(name, "value", None) == "appsettings":
                value = _at(resource.body, "properties")
                if isinstance(value, Call) and value.function == "union":
                    value = value.arguments[-1]
                return value.members if isinstance(value, Object) else {}
    return {}


def check_settings(files: dict[str, BicepFile]) -> Iterator[str]:
    """Check that the application settings are ones that app and host have, and all that a deployment needs."""
    given = application_settings(files)
    own = {setting.name.upper() for setting in fields(Settings)}
    for name in given:
        if name not in own | set(HOST_SETTINGS):
            yield f"Application setting {name} is not a setting of the app or the host."
        if name in NOT_DEPLOYED:
            yield f"Application setting {name} is not for a deployment: {NOT_DEPLOYED[name]}."
        if _NOT_ON_FLEX.fullmatch(name):
            yield f"Application setting {name} is not for the Flex Consumption plan."
    for name in sorted(own | set(HOST_SETTINGS)):
        if name not in given and name not in NOT_DEPLOYED and not LIMITS.fullmatch(name):
            yield f"Application setting {name} is missing."
    for name, value in given.items():
        if not isinstance(value, Literal | Interpolated | Name | Member):
            yield f"Application setting {name} is not a plain value."
    literals = {name: value.value for name, value in given.items() if isinstance(value, Literal)}
    for name in sorted(name for name, text in literals.items() if not isinstance(text, str)):
        yield f"Application setting {name} is not a string."
    texts = {name: str(text) for name, text in literals.items()}
    try:
        settings = Settings.from_environment(texts)
    except SettingsError as error:
        yield f"Application settings: {error}"
        return
    body_limit = texts.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "0")
    if int(body_limit) <= settings.max_request_bytes:
        yield f"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT, {body_limit}, is not above MAX_REQUEST_BYTES."
    if not settings.trust_forwarded:
        yield "TRUST_FORWARDED must be true behind the Functions host."
