"""What this project requires of each resource of a deployment: nothing open, nothing secret, no right too many."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

Resource = dict[str, Any]

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES: Final = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
}

_MUST: Final[dict[str, dict[str, str | int | bool | None]]] = {
    "Microsoft.Storage/storageAccounts": {
        "kind": "StorageV2",  # the only one that has tables, tiers and versions
        "properties.accessTier": "Hot",
        "properties.allowSharedKeyAccess": False,
        "properties.defaultToOAuthAuthentication": True,
        "properties.allowBlobPublicAccess": False,
        "properties.allowCrossTenantReplication": False,
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.supportsHttpsTrafficOnly": True,
        "properties.networkAcls.bypass": "None",
    },
    "Microsoft.Storage/storageAccounts/blobServices": {
        "properties.deleteRetentionPolicy.enabled": True,
        "properties.containerDeleteRetentionPolicy.enabled": True,
    },
    "Microsoft.Storage/storageAccounts/blobServices/containers": {"properties.publicAccess": "None"},
    "Microsoft.Web/sites": {
        "properties.httpsOnly": True,
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.scmMinTlsVersion": "1.2",
        "properties.siteConfig.cors": None,  # the app's own task: the platform would answer before it
        # Code of two versions must not work on one archive at once: an update is Recreate, which is the default.
        "properties.functionAppConfig.siteUpdateStrategy": None,
    },
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"properties.allow": False},
    "Microsoft.Insights/components": {"properties.DisableLocalAuth": True},
    "Microsoft.OperationalInsights/workspaces": {"properties.features.disableLocalAuth": True},
}

# What Flex Consumption refuses (51021 SiteConfigPropertyDoesNotExistOnFlex…): a deployment would stop there.
_NOT_ON_FLEX: Final = (
    "ftpsState",
    "functionAppScaleLimit",
    "functionsRuntimeScaleMonitoringEnabled",
    "linuxFxVersion",
    "netFrameworkVersion",
    "preWarmedInstanceCount",
    "use32BitWorkerProcess",
)

# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules, of the last part of a name.
_NAMES: Final = {
    "Microsoft.Resources/resourceGroups": r"[\w.()-]{0,89}[\w()-]",
    "Microsoft.Storage/storageAccounts": "[a-z0-9]{3,24}",
    "Microsoft.Storage/storageAccounts/blobServices/containers": "(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "Microsoft.Storage/storageAccounts/tableServices/tables": "[A-Za-z][A-Za-z0-9]{2,62}",
    "Microsoft.Storage/storageAccounts/queueServices/queues": "(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "Microsoft.Web/sites": "[a-zA-Z0-9][a-zA-Z0-9-]{0,30}[a-zA-Z0-9]",  # over 32, two apps may share a host ID
    "Microsoft.Web/serverfarms": "[a-zA-Z0-9-]{1,60}",
    "Microsoft.Web/staticSites": "[a-zA-Z0-9-]{1,60}",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "[a-zA-Z0-9][a-zA-Z0-9_-]{2,127}",
    "Microsoft.OperationalInsights/workspaces": "[a-zA-Z0-9][a-zA-Z0-9-]{2,61}[a-zA-Z0-9]",
    "Microsoft.Insights/components": r"[^%&\\?/]{1,254}[^%&\\?/ .]",
    "Microsoft.Network/virtualNetworks": r"[a-zA-Z0-9][\w.-]{0,62}\w",
    "Microsoft.Network/virtualNetworks/subnets": r"[a-zA-Z0-9][\w.-]{0,78}\w",
    "Microsoft.Network/networkSecurityGroups": r"[a-zA-Z0-9][\w.-]{0,78}\w",
    "Microsoft.Network/privateEndpoints": r"[a-zA-Z0-9][\w.-]{0,62}\w",
}
_SECRET: Final = re.compile(r"\blist(Keys|Secrets|AccountSas|ServiceSas|ConnectionStrings|\w*)\(", re.IGNORECASE)


def faults(resources: Sequence[Resource], *, is_private: bool) -> Iterator[str]:
    """A line for each thing that a deployment does but must not, or must but does not.

    `is_private` is whether storage has to be closed to the Internet.
    """
    for resource in resources:
        where = f"{resource['type']} {resource['name']}"
        for path, wanted in _MUST.get(resource["type"], {}).items():
            if at(resource, path) != wanted:
                yield f"{where}: {path} is {at(resource, path)}, not {wanted}."
        if resource["type"] == "Microsoft.Storage/storageAccounts":
            access, action = ("Disabled", "Deny") if is_private else ("Enabled", "Allow")
            for path, wanted in (
                ("properties.publicNetworkAccess", access),
                ("properties.networkAcls.defaultAction", action),
            ):
                if at(resource, path) != wanted:
                    yield f"{where}: {path} is {at(resource, path)}, not {wanted}."
        for name in _NOT_ON_FLEX:
            if at(resource, f"properties.siteConfig.{name}") is not None:
                yield f"{where}: {name} is not for the Flex Consumption plan."
        rule, last = _NAMES.get(resource["type"]), resource["name"].rpartition("/")[2]
        if rule and not re.fullmatch(rule, last):
            yield f"{where}: Azure does not allow the name."
        if _SECRET.search(str(resource)):
            yield f"{where}: reads a secret."
    policies = {
        resource["name"].rpartition("/")[2]
        for resource in resources
        if resource["type"].endswith("/basicPublishingCredentialsPolicies")
    }
    for name in sorted({"ftp", "scm"} - policies):
        yield f"Publishing by password is open: there is no policy {name}."


def at(resource: Resource, path: str) -> Any:
    """The value at a path of names, separated by dots; None where there is none."""
    value: Any = resource
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def of_type(resources: Sequence[Resource], kind: str) -> list[Resource]:
    """The resources of a type."""
    return [resource for resource in resources if resource["type"] == kind]


def roles(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    """The roles that are assigned, and on what: the last two parts of its resource ID."""
    found = []
    for resource in of_type(resources, "Microsoft.Authorization/roleAssignments"):
        guid = resource["properties"]["roleDefinitionId"].rpartition("/")[2]
        # Of an assignment whose name Azure computes, the ID is an expression that begins with the scope.
        scope = re.split(
            "/providers/Microsoft.Authorization/|', ", resource["id"].partition("Id('")[2] or resource["id"]
        )[0]
        found.append((ROLES.get(guid, guid), "/".join(scope.split("/")[-2:])))
    return sorted(found)
