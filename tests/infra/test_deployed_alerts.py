"""The alerts of a deployment: what they watch, from which number on, and who is told."""

from typing import Any

import pytest

from tests.infra.deployment_rules import Resource, at, of_type
from tests.support.bicep_compiler import made

KINDS = ("scheduledQueryRules", "metricAlerts")


def alerts(deployment: str, *kinds: str) -> dict[str, Resource]:
    """The alerts that are made, by name, of all kinds or of some."""
    found = [one for kind in kinds or KINDS for one in of_type(made(deployment), f"Microsoft.Insights/{kind}")]
    return {one["name"]: one for one in found}


def one(deployment: str, kind: str, beginning: str = "") -> Resource:
    (found,) = (one for one in of_type(made(deployment), kind) if one["name"].startswith(beginning))
    return found


@pytest.mark.parametrize("deployment", ["everything", "sized", "restricted"])
def test_every_alert_is_on_and_mails_the_operator(deployment: str) -> None:
    receivers = one(deployment, "Microsoft.Insights/actionGroups")
    (mail,) = receivers["properties"]["emailReceivers"]
    assert mail["emailAddress"] == "operator@example.org"
    assert receivers["properties"]["enabled"] is True
    for alert in alerts(deployment).values():
        assert alert["properties"]["enabled"] is True
        assert alert["name"].endswith("-prod")  # environments may share a resource group
        told = alert["properties"]["actions"]
        assert told in ({"actionGroups": [receivers["id"]]}, [{"actionGroupId": receivers["id"]}])


def test_a_rule_asks_the_workspace_every_15_minutes_and_fires_for_a_row() -> None:
    rules = alerts("sized", "scheduledQueryRules")
    assert len(rules) == 8
    workspace = one("sized", "Microsoft.OperationalInsights/workspaces", "dicom")["id"]
    for rule in rules.values():
        properties = rule["properties"]
        assert (properties["scopes"], properties["evaluationFrequency"]) == ([workspace], "PT15M")
        assert properties["skipQueryValidation"] is True  # a new workspace has none of the tables
        (criterion,) = properties["criteria"]["allOf"]
        assert (criterion["timeAggregation"], criterion["operator"], criterion["threshold"]) == (
            "Count",
            "GreaterThan",
            0,
        )


def test_a_workspace_that_exists_is_asked() -> None:
    hospital = "/subscriptions/33333333-3333-3333-3333-333333333333/resourceGroups/logs"
    rules = alerts("existing", "scheduledQueryRules")
    assert len(rules) == 8
    for rule in rules.values():
        assert [scope.startswith(hospital) for scope in rule["properties"]["scopes"]] == [True]


def test_limits_of_requests_are_those_of_the_deployment() -> None:
    def query(name: str) -> str:
        found: str = alerts("sized")[f"{name}-prod"]["properties"]["criteria"]["allOf"][0]["query"]
        return found

    assert "DurationMs > 12 * 1000" in query("dicom-latency")
    assert "Max > 2 * 600 + 1200" in query("dicom-journal-age")


def test_limits_of_storage_are_those_of_the_deployment() -> None:
    archive = one("sized", "Microsoft.Storage/storageAccounts", "archive")["id"]
    expected: dict[str, tuple[str, str, int]] = {
        "dicom-capacity-prod": ("UsedCapacity", "Average", 100 * 2**30),
        "dicom-egress-prod": ("Egress", "Total", 50 * 2**30),
    }
    made_alerts = alerts("sized", "metricAlerts")
    assert made_alerts.keys() == expected.keys()
    for name, alert in made_alerts.items():
        assert at(alert, "properties.scopes") == [archive]
        assert (at(alert, "properties.windowSize"), at(alert, "properties.evaluationFrequency")) == ("P1D", "PT1H")
        (criterion,) = alert["properties"]["criteria"]["allOf"]
        said: tuple[Any, ...] = (criterion["metricName"], criterion["timeAggregation"], criterion["threshold"])
        assert said == expected[name]
        assert criterion["operator"] == "GreaterThan"


def test_health_is_asked_for_and_two_places_without_a_good_answer_are_an_alert() -> None:
    test = one("everything", "Microsoft.Insights/webtests")
    properties = test["properties"]
    assert properties["Request"] == {
        "RequestUrl": "https://dicom.example.org/health",
        "HttpVerb": "GET",
        "FollowRedirects": False,
        "ParseDependentRequests": False,
    }
    assert (properties["Enabled"], properties["Frequency"], properties["Kind"]) == (True, 900, "standard")
    assert properties["ValidationRules"] == {
        "ExpectedHttpStatusCode": 200,
        "SSLCheck": True,
        "SSLCertRemainingLifetimeCheck": 7,
    }
    component = one("everything", "Microsoft.Insights/components")["id"]
    assert test["tags"][f"hidden-link:{component}"] == "Resource"  # Azure refuses a test without it
    alert = alerts("everything")["dicom-health-prod"]
    assert at(alert, "properties.scopes") == [test["id"], component]
    assert at(alert, "properties.criteria") == {
        "odata.type": "Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria",
        "webTestId": test["id"],
        "componentId": component,
        "failedLocationCount": 2,
    }
    (request,) = (one_["properties"]["Request"] for one_ in of_type(made("restricted"), "Microsoft.Insights/webtests"))
    assert "defaultHostName" in request["RequestUrl"] or "functionApp" in request["RequestUrl"]
