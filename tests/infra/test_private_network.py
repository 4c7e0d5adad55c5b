"""The private network of a deployment: endpoints and their names, subnets, and what may leave."""

import re

from tests.infra.deployment_rules import Resource, at, of_type
from tests.support.bicep_compiler import made


def the(deployment: str, kind: str, name: str = "") -> Resource:
    """The one resource of a type, or of that name."""
    (found,) = (one for one in of_type(made(deployment), kind) if name in ("", one["name"]))
    return found


def app(deployment: str) -> Resource:
    return the(deployment, "Microsoft.Web/sites")


def endpoints(deployment: str) -> dict[str, list[str]]:
    """The services that have a private endpoint, by the resource that they are of."""
    found: dict[str, list[str]] = {}
    for endpoint in of_type(made(deployment), "Microsoft.Network/privateEndpoints"):
        (connection,) = endpoint["properties"]["privateLinkServiceConnections"]
        (service,) = connection["properties"]["groupIds"]
        target = connection["properties"]["privateLinkServiceId"].rpartition("/")[2]
        found.setdefault(re.match("host|archive|dicom", target)[0], []).append(service)  # type: ignore[index]
    return found


def test_private_storage_is_reached_through_endpoints_of_every_service_in_use() -> None:
    assert endpoints("private") == {"host": ["blob", "queue", "table"], "archive": ["blob", "queue", "table"]}
    (subnet,) = {
        one["properties"]["subnet"]["id"] for one in of_type(made("private"), "Microsoft.Network/privateEndpoints")
    }
    network = the("private", "Microsoft.Network/virtualNetworks")["id"]
    assert subnet == f"{network}/subnets/endpoints"
    assert at(app("private"), "properties.virtualNetworkSubnetId") == f"{network}/subnets/app"
    zones = [one["name"] for one in of_type(made("private"), "Microsoft.Network/privateDnsZones")]
    assert [re.search("'(blob|queue|table)'", name)[1] for name in zones] == ["blob", "queue", "table"]  # type: ignore[index]
    links = of_type(made("private"), "Microsoft.Network/privateDnsZones/virtualNetworkLinks")
    assert {link["properties"]["virtualNetwork"]["id"] for link in links} == {network}
    assert {link["properties"]["registrationEnabled"] for link in links} == {False}
    assert [re.search("'(blob|queue|table)'", link["name"])[1] for link in links] == ["blob", "queue", "table"]  # type: ignore[index]


def test_an_endpoints_name_is_in_the_zone_of_its_service() -> None:
    groups = of_type(made("closed"), "Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
    assert len(groups) == 7
    for group in groups:
        (zone,) = group["properties"]["privateDnsZoneConfigs"]
        service = group["name"].removesuffix("/default").rpartition("-")[2]
        known = "privatelink.azurewebsites.net" if service == "sites" else f"'privatelink.{{0}}.{{1}}', '{service}', "
        assert known in zone["properties"]["privateDnsZoneId"]


def prefixes(deployment: str) -> dict[str, str]:
    """Where the addresses of each subnet begin and how many they are."""
    subnets = of_type(made(deployment), "Microsoft.Network/virtualNetworks/subnets")
    return {one["name"].partition("/")[2]: one["properties"]["addressPrefix"] for one in subnets}


def test_subnets_are_parts_of_the_network() -> None:
    assert prefixes("private") == {"app": "10.0.0.0/24", "endpoints": "10.0.1.0/27"}
    assert prefixes("other-authority") == {"app": "10.9.0.0/21", "endpoints": "10.9.8.0/24"}
    subnet = the(
        "private", "Microsoft.Network/virtualNetworks/subnets", the("private", "Microsoft.Web/sites")["name"] + "/app"
    )
    (delegation,) = subnet["properties"]["delegations"]
    assert delegation["properties"]["serviceName"] == "Microsoft.App/environments"


def sent_to(deployment: str) -> list[tuple[str, str]]:
    """What leaves the app's subnet: the destination and whether it is allowed, by priority."""
    group = the(deployment, "Microsoft.Network/networkSecurityGroups")
    subnet = the(deployment, "Microsoft.Network/virtualNetworks/subnets", f"{app(deployment)['name']}/app")
    assert subnet["properties"]["networkSecurityGroup"]["id"] == group["id"]
    rules = sorted(group["properties"]["securityRules"], key=lambda rule: int(rule["properties"]["priority"]))
    for rule in rules:
        properties = rule["properties"]
        assert (properties["direction"], properties["protocol"]) == ("Outbound", "*")
        assert (properties["sourceAddressPrefix"], properties["sourcePortRange"]) == ("*", "*")
        is_everything = properties["access"] == "Deny" or properties["destinationAddressPrefix"] == "VirtualNetwork"
        assert properties["destinationPortRange"] == ("*" if is_everything else "443")
    return [(rule["properties"]["destinationAddressPrefix"], rule["properties"]["access"]) for rule in rules]


def test_a_private_app_that_is_built_sends_to_storage_sign_in_telemetry_and_itself_alone() -> None:
    tags = ("VirtualNetwork", "Storage", "AzureActiveDirectory", "AzureMonitor", "AppService")
    allowed = [(tag, "Allow") for tag in tags]
    assert sent_to("closed") == [*allowed, ("Internet", "Deny")]
    # The build, and an authority elsewhere, must be reached.
    for deployment in ("private", "other-authority"):
        assert sent_to(deployment) == [*allowed, ("Internet", "Allow"), ("Internet", "Deny")]


def test_a_closed_app_is_reached_by_its_endpoint_alone() -> None:
    assert at(app("private"), "properties.publicNetworkAccess") == "Enabled"
    assert at(app("closed"), "properties.publicNetworkAccess") == "Disabled"
    assert endpoints("closed") == {**endpoints("private"), "dicom": ["sites"]}
    assert "privatelink.azurewebsites.net" in str(of_type(made("closed"), "Microsoft.Network/privateDnsZones"))
