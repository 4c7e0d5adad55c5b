"""infra/ by the Bicep compiler, and every deployment of tests/infra/parameters/ by this project's rules."""

import json
import re
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest

from local.queues import POISON
from shared.storage import archive
from shared.storage.queues import QueueName
from shared.version import VERSION
from tests.infra import application_settings, deployment_rules
from tests.infra.deployment_rules import Resource, at, of_type, roles
from tests.support.bicep_compiler import INFRA, PARAMETERS, compiled, made, run
from tests.support.repository_files import ROOT

FILES: Final = sorted(INFRA.glob("**/*.bicep"))
DEPLOYMENTS: Final = sorted(path.stem for path in PARAMETERS.glob("*.bicepparam"))
BACKUP: Final = "containers/hospitalbackup"
PRIVATE: Final = {"private", "other-authority", "closed", "existing", "everything"}
RELEASES: Final = ROOT / "tests/infra/releases"
# Whose content nobody makes again.
HOLD_DATA: Final = re.compile(
    r"Microsoft\.(Storage/storageAccounts(/(blobServices/containers|\w+Services/(tables|queues)))?"
    r"|OperationalInsights/workspaces|Insights/components)"
)


def test_there_is_something_to_check() -> None:
    assert len(FILES) > 10
    assert len(DEPLOYMENTS) > 10
    assert len(made("least")) > 30


@pytest.mark.parametrize("command", [("build", INFRA / "main.bicep", "--stdout"), ("lint", INFRA / "main.bicep")])
def test_the_compiler_has_nothing_to_say(command: tuple[str | Path, ...]) -> None:
    """Of main.bicep and all modules, by the rules of infra/bicepconfig.json."""
    done = run(*command)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_file_is_in_the_standard_format(tmp_path: Path) -> None:
    for path in (*FILES, *PARAMETERS.glob("*.bicepparam")):
        shutil.copy(path, tmp_path)
    assert run("format", "--pattern", tmp_path / "*.bicep*").returncode == 0
    changed = [one.name for one in FILES if (tmp_path / one.name).read_bytes() != one.read_bytes()]
    assert changed == []
    changed = [one.name for one in PARAMETERS.iterdir() if (tmp_path / one.name).read_bytes() != one.read_bytes()]
    assert changed == []


def test_every_module_is_used() -> None:
    used = {name for path in FILES for name in re.findall(r"^module \w+ '(?:modules/)?(.+?)'", path.read_text(), re.M)}
    assert used == {path.name for path in INFRA.glob("modules/*")}


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_a_deployment_keeps_the_rules(deployment: str) -> None:
    assert list(deployment_rules.faults(made(deployment), is_private=deployment in PRIVATE)) == []


# What is wrong: the type of a resource, the path of a property, the value it gets, what is said of it.
MISTAKES: Final[list[tuple[str, str, Any, str]]] = [
    ("Microsoft.Storage/storageAccounts", "properties.allowSharedKeyAccess", True, "allowSharedKeyAccess is True"),
    ("Microsoft.Storage/storageAccounts", "properties.allowBlobPublicAccess", None, "allowBlobPublicAccess is None"),
    ("Microsoft.Storage/storageAccounts", "properties.minimumTlsVersion", "TLS1_0", "not TLS1_2"),
    ("Microsoft.Storage/storageAccounts", "properties.publicNetworkAccess", "Enabled", "not Disabled"),
    ("Microsoft.Storage/storageAccounts", "properties.networkAcls.defaultAction", "Allow", "not Deny"),
    ("Microsoft.Storage/storageAccounts", "properties.networkAcls.bypass", "AzureServices", "not None"),
    ("Microsoft.Storage/storageAccounts", "name", "archive-of-images", "does not allow the name"),
    ("Microsoft.Storage/storageAccounts/blobServices/containers", "properties.publicAccess", "Blob", "not None"),
    ("Microsoft.Web/sites", "properties.httpsOnly", False, "httpsOnly is False"),
    ("Microsoft.Web/sites", "properties.siteConfig.scmMinTlsVersion", "1.0", "not 1.2"),
    ("Microsoft.Web/sites", "properties.siteConfig.cors", {}, "cors is {}"),
    ("Microsoft.Web/sites", "properties.siteConfig.ftpsState", "Disabled", "not for the Flex Consumption plan"),
    ("Microsoft.Web/sites", "properties.functionAppConfig.siteUpdateStrategy", {"type": "RollingUpdate"}, "not None"),
    ("Microsoft.Web/sites", "properties.kind", "[listKeys('x', '2025-06-01').keys[0].value]", "reads a secret"),
    ("Microsoft.Web/sites/basicPublishingCredentialsPolicies", "properties.allow", True, "allow is True"),
    ("Microsoft.Web/sites/basicPublishingCredentialsPolicies", "name", "x/other", "there is no policy ftp"),
    ("Microsoft.Insights/components", "properties.DisableLocalAuth", False, "DisableLocalAuth is False"),
]


