"""In what order a deployment makes things: what is named before what names it, and one after another."""

from typing import Any, Final

import pytest

from tests.support.bicep_compiler import INFRA, compiled

# What has to be there before, of the modules of main.bicep.
BEFORE: Final = {
    "identity": {"group"},
    "monitoring": {"group"},
    "hostStorage": {"group"},
    "archiveStorage": {"group"},
    "lifecycle": {"archiveStorage"},
    # The app starts when it may reach its storage.
    "access": {"identity", "hostStorage", "archiveStorage", "monitoring"},
    "privateParts": {"hostStorage", "archiveStorage"},
    "backup": {"identity"},
    "viewerSite": {"group"},
    "functionApp": {"access", "privateParts", "backup", "viewerSite"},
    "inboundEndpoint": {"functionApp", "privateParts"},
    "diagnostics": {"functionApp"},
    "alerts": {"monitoring", "archiveStorage"},
    "availability": {"alerts", "functionApp", "monitoring"},
}
# The same within the module that makes the private network.
PRIVATE: Final = {
    "network": set[str](),
    "zones": {"network"},
    "hostEndpoints": {"network", "zones"},
    "archiveEndpoints": {"hostEndpoints"},
}


def waits(template: dict[str, Any]) -> dict[str, set[str]]:
    """What each module of a compiled template waits for."""
    modules = template["resources"].items()
    kind = "Microsoft.Resources/deployments"
    return {name: set(one.get("dependsOn", [])) for name, one in modules if one["type"] == kind}


@pytest.mark.parametrize(("path", "before"), [("main.bicep", BEFORE), ("modules/private-network.bicep", PRIVATE)])
def test_a_module_waits_for_those_that_make_what_it_names(path: str, before: dict[str, set[str]]) -> None:
    assert waits(compiled(INFRA / path)) == before


def depends(template: dict[str, Any], name: str) -> str:
    """What a resource of a compiled template waits for."""
    return str(template["resources"][name].get("dependsOn", []))


def test_what_azure_refuses_at_once_is_made_one_after_another() -> None:
    """Endpoints on an account or subnet, subnets of a network, tables of a workspace."""
    endpoints = compiled(INFRA / "modules/private-endpoints.bicep")["resources"]
    tables = compiled(INFRA / "modules/monitoring.bicep")["resources"]["table"]
    for resource in (endpoints["endpoint"], endpoints["names"], tables):
        assert (resource["copy"]["mode"], resource["copy"]["batchSize"]) == ("serial", 1)
    network = compiled(INFRA / "modules/network.bicep")
    assert "appSubnet" in depends(network, "endpointSubnet")
    assert "subnets" not in network["resources"]["network"]["properties"]  # a list would remove those of others


def test_versions_are_kept_before_a_container_may_need_them() -> None:
    storage = compiled(INFRA / "modules/storage-account.bicep")
    assert "blobs" in depends(storage, "container")
    assert "container" in depends(storage, "immutability")


def test_no_module_has_a_scope_that_azure_cannot_read() -> None:
    """Azure looks at the group of a module that is not deployed, too: an empty one is refused."""
    group = compiled(INFRA / "main.bicep")["variables"]["backupAccount"]
    assert group.startswith("[split(if(empty(parameters('backupAccountId')), ")
