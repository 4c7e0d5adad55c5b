"""Each alert of infra/modules/alerts.bicep fires for what it is there for, and for nothing else.

The queries are the compiled template's, asked of what our telemetry sends.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.costs import LOG_ALERTS, TEST_MINUTES, TEST_PLACES
from functions.maintenance import replay_journal
from shared.settings import Settings
from shared.storage.storage_use import Operation, has_failed
from tests.infra.deployment_rules import of_type
from tests.support.bicep_compiler import compiled, find_compiler, made
from tests.support.documents import rows
from tests.support.log_analytics import Workspace

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="There is no Bicep compiler: set BICEP.")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
MODULES = ROOT / "infra/modules"
# What the page says in the place of a parameter.
WORDS: Final[Mapping[str, str]] = {
    "latencySeconds": "alertLatencySeconds",
    "maxRequestSeconds": "MAX_REQUEST_SECONDS",
    "capacityGiB": "alertCapacityGiB",
    "egressGiB": "alertEgressGiB",
}
WINDOWS: Final = {"PT30M": timedelta(minutes=30), "PT1H": timedelta(hours=1)}
EVALUATED_EVERY: Final = timedelta(minutes=15)


def substituted(text: str, values: Mapping[str, str]) -> str:
    """A text of the template: itself, or a format() with one parameter."""
    if not text.startswith("["):
        return text
    found = re.fullmatch(r"\[format\('(.*)', parameters\('(\w+)'\)\)\]", text, re.DOTALL)
    assert found, f"{text} is more than one parameter in a text."
    return found[1].replace("''", "'").replace("{0}", values[found[2]])


def log_rules() -> dict[str, dict[str, Any]]:
    return {rule["name"]: rule for rule in compiled(MODULES / "alerts.bicep")["variables"]["logRules"]}


def deployed(kind: str, deployment: str = "everything") -> dict[str, dict[str, Any]]:
    """The properties of the alerts of a kind that a deployment makes, by the name that they have on the page."""
    rules = of_type(made(deployment), f"Microsoft.Insights/{kind}")
    return {rule["name"].removesuffix("-prod"): rule["properties"] for rule in rules}


def fired(workspace: Workspace) -> set[str]:
    """The alerts that fire."""
    return {
        name
        for name, rule in deployed("scheduledQueryRules").items()
        if workspace.asked(rule["criteria"]["allOf"][0]["query"], WINDOWS[rule["windowSize"]])
    }


@pytest.fixture(autouse=True)
def exporters_that_ask_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATSBEAT_DISABLED_ALL", "SDKSTATS_DISABLED", "CONTROLPLANE_DISABLED"):
        monkeypatch.setenv(f"APPLICATIONINSIGHTS_{name}", "true")


def our_workspace() -> Workspace:
    """Where the telemetry of a deployment goes."""
    (component,) = of_type(made("everything"), "Microsoft.Insights/components")
    return Workspace(component["id"].lower())


@pytest.fixture
def workspace() -> Workspace:
    """Of a service with maintenance that finds nothing to do, and no requests."""
    workspace = our_workspace()
    for minutes in (55, 45, 35, 25, 15, 5):
        workspace.host_run(minutes_ago=minutes)
        workspace.maintenance(minutes_ago=minutes)
    return workspace


def test_what_nobody_uses_fires_nothing(workspace: Workspace) -> None:
    assert fired(workspace) == set()


def test_what_reports_nothing_at_all_has_no_maintenance() -> None:
    assert fired(our_workspace()) == {"dicom-maintenance-silent"}


def test_what_others_send_to_the_workspace_fires_nothing_and_hides_nothing(workspace: Workspace) -> None:
    workspace.resource_id = (
        "/subscriptions/1234/resourceGroups/rg-test/providers/microsoft.insights/components/dicom-test"
    )
    workspace.request(503, count=9, seconds=31)
    workspace.host_request(503, count=9)
    workspace.storage_operations(503, count=10)
    for minutes in (24, 14, 4):
        workspace.maintenance(failures=1, oldest_entry_seconds=9000, minutes_ago=minutes)
    assert fired(workspace) == set()
    silent = our_workspace()
    silent.resource_id = workspace.resource_id
    silent.maintenance(minutes_ago=5)
    assert fired(silent) == {"dicom-maintenance-silent"}


def test_healthy_requests_fire_nothing(workspace: Workspace) -> None:
    workspace.request(count=100, bytes_in=300, bytes_out=2**19)
    workspace.host_request(count=100)
    workspace.storage_operations(200, count=1000)
    assert fired(workspace) == set()


def test_what_clients_do_wrong_fires_nothing(workspace: Workspace) -> None:
    for status in (400, 401, 403, 404, 406, 409, 413, 429):
        workspace.request(status, count=50)
        workspace.host_request(status, count=50)
    assert fired(workspace) == set()


@pytest.mark.parametrize(("failed", "whole", "fires"), [(3, 0, True), (3, 296, True), (3, 297, False), (2, 0, False)])
def test_more_than_1_of_100_requests_that_fail(workspace: Workspace, failed: int, whole: int, fires: bool) -> None:
    workspace.request(200, count=whole)
    workspace.host_request(200, count=whole)
    workspace.request(503, count=failed)
    workspace.host_request(503, count=failed)
    assert fired(workspace) == ({"dicom-failures"} if fires else set())


def test_answers_that_are_cut(workspace: Workspace) -> None:
    workspace.request(200, end="cut", cause="OSError", count=3)
    workspace.host_request(200, count=3)
    assert fired(workspace) == {"dicom-failures"}


def test_clients_that_leave_fire_nothing(workspace: Workspace) -> None:
    workspace.request(200, end="left", seconds=300, count=100)
    assert fired(workspace) == set()


def test_a_process_that_dies_and_cannot_report(workspace: Workspace) -> None:
    workspace.request(200, count=100)
    workspace.host_request(200, count=100)
    workspace.host_request(502, count=3)
    assert fired(workspace) == {"dicom-failures"}


def test_a_request_that_took_all_its_time_and_was_reported_at_last(workspace: Workspace) -> None:
    seconds = Settings().max_request_seconds
    # It came in as long ago as it took, and just after the rules had been asked.
    began = timedelta(seconds=seconds) + EVALUATED_EVERY
    workspace.request(503, count=3, seconds=seconds, minutes_ago=began / timedelta(minutes=1))
    assert "dicom-failures" in fired(workspace)


@pytest.mark.parametrize("name", ["ReplayJournal", "ForwardInstances"])
def test_runs_without_http_that_fail(workspace: Workspace, name: str) -> None:
    workspace.host_run(name, has_failed=True)
    assert fired(workspace) == set()
    workspace.host_run(name, has_failed=True, minutes_ago=11)
    assert fired(workspace) == {"dicom-failures"}


@pytest.mark.parametrize(
    ("slow", "quick", "fires"), [(2, 37, True), (2, 38, False), (1, 18, False), (19, 0, False), (20, 0, True)]
)
def test_small_requests_that_are_slow(workspace: Workspace, slow: int, quick: int, fires: bool) -> None:
    workspace.request(count=slow, seconds=31, bytes_out=1000)
    workspace.request(count=quick, seconds=29, bytes_out=1000)
    workspace.host_request(count=slow + quick)
    assert fired(workspace) == ({"dicom-latency"} if fires else set())


@pytest.mark.parametrize("moved", [{"bytes_in": 2**20}, {"bytes_out": 2**20}, {"bytes_in": 2**19, "bytes_out": 2**19}])
def test_large_bodies_may_take_as_long_as_they_do(workspace: Workspace, moved: dict[str, int]) -> None:
    workspace.request(count=30, seconds=1000, **moved)
    assert fired(workspace) == set()


def test_maintenance_that_stops_while_its_process_lives() -> None:
    workspace = our_workspace()
    workspace.maintenance(minutes_ago=31, oldest_entry_seconds=20)
    workspace.metrics_are_sent_again()
    assert fired(workspace) == {"dicom-maintenance-silent"}


def test_maintenance_of_which_every_run_fails() -> None:
    workspace = our_workspace()
    for minutes in (25, 15, 5):
        workspace.host_run(has_failed=True, minutes_ago=minutes)
        workspace.maintenance(failures=1, minutes_ago=minutes)
    assert fired(workspace) == {"dicom-failures", "dicom-maintenance-failures"}


@pytest.mark.parametrize(
    ("failures", "fires"),
    [([1, 1, 1], True), ([0, 0, 1, 3, 2], True), ([1, 1, 1, 0], False), ([1, 0, 1, 1], False), ([1, 1], False)],
)
def test_studies_that_three_runs_could_not_settle(failures: list[int], fires: bool) -> None:
    workspace = our_workspace()
    for run, count in enumerate(reversed(failures)):
        workspace.maintenance(failures=count, minutes_ago=5 + 10 * run)
        workspace.metrics_are_sent_again()
    assert fired(workspace) == ({"dicom-maintenance-failures"} if fires else set())


@pytest.mark.parametrize(
    ("ages", "fires"), [([0, 4801], True), ([4801, 4800], False), ([4200, 4200], False), ([9000, 0], False)]
)
def test_an_entry_that_should_have_been_settled(ages: list[int], fires: bool) -> None:
    workspace = our_workspace()
    for run, age in enumerate(reversed(ages)):
        workspace.maintenance(oldest_entry_seconds=age, minutes_ago=5 + 10 * run)
    assert fired(workspace) == ({"dicom-journal-age"} if fires else set())


@pytest.mark.parametrize(
    ("refused", "answered", "fires"), [(10, 900, True), (10, 990, False), (9, 0, False), (10, 0, True)]
)
def test_more_than_1_of_100_operations_refused(workspace: Workspace, refused: int, answered: int, fires: bool) -> None:
    workspace.storage_operations(503, count=refused)
    workspace.storage_operations(200, count=answered)
    assert fired(workspace) == ({"dicom-storage-refusals"} if fires else set())


@pytest.mark.parametrize(
    ("level", "message", "fires"),
    [
        ("ERROR", "A unit of operation 0123 failed: OSError", True),
        ("ERROR", "A message could not be handled: ValueError", True),
        ("WARNING", "Message has reached MaxDequeueCount of 5. Moving message to queue 'deliveries-poison'.", True),
        ("ERROR", "Subscription 0123 is parked: It answered 410.", True),
        ("WARNING", "Subscription 0123 fails: It answered 503.", False),
        ("WARNING", "A unit of operation 0123 is tried again.", False),
        ("ERROR", "Maintenance failed: OSError", False),
        ("INFO", "ReplayJournal: a message could not be handled", False),
    ],
)
def test_what_failed_for_good_in_a_queue(workspace: Workspace, level: str, message: str, fires: bool) -> None:
    workspace.log(level, message, minutes_ago=29)
    assert fired(workspace) == ({"dicom-queue-failures"} if fires else set())


@pytest.mark.parametrize(
    ("waits", "fires"),
    [([1801, 1801], True), ([0, 2400, 3000], True), ([1800, 1801], False), ([9000, 0], False), ([9000], False)],
)
def test_changes_that_do_not_come_into_the_feed(waits: list[int], fires: bool) -> None:
    workspace = our_workspace()
    for run, seconds in enumerate(reversed(waits)):
        workspace.maintenance(waiting_seconds=seconds, minutes_ago=5 + 10 * run)
        workspace.metrics_are_sent_again()
    assert fired(workspace) == ({"dicom-feed-lag"} if fires else set())


STATUSES: Final = [0, *(status.value for status in HTTPStatus if status >= HTTPStatus.OK)]
FAILED: Final = [
    one for one in STATUSES if has_failed(Operation("GET terms", "/terms", 1, 1, one, 0, 0, is_retry=False))
]


@pytest.mark.parametrize("status", FAILED)
def test_an_operation_that_has_failed_counts_as_refused(workspace: Workspace, status: int) -> None:
    workspace.storage_operations(status, count=10)
    assert fired(workspace) == {"dicom-storage-refusals"}


def test_no_other_operation_counts_as_refused(workspace: Workspace) -> None:
    for status in set(STATUSES) - set(FAILED):
        workspace.storage_operations(status, count=10)
    assert fired(workspace) == set()


def test_three_runs_fit_the_windows_of_maintenance() -> None:
    schedule = replay_journal.build(None).get_trigger().schedule
    assert schedule == "0 */10 * * * *"
    for name in ("dicom-maintenance-silent", "dicom-maintenance-failures", "dicom-feed-lag"):
        assert WINDOWS[log_rules()[name]["windowSize"]] >= timedelta(minutes=30)


def test_what_is_billed_is_what_the_costs_count() -> None:
    assert len(log_rules()) == LOG_ALERTS
    template = compiled(MODULES / "availability.bicep")
    assert len(template["variables"]["testLocations"]) == TEST_PLACES
    assert template["resources"]["healthTest"]["properties"]["Frequency"] == TEST_MINUTES * 60


def test_each_alert_is_on_the_page_of_operations() -> None:
    template = compiled(MODULES / "alerts.bicep")
    severity = template["resources"]["storageAlerts"]["properties"]["severity"]
    limits = [{"severity": severity, **limit} for limit in template["variables"]["storageLimits"]]
    health = {"name": "dicom-health", **deployed("metricAlerts")["dicom-health"]}
    alerts = [health, *log_rules().values(), *limits]
    expected = {alert["name"]: [str(alert["severity"]), substituted(alert["description"], WORDS)] for alert in alerts}
    documented = {name: [severity, when] for name, severity, when, _ in rows(PAGE, "alert")}
    assert documented == expected


def test_the_page_counts_the_same_operations_as_refused() -> None:
    (counted,) = re.findall(r"sumif\(Sum, (.*?)\)\n", log_rules()["dicom-storage-refusals"]["query"])
    assert f"sumif(Sum, {counted})" in PAGE


@pytest.mark.parametrize(("name", "metric"), [("dicom-capacity", "UsedCapacity"), ("dicom-egress", "Egress")])
def test_a_limit_of_storage_is_off_at_0(name: str, metric: str) -> None:
    template = compiled(MODULES / "alerts.bicep")
    (limit,) = (limit for limit in template["variables"]["storageLimits"] if limit["name"] == name)
    assert limit["metric"] == metric
    condition = "[greater(variables('storageLimits')[copyIndex()].gibibytes, 0)]"
    assert template["resources"]["storageAlerts"]["condition"] == condition
