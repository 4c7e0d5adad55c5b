"""What each choice of a deployment makes, and which cannot be made together."""

import re
from typing import Any

import pytest

from tests.infra.deployment_rules import Resource, at, of_type
from tests.support.bicep_compiler import PARAMETERS, SUBSCRIPTION, BicepError, evaluated, made

HOSPITAL = "/subscriptions/33333333-3333-3333-3333-333333333333/resourceGroups"
ACCOUNT = "Microsoft.Storage/storageAccounts"
SERVICES = ("blobServices", "queueServices", "tableServices")


def the(deployment: str, kind: str, beginning: str = "") -> Resource:
    """The one resource of a type whose name begins so."""
    (found,) = (one for one in of_type(made(deployment), kind) if one["name"].startswith(beginning))
    return found


def archive(deployment: str) -> Resource:
    return the(deployment, ACCOUNT, "archive")


def app(deployment: str) -> Resource:
    return the(deployment, "Microsoft.Web/sites")


def kinds(deployment: str) -> set[str]:
    return {resource["type"] for resource in made(deployment)}


def test_least_makes_nothing_that_costs_at_rest_but_what_is_stored() -> None:
    assert kinds("least") == {
        "Microsoft.Resources/resourceGroups",
        "Microsoft.ManagedIdentity/userAssignedIdentities",
        "Microsoft.OperationalInsights/workspaces",
        "Microsoft.OperationalInsights/workspaces/tables",
        "Microsoft.Insights/components",
        "Microsoft.Insights/diagnosticSettings",
        ACCOUNT,
        f"{ACCOUNT}/blobServices",
        f"{ACCOUNT}/blobServices/containers",
        f"{ACCOUNT}/queueServices",
        f"{ACCOUNT}/queueServices/queues",
        f"{ACCOUNT}/tableServices",
        f"{ACCOUNT}/tableServices/tables",
        f"{ACCOUNT}/managementPolicies",
        "Microsoft.Authorization/roleAssignments",
        "Microsoft.Web/serverfarms",
        "Microsoft.Web/sites",
        "Microsoft.Web/sites/config",
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies",
    }
    assert at(app("least"), "properties.functionAppConfig.scaleAndConcurrency.alwaysReady") == []


def test_a_name_written_in_another_way_is_the_same_archive() -> None:
    assert archive("other-spelling")["name"] == archive("least")["name"]
    assert archive("other-spelling")["id"].lower() == archive("least")["id"].lower()


def test_a_region_is_written_in_one_way() -> None:
    for spelling in ("West Europe", "WestEurope", "west europe", "moon"):
        with pytest.raises(BicepError, match=f"'{spelling}'"):
            evaluated((PARAMETERS / "least.bicepparam").read_text().replace("'westeurope'", f"'{spelling}'"))