@pytest.mark.parametrize(("kind", "path", "value", "said"), MISTAKES)
def test_a_mistake_is_found(kind: str, path: str, value: Any, said: str) -> None:
    resources = deepcopy(made("private"))
    *outer, last = path.split(".")
    target = of_type(resources, kind)[0]
    for name in outer:
        target = target[name]
    target[last] = value
    told = list(deployment_rules.faults(resources, is_private=True))
    assert len(told) == 1
    assert said in told[0]


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_the_identity_has_the_roles_that_the_app_needs_and_no_other(deployment: str) -> None:
    """Each client that the host and the app open: both accounts, telemetry, a backup's blobs."""
    host, archive_account, component, *backup = (
        name
        for prefix in ("storageAccounts/host", "storageAccounts/archive", "components/dicom", BACKUP)
        for name in names(made(deployment))
        if name.startswith(prefix)
    )
    assert len(backup) == (deployment == "backup")
    assert roles(made(deployment)) == sorted(
        [
            *(("Storage Blob Data Contributor", name.replace(f"{BACKUP}/default/", "containers/")) for name in backup),
            ("Storage Blob Data Owner", host),
            ("Storage Table Data Contributor", host),
            ("Storage Blob Data Contributor", archive_account),
            ("Storage Table Data Contributor", archive_account),
            ("Storage Queue Data Contributor", archive_account),
            ("Monitoring Metrics Publisher", component),
        ]
    )


def names(resources: list[Resource]) -> list[str]:
    return [f"{resource['type'].rpartition('/')[2]}/{resource['name']}" for resource in resources]


def settings_of(resources: list[Resource]) -> dict[str, Any]:
    (config,) = of_type(resources, "Microsoft.Web/sites/config")
    settings: dict[str, Any] = config["properties"]
    return settings


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_the_settings_are_those_of_app_and_host(deployment: str) -> None:
    assert list(application_settings.faults(settings_of(made(deployment)))) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AUDIENCE", None, "AUDIENCE is missing."),
        ("AUDIENCES", "api", "AUDIENCES is not a setting of the app or the host."),
        ("TRUST_FORWARDED", "yes", "TRUST_FORWARDED must be true or false, not 'yes'."),
        ("TRUST_FORWARDED", True, "TRUST_FORWARDED is not a string."),
        ("TRUST_FORWARDED", "false", "TRUST_FORWARDED must be true behind the Functions host."),
        ("ANONYMOUS_ACCESS", "true", "ANONYMOUS_ACCESS is not for a deployment"),
        ("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "104857600", "is not above MAX_REQUEST_BYTES"),
        ("ENABLE_ORYX_BUILD", "true", "ENABLE_ORYX_BUILD is not for the Flex Consumption plan."),
    ],
)
def test_a_wrong_setting_is_found(name: str, value: Any, said: str) -> None:
    settings = {**settings_of(made("least")), name: value}
    if value is None:
        del settings[name]
    assert any(said in line for line in application_settings.faults(settings))


def test_the_archive_has_the_container_tables_and_queues_that_the_app_uses() -> None:
    (account,) = (name for name in names(made("least")) if name.startswith("storageAccounts/archive"))
    inside = f"/{account.partition('/')[2]}/default/"
    assert [name for name in names(made("least")) if inside in name and not name.startswith("managementPolicies")] == [
        f"containers{inside}{archive._CONTAINER}",
        *(f"tables{inside}{table}" for table in archive._TABLES),
        *(f"queues{inside}{queue}{end}" for queue in sorted(QueueName) for end in ("", POISON)),
    ]


def test_the_package_has_a_container_in_the_hosts_account() -> None:
    (app,) = of_type(made("least"), "Microsoft.Web/sites")
    where = at(app, "properties.functionAppConfig.deployment.storage.value")
    assert re.search(r"storageAccounts/host\w+', .*'app-package'", where)
    assert any(re.fullmatch(r"containers/host\w+/default/app-package", name) for name in names(made("least")))


def test_azure_yaml_deploys_the_service_that_the_app_is_tagged_with() -> None:
    services = re.findall(r"^services:\n  (\w+):$", (ROOT / "azure.yaml").read_text(), re.MULTILINE)
    (app,) = of_type(made("least"), "Microsoft.Web/sites")
    assert services == [app["tags"]["azd-service-name"]] == ["api"]


def test_no_output_tells_a_secret() -> None:
    template = compiled(INFRA / "main.bicep")
    assert template["outputs"]
    for name, output in template["outputs"].items():
        assert not re.search("key|secret|password|token|connectionstring", f"{name}{output['value']}", re.IGNORECASE)


def test_the_right_to_back_up_is_given_anew_to_an_identity_that_is_made_anew() -> None:
    """The container outlives `azd down`. Azure does not let an assignment of that name have another principal."""
    template = compiled(INFRA / "modules/backup-container.bicep")
    (access,) = of_type(template["resources"], "Microsoft.Authorization/roleAssignments")
    assert "parameters('principalId')" in access["name"]
    parameters = compiled(INFRA / "main.bicep")["resources"]["backup"]["properties"]["parameters"]
    assert parameters["principalId"]["value"] == "[reference('identity').outputs.principalId.value]"


def holders(resources: list[Resource]) -> set[str]:
    """The resource IDs of what holds data."""
    return {resource["id"] for resource in resources if HOLD_DATA.fullmatch(resource["type"])}


@pytest.mark.parametrize("path", sorted(RELEASES.glob("*.json")), ids=lambda path: path.stem)
def test_nothing_that_holds_data_is_renamed_or_dropped_since_a_release(path: Path) -> None:
    kept: dict[str, list[str]] = json.loads(path.read_text())
    for deployment, ids in kept.items():
        assert len(ids) > 7
        assert set(ids) <= holders(made(deployment)), deployment


def test_what_a_release_makes_is_kept() -> None:
    """The file of this version: tests/infra/releases/VERSION.json, which is to be as the template is."""
    expected = {name: sorted(holders(made(name))) for name in ("everything", "least")}
    assert json.loads((RELEASES / f"{VERSION}.json").read_text()) == expected
