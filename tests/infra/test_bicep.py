"""infra/ is right where that can be checked without Azure, and the checks would find each kind of mistake."""

import re
from typing import Final

import pytest

from shared.storage import archive
from tests.infra.bicep_names import module_path, params_of
from tests.infra.bicep_syntax import Array, BicepFile, Declaration, Literal, expressions
from tests.infra.checks import PARAMETERS, ROOT, parsed, problems, sources

MAIN = "infra/main.bicep"


def module(name: str) -> str:
    return f"infra/modules/{name}.bicep"


def test_nothing_is_wrong() -> None:
    assert problems(sources()) == []


def test_there_is_something_to_check() -> None:
    files = parsed(sources())
    assert len(files) > 8
    assert sum(len(file.of("resource")) for file in files.values()) > 25


# What is wrong; in which file: the right text, the wrong text in its place, what the checks must say.
MISTAKES: Final[dict[str, dict[str, list[tuple[str, str, str]]]]] = {
    "syntax": {
        MAIN: [
            ("param location string\n", "param location string =\n", "not Bicep"),
        ],
        module("identity"): [
            ("  location: location\n", "  location location\n", "not Bicep"),
            ("@2024-11-30'", "'", "has no API version"),
        ],
        module("function-app"): [
            ("    httpsOnly: true\n", "    httpsOnly: true\n    httpsOnly: true\n", "given twice"),
        ],
    },
    "names": {
        MAIN: [
            ("retentionDays: logRetentionDays", "retentionDays: logRetentionDay", "logRetentionDay is not declared"),
            ("@minLength(1)\n@maxLength(64)", "@minLenght(1)\n@maxLength(64)", "@minLenght is not a decorator"),
            ("@minLength(1)\n@maxLength(64)", "@minLength(1)\n@maxValue(64)", "which does not fit its type, string"),
        ],
        module("alerts"): [
            ("receivers.id", "receiver.id", "receiver is not declared"),
        ],
        module("identity"): [
            ("param tags object\n", "param tags object\nparam tags object\n", "declared twice"),
            ("param tags object\n", "param tags object\nparam spare string\n", "spare is not used"),
            ("param tags object\n", "param tags object\nvar spare = 1\n", "spare is not used"),
            (
                "param tags object\n",
                "param tags object\nresource spare 'Microsoft.Web/sites@2025-05-01' existing = {\n  name: 'x'\n}\n",
                "resource spare is not used",
            ),
        ],
        module("access"): [
            ("name: guid(component.id", "name: guidd(component.id", "guidd is not a function"),
        ],
        module("network"): [
            ("environment().suffixes.storage", "environment().suffix.storage", "has no suffix.storage"),
            ("environment().suffixes.storage", "environment()", "environment() is used as a whole"),
        ],
    },
    "modules": {
        MAIN: [
            ("modules/alerts.bicep", "modules/alert.bicep", "there is no file modules/alert.bicep"),
            ("    email: alertEmail\n", "", "is not given email"),
            ("  name: 'alerts'\n", "  nane: 'alerts'\n", "has nane, which is not a property of a module"),
            ("if (privateNetwork)", "if (alertEmail)", "depends on a value of type string, not bool"),
            ("    email: alertEmail\n", "    email: alertEmail\n    mail: alertEmail\n", "has no parameter mail"),
            ("functionApp.outputs.url", "functionApp.outputs.uri", "module functionApp has no outputs.uri"),
            ("viewerSite!.outputs.origin}", "viewerSite!.outputs.url}", "module viewerSite has no outputs.url"),
            ("functionApp.outputs.url", "functionApp.url", "module functionApp has no url"),
            ("  name: 'alerts'\n  scope: group\n", "  name: 'alerts'\n", "alerts needs a scope"),
            (
                "latencySeconds: alertLatencySeconds",
                "latencySeconds: alertEmail",
                "latencySeconds of type string, not int",
            ),
        ],
        module("identity"): [
            ("output name string", "output spare string = identity.id\noutput name string", "read nowhere"),
        ],
    },
    "decorators and defaults": {
        MAIN: [
            ("instanceMemoryMB int = 2048", "instanceMemoryMB int = 1024", "does not allow its default, 1024"),
            ("softDeleteDays int = 14", "softDeleteDays int = 366", "which @maxValue forbids"),
            ("logRetentionDays int = 30", "logRetentionDays int = 7", "which @minValue forbids"),
            (
                "keepVersions bool = false",
                "keepVersions bool = 'no'",
                "parameter keepVersions is of type string, not bool",
            ),
            ("  512\n", "  '512'\n", "allows what is not of its type"),
        ],
        module("identity"): [
            ("principalId string = identity", "principalId int = identity", "is of type string, not int"),
        ],
    },
    "Azure's types": {
        module("function-app"): [
            ("    httpsOnly: true", "    httpOnly: true", "has no property httpOnly"),
            ("instanceMemoryMB: instance", "instanceMemoryMb: instance", "no property instanceMemoryMb"),
            ("perInstanceConcurrency:", "perInstanceConcurency:", "no property perInstanceConcurency"),
            ("type: 'RollingUpdate'", "type: 'RollingUpdates'", "not one of Recreate, RollingUpdate"),
            ("    reserved: true", "    reserved: 'true'", "is of type string, not bool"),
            ("maximumInstanceCount: max", "maximumInstanceCount: name // max", "type string, not int"),
            ("properties.primaryEndpoints.queue", "properties.primaryEndpoint.queue", "primaryEndpoint"),
            ("properties.defaultHostName", "properties.defaultHostname", "no property defaultHostname"),
            ("serverFarmId: plan.id", "serverFarmId: plan.id\n    state: 'Running'", "can only be read"),
        ],
        module("identity"): [
            ("  name: name\n", "", "identity has no name"),
            ("@2024-11-30", "@2024-12-30", "has no API version 2024-12-30"),
            ("userAssignedIdentities@", "userAssignedIdentity@", "is not a type that is known"),
        ],
        module("storage-account"): [
            ("kind: 'StorageV2'", "kind: 'StorageV3'", "is StorageV3, not one of"),
            ("  sku: {\n    name: redundancy\n  }\n", "", "lacks sku"),
            ("      days: softDeleteDays", "      day: softDeleteDays", "has no property day"),
            ("  parent: blobs\n", "", "container has no parent"),
            ("  parent: blobs\n", "  parent: account\n", "its parent is not a"),
        ],
        module("blob-lifecycle"): [
            ("tierToCold: {", "tierToFrozen: {", "has no property tierToFrozen"),
        ],
        module("network"): [
            ("addressPrefixes: [", "addressPrefix: [", "has no property addressPrefix"),
            ("registrationEnabled: false", "registrationEnabled: 0", "is of type int, not bool"),
        ],
        module("private-endpoints"): [
            ("privateDnsZoneId: ", "privateDnsZone: ", "has no property privateDnsZone"),
            ("  name: accountName\n", "  name: accountName\n  kind: 'x'\n", "cannot be set"),
        ],
        module("access"): [
            ("for role in hostRoles", "for role in principalId", "depends on a value of type string, not array"),
            ("principalType: 'ServicePrincipal'", "principalType: 'Service'", "is Service, not one of"),
        ],
        module("monitoring"): [
            ("retentionInDays: retentionDays", "retentionDays: retentionDays", "no property retentionDays"),
        ],
        module("alerts"): [
            ("      allOf: [", "      anyOf: [", "has no property anyOf"),
        ],
        module("viewer"): [
            ("Policy: 'Disabled'", "Policy: 'Off'", "not one of Disabled, Enabled"),
        ],
        module("diagnostics"): [
            ("workspaceId: workspaceId", "workspace: workspaceId", "has no property workspace"),
        ],
    },
    "roles": {
        module("access"): [
            ("ba92f5b4", "ba92f5b5", "is not the GUID of the role named beside it"),
            ("var archiveRoles = [\n  'Storage Blob Data C", "var archiveRoles = [\n  'Storage Blob C", "no GUID"),
            ("roles['Monitoring Metrics P", "roles['Metrics P", "roles has no Metrics Publisher"),
            ("  'Storage Blob Data Owner'\n", "", "Storage Blob Data Owner: a role that nobody is given"),
        ],
    },
    "open or secret": {
        module("storage-account"): [
            ("SharedKeyAccess: false", "SharedKeyAccess: true", "allowSharedKeyAccess must be False"),
            ("    allowSharedKeyAccess: false\n", "", "allowSharedKeyAccess must be False"),
            ("allowBlobPublicAccess: false", "allowBlobPublicAccess: true", "must be False"),
            ("'TLS1_2'", "'TLS1_0'", "minimumTlsVersion must be TLS1_2"),
            ("publicAccess: 'None'", "publicAccess: 'Blob'", "publicAccess must be None"),
            ("privateNetwork ? 'Disabled'", "privateNetwork ? 'Enabled'", "must be Disabled in a"),
            ("privateNetwork ? 'Deny'", "privateNetwork ? 'Allow'", "must be Deny in a private"),
            ("= account.name", "= account.listKeys().keys[0].value", "reads a secret"),
        ],
        module("function-app"): [
            ("    httpsOnly: true\n", "    httpsOnly: false\n", "httpsOnly must be True"),
            ("minTlsVersion: '1.2'", "minTlsVersion: '1.0'", "minTlsVersion must be 1.2"),
            ("minTlsVersion: '1.2'", "minTlsVersion: '1.2'\n      cors: {}", "the app's own task"),
            ("  name: 'ftp'", "  name: 'scm'", "there is no policy ftp"),
        ],
        module("monitoring"): [
            ("    DisableLocalAuth: true\n", "", "DisableLocalAuth must be True"),
            ("= component.name", "= component.properties.ConnectionString", "tells ConnectionString"),
        ],
    },
    "application settings": {
        module("function-app"): [
            ("    AUDIENCE: audience\n", "    AUDIENCE: [audience]\n", "AUDIENCE is not a plain value"),
            ("    AUDIENCE: audience\n", "    AUDIENCES: audience\n", "AUDIENCES is not a setting"),
            ("    AUDIENCE: audience\n", "    MAX_PART: audience\n", "AUDIENCE is missing"),
            ("    TRUST_FORWARDED: 'true'\n", "", "TRUST_FORWARDED is missing"),
            ("TRUST_FORWARDED: 'true'", "TRUST_FORWARDED: 'yes'", "TRUST_FORWARDED must be true or false"),
            ("TRUST_FORWARDED: 'true'", "TRUST_FORWARDED: true", "is not a string"),
            ("TRUST_FORWARDED: 'true'", "TRUST_FORWARDED: 'false'", "behind the Functions host"),
            ("TRUST_FORWARDED: 'true'", "ANONYMOUS_ACCESS: 'true'", "is not for a deployment"),
            ("'5368709120'", "'104857600'", "is not above MAX_REQUEST_BYTES"),
            ("TRUST_FORWARDED: 'true'", "ENABLE_ORYX_BUILD: 'true'", "not for the Flex Consumption plan"),
        ],
    },
    "main.parameters.json": {
        PARAMETERS: [
            ('"audience"', '"audiences"', "audiences is not a parameter of main.bicep"),
            ('"audience"', '"audiences"', "audience is missing"),
            ("${AUDIENCE}", "${AUDIENCES}", "audience is not taken from AUDIENCE"),
            ("${SOFT_DELETE_DAYS=14}", "${SOFT_DELETE_DAYS=7}", "has the default '7', in main.bicep '14'"),
            ("${AUDIENCE}", "${AUDIENCE=api}", "has the default 'api', in main.bicep None"),
        ],
    },
}