def test_a_hospitals_own_group_network_zones_and_workspace_are_used_and_not_touched() -> None:
    assert not kinds("existing") & {
        "Microsoft.Resources/resourceGroups",
        "Microsoft.Network/virtualNetworks",
        "Microsoft.Network/networkSecurityGroups",
        "Microsoft.Network/privateDnsZones",
        "Microsoft.OperationalInsights/workspaces",
        "Microsoft.OperationalInsights/workspaces/tables",
    }
    own = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/pacs/"
    assert all(resource["id"].startswith(own) for resource in made("existing"))
    network = f"{HOSPITAL}/network/providers/Microsoft.Network/virtualNetworks/hospital"
    assert at(app("existing"), "properties.virtualNetworkSubnetId") == f"{network}/subnets/dicom"
    for endpoint in of_type(made("existing"), "Microsoft.Network/privateEndpoints"):
        assert endpoint["properties"]["subnet"]["id"] == f"{network}/subnets/endpoints"
    groups = of_type(made("existing"), "Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
    assert len(groups) == 7
    for group in groups:
        (zone,) = group["properties"]["privateDnsZoneConfigs"]
        assert f"{HOSPITAL}/dns" in zone["properties"]["privateDnsZoneId"]
    workspace = f"{HOSPITAL}/logs/providers/Microsoft.OperationalInsights/workspaces/hospital"
    assert at(the("existing", "Microsoft.Insights/components"), "properties.WorkspaceResourceId") == workspace
    for setting in of_type(made("existing"), "Microsoft.Insights/diagnosticSettings"):
        assert setting["properties"]["workspaceId"] == workspace


def test_zones_hold_app_package_and_archive() -> None:
    assert at(the("zones", "Microsoft.Web/serverfarms"), "properties.zoneRedundant") is True
    assert the("zones", ACCOUNT, "host")["sku"]["name"] == "Standard_ZRS"
    assert archive("zones")["sku"]["name"] == "Standard_GZRS"
    assert at(the("least", "Microsoft.Web/serverfarms"), "properties.zoneRedundant") is False


def test_what_is_deleted_stays_where_it_cannot_be_removed() -> None:
    assert not kinds("least") & {
        "Microsoft.Authorization/locks",
        f"{ACCOUNT}/blobServices/containers/immutabilityPolicies",
    }
    lock = the("protected", "Microsoft.Authorization/locks")
    assert lock["properties"]["level"] == "CanNotDelete"
    assert lock["id"].startswith(archive("protected")["id"] + "/")
    policy = the("protected", f"{ACCOUNT}/blobServices/containers/immutabilityPolicies")
    assert policy["name"] == f"{archive('protected')['name']}/default/dicom/default"
    assert at(policy, "properties.immutabilityPeriodSinceCreationInDays") == 365
    container = the("protected", f"{ACCOUNT}/blobServices/containers", "archive")
    assert at(container, "properties.immutableStorageWithVersioning.enabled") is True
    blobs = the("protected", f"{ACCOUNT}/blobServices", "archive")
    assert at(blobs, "properties.isVersioningEnabled") is True
    assert at(blobs, "properties.deleteRetentionPolicy.days") == 90
    assert at(blobs, "properties.containerDeleteRetentionPolicy.days") == 90
    package = the("protected", f"{ACCOUNT}/blobServices", "host")
    assert at(package, "properties.deleteRetentionPolicy.days") == 7  # a deployment makes it again


def test_a_key_of_the_hospital_encrypts_files_and_tables() -> None:
    encryption = at(archive("encrypted"), "properties.encryption")
    assert encryption["requireInfrastructureEncryption"] is True
    assert encryption["keySource"] == "Microsoft.Keyvault"
    assert encryption["keyvaultproperties"] == {
        "keyvaulturi": "https://hospital.vault.azure.net",
        "keyname": "archive",
        "keyversion": "",
    }
    identity = f"{HOSPITAL}/keys/providers/Microsoft.ManagedIdentity/userAssignedIdentities/archive"
    assert encryption["identity"] == {"userAssignedIdentity": identity}
    assert archive("encrypted")["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    assert {name: one["keyType"] for name, one in encryption["services"].items()} == dict.fromkeys(
        ("blob", "file", "queue", "table"), "Account"
    )
    # The package is no patient's data: it stays with keys of Microsoft.
    assert at(the("encrypted", ACCOUNT, "host"), "properties.encryption") is None
    assert at(archive("least"), "properties.encryption") is None


def actions(deployment: str) -> dict[str, Any]:
    """What the lifecycle policy does, by the name of the rule."""
    (policy,) = of_type(made(deployment), f"{ACCOUNT}/managementPolicies")
    for rule in policy["properties"]["policy"]["rules"]:
        assert rule["definition"]["filters"] == {"blobTypes": ["blockBlob"], "prefixMatch": ["dicom/"]}
        assert (rule["enabled"], rule["type"]) == (True, "Lifecycle")
    return {rule["name"]: rule["definition"]["actions"] for rule in policy["properties"]["policy"]["rules"]}


def test_old_files_move_to_cheaper_tiers_and_old_versions_go() -> None:
    versions = {"versions": {"version": {"delete": {"daysAfterCreationGreaterThan": 14}}}}
    assert actions("least") == versions
    assert actions("tiers") == {
        "cool": {"baseBlob": {"tierToCool": {"daysAfterModificationGreaterThan": 90}}},
        "cold": {"baseBlob": {"tierToCold": {"daysAfterModificationGreaterThan": 365}}},
        **versions,
    }


def test_a_backup_goes_to_one_container_of_another_account() -> None:
    account = f"{HOSPITAL}/backups/providers/{ACCOUNT}/hospitalbackup"
    elsewhere = {one["id"]: one for one in made("backup") if one["id"].startswith(HOSPITAL)}
    name = archive("backup")["name"].replace("archive", "dicom-backup-")  # no other archive's
    container = f"{account}/blobServices/default/containers/{name}"
    assert list(elsewhere) == [container]
    assert elsewhere[container]["properties"]["publicAccess"] == "None"
    (config,) = of_type(made("backup"), "Microsoft.Web/sites/config")
    assert "hospitalbackup" in config["properties"]["BACKUP_BLOB_ENDPOINT"]
    assert config["properties"]["BACKUP_CONTAINER"] == name
    assert config["properties"]["BACKUP_RETENTION_DAYS"] == "90"
    (config,) = of_type(made("least"), "Microsoft.Web/sites/config")
    assert config["properties"]["BACKUP_BLOB_ENDPOINT"] == ""


def test_queue_functions_reach_the_archives_queues_by_identity() -> None:
    (config,) = of_type(made("sized"), "Microsoft.Web/sites/config")
    settings = config["properties"]
    assert settings["ArchiveQueues__queueServiceUri"] == settings["STORAGE_QUEUE_ENDPOINT"]
    assert re.search(r"storageAccounts/archive\w+'.*\.primaryEndpoints\.queue", settings["STORAGE_QUEUE_ENDPOINT"])
    assert settings["ArchiveQueues__clientId"] == settings["IDENTITY_CLIENT_ID"]
    assert "ArchiveQueues__accountName" not in settings  # it would win over the URI
    assert (settings["OPERATION_RETENTION_DAYS"], settings["SUBSCRIPTION_HOSTS"]) == (
        "90",
        "events.example.org,10.1.0.0/16",
    )
    (config,) = of_type(made("least"), "Microsoft.Web/sites/config")
    assert config["properties"]["SUBSCRIPTION_HOSTS"] == ""


def test_only_the_hospitals_addresses_are_let_in() -> None:
    config = at(app("restricted"), "properties.siteConfig")
    assert config["ipSecurityRestrictionsDefaultAction"] == "Deny"
    allowed = [
        (one["priority"], one["action"], one["tag"], one["ipAddress"]) for one in config["ipSecurityRestrictions"]
    ]
    assert allowed == [
        (100, "Allow", "Default", "203.0.113.0/24"),
        (101, "Allow", "Default", "198.51.100.7/32"),
        (102, "Allow", "ServiceTag", "ApplicationInsightsAvailability"),  # which asks for /health
    ]
    assert at(app("least"), "properties.siteConfig.ipSecurityRestrictionsDefaultAction") == "Allow"


def test_tags_are_on_everything_that_has_tags() -> None:
    tags = {"department": "radiology", "azd-env-name": "prod"}
    tagged = {one["id"] for one in made("restricted") if one.get("tags", {}).items() >= tags.items()}
    assert tagged == {one["id"] for one in made("restricted") if "tags" in one}
    assert tagged >= {one["id"] for one in made("least") if "tags" in one}
    assert len(tagged) > 10
    # What Azure gives no tags of its own: parts of others.
    assert {one["type"].rpartition("/")[2] for one in made("everything") if "tags" not in one} == {
        "basicPublishingCredentialsPolicies",
        "blobServices",
        "config",
        "containers",
        "diagnosticSettings",
        "immutabilityPolicies",
        "locks",
        "managementPolicies",
        "privateDnsZoneGroups",
        "queueServices",
        "queues",
        "roleAssignments",
        "subnets",
        "tableServices",
        "tables",
    }


def test_more_settings_are_added_and_change_none_of_the_templates_own() -> None:
    (config,) = of_type(made("restricted"), "Microsoft.Web/sites/config")
    assert config["properties"]["MAX_REQUEST_BYTES"] == "1073741824"
    assert config["properties"]["AUDIENCE"].startswith("api://")
    assert config["properties"]["TRUST_FORWARDED"] == "true"


def test_telemetry_is_kept_as_long_as_logs() -> None:
    tables = of_type(made("everything"), "Microsoft.OperationalInsights/workspaces/tables")
    assert {one["name"].partition("/")[2] for one in tables} == {
        "AppAvailabilityResults",
        "AppDependencies",
        "AppExceptions",
        "AppMetrics",
        "AppPerformanceCounters",
        "AppRequests",
        "AppSystemEvents",
        "AppTraces",
    }
    for table in tables:
        assert table["properties"] == {"retentionInDays": 730, "totalRetentionInDays": 730}
    assert at(the("everything", "Microsoft.OperationalInsights/workspaces"), "properties.retentionInDays") == 730


def test_reads_and_tables_are_logged_only_where_everything_is() -> None:
    def logged(deployment: str) -> set[str]:
        settings = of_type(made(deployment), "Microsoft.Insights/diagnosticSettings")
        return {log["category"] for setting in settings for log in setting["properties"]["logs"]}

    assert logged("least") == {"StorageWrite", "StorageDelete"}
    assert logged("everything") == {"StorageRead", "StorageWrite", "StorageDelete", "FunctionAppLogs"}
    assert not [
        one for one in of_type(made("least"), "Microsoft.Insights/diagnosticSettings") if "table" in one["name"]
    ]
    scopes = [
        one["id"].partition("/providers/Microsoft.Insights/")[0]
        for one in of_type(made("everything"), "Microsoft.Insights/diagnosticSettings")
    ]
    services = [f"{one['id']}/{kind}/default" for one in of_type(made("everything"), ACCOUNT) for kind in SERVICES]
    assert sorted(scopes) == sorted([*services, app("everything")["id"]])


def test_the_viewers_origin_may_use_the_service() -> None:
    (config,) = of_type(made("everything"), "Microsoft.Web/sites/config")
    assert "defaultHostname" in config["properties"]["VIEWER_URL"]
    assert "https://viewer.example.org" in config["properties"]["CORS_ORIGINS"]
    assert "defaultHostname" in config["properties"]["CORS_ORIGINS"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            """
param alwaysReadyInstances = 3
param maximumInstances = 2
param zoneRedundant = true
param coolAfterDays = 90
param coldAfterDays = 90
param immutabilityDays = 1
param encryptionKeyUrl = 'https://hospital.vault.azure.net'
param existingAppSubnetId = '/x'
param existingDnsZonesGroupId = '/x'
param inboundPrivateEndpoint = true
param availabilityTest = true
param backupAccountId = 'hospitalbackup'
param addressPrefix = '10.0.0.0/25'
param allowedAddresses = '198.51.100.7, 2001:db8::1, AzureFrontDoor.Backend, 203.0.113.0/24'
param publicBaseUrl = 'https://dicom.example.org/'
param moreSettings = {
  ANONYMOUS_ACCESS: 'true'
  ArchiveQueues__accountName: 'x'
  BACKUP_CONNECTION_STRING: 'x'
  CREATE_STORAGE: 'true'
  STORAGE_CONNECTION_STRING: 'x'
  AzureWebJobsStorage__accountName: 'x'
  functions_worker_runtime: 'node'
  MAX_PARTS: '7'
}
""",
            [
                "alwaysReadyInstances is above maximumInstances.",
                "zoneRedundant needs an archiveRedundancy of Standard_ZRS or Standard_GZRS.",
                "coldAfterDays must be above coolAfterDays.",
                "immutabilityDays needs keepVersions.",
                "encryptionKeyUrl and encryptionKeyIdentityId need each other.",
                "encryptionKeyUrl must be such as https://VAULT/keys/KEY.",
                "existingAppSubnetId and existingEndpointSubnetId need each other.",
                "existingAppSubnetId and existingDnsZonesGroupId need privateNetwork.",
                "inboundPrivateEndpoint needs privateNetwork.",
                "availabilityTest needs alertEmail.",
                "backupAccountId must be such as /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Storage/",
                "addressPrefix must be from /16 to /24.",
                "allowedAddresses has 198.51.100.7, 2001:db8::1: the length of the prefix is missing",
                "publicBaseUrl must be such as https://dicom.example.org, without a slash at its end.",
                "moreSettings has ANONYMOUS_ACCESS, ArchiveQueues__accountName, AzureWebJobsStorage__accountName, "
                "BACKUP_CONNECTION_STRING, CREATE_STORAGE, functions_worker_runtime, STORAGE_CONNECTION_STRING, which",
            ],
        ),
        (
            """
param alwaysReadyInstances = 1
param zoneRedundant = true
param archiveRedundancy = 'Standard_ZRS'
param publicNetworkAccess = 'Disabled'
param availabilityTest = true
param alertEmail = 'operator@example.org'
param allowedAddresses = ' , '
param publicBaseUrl = 'http://dicom.example.org'
""",
            [
                "allowedAddresses names none.",
                "publicBaseUrl must be such as https://dicom.example.org",
                "zoneRedundant needs alwaysReadyInstances of 0, or of 2 and more.",
                "A publicNetworkAccess of Disabled needs inboundPrivateEndpoint: nobody could reach the app.",
                "availabilityTest asks from the Internet: it cannot be with a publicNetworkAccess of Disabled.",
            ],
        ),
        (
            "param privateNetwork = 'yes'\nparam moreSettings = {\n  MAX_PARTS: 7\n}",
            ['expected a value of type "bool"', 'expected a value of type "string"'],
        ),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_reasons(lines: str, said: list[str]) -> None:
    with pytest.raises(BicepError) as refused:
        evaluated(f"{(PARAMETERS / 'least.bicepparam').read_text()}{lines}\n")
    message = str(refused.value).replace("\n", " ").lower()
    assert [sentence for sentence in said if sentence.lower() not in message] == []
    assert message.count("needs") == "".join(said).count("needs")
