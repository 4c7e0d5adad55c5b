"""The app of a deployment: what its settings refer to, its size, its addresses, and what azd is told of it."""

import re
from typing import Any, Final

import pytest

from tests.infra.deployment_rules import Resource, at, of_type
from tests.support.bicep_compiler import INFRA, compiled, made

# Of what resource, by the beginning of its name, which property a setting is.
REFERENCES: Final = {
    "AzureWebJobsStorage__blobServiceUri": ("storageAccounts/host", "primaryEndpoints.blob"),
    "AzureWebJobsStorage__queueServiceUri": ("storageAccounts/host", "primaryEndpoints.queue"),
    "AzureWebJobsStorage__tableServiceUri": ("storageAccounts/host", "primaryEndpoints.table"),
    "AzureWebJobsStorage__clientId": ("userAssignedIdentities/dicom", "clientId"),
    "APPLICATIONINSIGHTS_CONNECTION_STRING": ("components/dicom", "ConnectionString"),
    "STORAGE_BLOB_ENDPOINT": ("storageAccounts/archive", "primaryEndpoints.blob"),
    "STORAGE_TABLE_ENDPOINT": ("storageAccounts/archive", "primaryEndpoints.table"),
    "IDENTITY_CLIENT_ID": ("userAssignedIdentities/dicom", "clientId"),
}


def app(deployment: str) -> Resource:
    (found,) = of_type(made(deployment), "Microsoft.Web/sites")
    return found


def settings(deployment: str) -> dict[str, Any]:
    (config,) = of_type(made(deployment), "Microsoft.Web/sites/config")
    found: dict[str, Any] = config["properties"]
    return found


def is_reference(expression: str, resource: str, value: str) -> bool:
    """Whether an expression is a property of a resource, by type and the beginning of its name."""
    return bool(re.fullmatch(rf"\[?reference\('\S+/{resource}[\w-]*', '[\d-]+'\)\.{re.escape(value)}\]?", expression))


@pytest.mark.parametrize("name", REFERENCES)
def test_a_setting_is_of_the_resource_that_it_is_for(name: str) -> None:
    assert is_reference(settings("least")[name], *REFERENCES[name])


def test_the_host_signs_in_as_the_apps_identity() -> None:
    assert settings("least")["AzureWebJobsStorage__credential"] == "managedidentity"
    authentication = settings("least")["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"]
    form, _, value = authentication.partition(", ")
    assert form == "[format('Authorization=AAD;ClientId={0}'"
    assert is_reference(value.removesuffix(")]"), "userAssignedIdentities/dicom", "clientId")
    (identity,) = of_type(made("least"), "Microsoft.ManagedIdentity/userAssignedIdentities")
    assert app("least")["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {identity["id"]: {}}}
    storage = at(app("least"), "properties.functionAppConfig.deployment.storage.authentication")
    assert storage == {"type": "UserAssignedIdentity", "userAssignedIdentityResourceId": identity["id"]}


def test_tokens_are_those_of_the_tenant_unless_there_is_an_authority() -> None:
    tenant = "11111111-1111-1111-1111-111111111111"
    expected = f"[format('{{0}}{{1}}/v2.0', environment().authentication.loginEndpoint, '{tenant}')]"
    assert settings("least")["AUTHORITY"] == expected
    assert settings("sized")["AUTHORITY"] == "https://sign-in.example.org"
    assert settings("least")["AUDIENCE"] == "api://11111111-2222-3333-4444-555555555555"


def test_urls_begin_with_the_public_one_and_the_host_has_no_page_before_it() -> None:
    assert settings("everything")["PUBLIC_BASE_URL"] == "https://dicom.example.org"
    assert settings("least")["PUBLIC_BASE_URL"] == ""
    assert settings("least")["AzureWebJobsDisableHomepage"] == "true"


def test_only_the_origins_that_were_named_and_the_viewers_may_use_the_service() -> None:
    assert settings("least")["CORS_ORIGINS"] == ""
    assert settings("restricted")["CORS_ORIGINS"] == "https://viewer.example.org"
    assert settings("sized")["CORS_ORIGINS"].startswith("[format('{0},{1}', 'https://other.example.org', ")
    (site,) = of_type(made("sized"), "Microsoft.Web/staticSites")
    assert (site["location"], site["sku"]["name"], site["sku"]["tier"]) == ("westeurope", "Free", "Free")
    assert at(site, "properties.stagingEnvironmentPolicy") == "Disabled"


def test_the_app_has_the_size_that_was_asked_for() -> None:
    assert at(app("sized"), "properties.functionAppConfig.scaleAndConcurrency") == {
        "instanceMemoryMB": 4096,
        "maximumInstanceCount": 90,
        "alwaysReady": [{"name": "http", "instanceCount": 3}],
        "triggers": {"http": {"perInstanceConcurrency": 7}},
    }


def test_the_app_runs_on_the_python_that_its_packages_are_locked_for() -> None:
    assert at(app("least"), "properties.functionAppConfig.runtime") == {"name": "python", "version": "3.13"}
    assert app("least")["kind"] == "functionapp,linux"
    (plan,) = of_type(made("least"), "Microsoft.Web/serverfarms")
    assert plan["sku"] == {"name": "FC1", "tier": "FlexConsumption"}
    assert at(plan, "properties.reserved") is True  # Linux
    assert at(app("least"), "properties.serverFarmId") == plan["id"]


def test_azd_is_told_what_its_hooks_and_the_documents_ask_it_for() -> None:
    outputs = {name: output["value"] for name, output in compiled(INFRA / "main.bicep")["outputs"].items()}
    site = "reference('viewerSite').outputs.origin.value"
    url = "reference('functionApp').outputs.url.value"
    assert outputs == {
        "AUDIENCE": "[parameters('audience')]",
        "AZURE_RESOURCE_GROUP": "[variables('names').group]",
        "SERVICE_API_NAME": "[variables('names').resources]",
        "SERVICE_URL": f"[if(empty(parameters('publicBaseUrl')), {url}, parameters('publicBaseUrl'))]",
        "ARCHIVE_ACCOUNT_NAME": "[variables('names').archiveAccount]",
        "HOST_ACCOUNT_NAME": "[variables('names').hostAccount]",
        "BACKUP_BLOB_ENDPOINT": (
            "[if(empty(parameters('backupAccountId')), '', reference('backup').outputs.blobEndpoint.value)]"
        ),
        "BACKUP_CONTAINER": "[if(empty(parameters('backupAccountId')), '', variables('names').backupContainer)]",
        "VIEWER_NAME": "[if(parameters('viewer'), variables('names').viewer, '')]",
        "VIEWER_URL": f"[if(parameters('viewer'), {site}, '')]",
    }