@pytest.mark.parametrize(
    ("path", "right", "wrong", "said"),
    [(path, *mistake) for files in MISTAKES.values() for path, listed in files.items() for mistake in listed],
)
def test_a_mistake_is_reported(path: str, right: str, wrong: str, said: str) -> None:
    texts = sources()
    assert right in texts[path], "this mistake can no longer be made: adapt the table"
    texts[path] = texts[path].replace(right, wrong, 1)
    told = problems(texts)
    assert any(said in line for line in told), told


def test_an_unused_module_is_reported() -> None:
    texts = sources()
    texts[module("spare")] = "output spare string = 'spare'\n"
    assert f"{module('spare')}: no file uses this module." in problems(texts)


def literals(declared: Declaration) -> list[object]:
    return [one.value for one in expressions(declared) if isinstance(one, Literal)]


def modules_of(files: dict[str, BicepFile], path: str) -> dict[str, Declaration]:
    main = files[MAIN]
    return {name: one for name, one in main.of("module").items() if module_path(main, one) == path}


def test_the_archive_has_the_container_and_tables_that_the_app_uses() -> None:
    params = params_of(modules_of(parsed(sources()), module("storage-account"))["archiveStorage"])
    containers, tables = params["containers"], params["tables"]
    assert isinstance(containers, Array)
    assert isinstance(tables, Array)
    assert [getattr(one, "value", None) for one in containers.items] == [archive._CONTAINER]
    assert [getattr(one, "value", None) for one in tables.items] == list(archive._TABLES)


def test_the_package_has_a_container_in_the_hosts_account() -> None:
    files = parsed(sources())
    app = params_of(modules_of(files, module("function-app"))["functionApp"])
    host = params_of(modules_of(files, module("storage-account"))["hostStorage"])
    package, containers = app["packageContainer"], host["containers"]
    assert isinstance(package, Literal)
    assert isinstance(containers, Array)
    assert package.value in [getattr(one, "value", None) for one in containers.items]


def test_private_endpoints_lead_to_every_service_in_use() -> None:
    files = parsed(sources())
    endpoints = modules_of(files, module("private-endpoints"))
    zones = literals(files[module("network")].of("variable")["services"])
    for name, used in {"hostEndpoints": {"blob", "queue", "table"}, "archiveEndpoints": {"blob", "table"}}.items():
        services = params_of(endpoints[name])["services"]
        assert isinstance(services, Array)
        assert {getattr(one, "value", None) for one in services.items} == used
        assert used <= set(zones)


def test_python_is_one_that_the_project_supports() -> None:
    version = re.search(r"version: '(\d\.\d+)'", sources()[module("function-app")])
    allowed = re.search(
        r"\(3, (\d+)\) <= sys.version_info\[:2\] <= \(3, (\d+)\)", (ROOT / "local/setup.sh").read_text()
    )
    assert version
    assert allowed
    assert int(allowed[1]) <= int(version[1].partition(".")[2]) <= int(allowed[2])


def test_azure_yaml_deploys_the_service_that_the_app_is_tagged_with() -> None:
    services = re.findall(r"^services:\n  (\w+):$", (ROOT / "azure.yaml").read_text(), re.MULTILINE)
    tags = re.findall(r"'azd-service-name': '(\w+)'", sources()[module("function-app")])
    assert services == tags == ["api"]
