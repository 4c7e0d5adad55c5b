"""`dicomweb subscriptions` against a served app."""

import json
from collections.abc import Iterator

import pytest

from tests.conftest import Server, serving
from tests.support.command_line import Cli, run
from tests.support.event_taker import taking


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("subscriptions") / "log"
    with serving(log, SUBSCRIPTION_HOSTS="127.0.0.1", PUBLIC_BASE_URL="") as running:
        yield running


@pytest.fixture
def cli(server: Server) -> Cli:
    return lambda *arguments, **options: run("subscriptions", *arguments, url=f"{server.base_url}/v2", **options)


@pytest.fixture
def target() -> Iterator[str]:
    with taking() as url:
        yield url


def test_the_life_of_a_subscription(cli: Cli, target: str) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 -- the one of Standard Webhooks' examples
    options = ("--filter", "Modality=CT", "--event", "created", "--event", "studySettled", "--settle", "PT5M")
    made = json.loads(cli("create", target, *options, "--batch", 10, "--after", 0, "--secret", secret, "--json").stdout)
    assert (made["url"], made["filter"], made["events"]) == (target, "Modality=CT", ["created", "studySettled"])
    assert (made["settle"], made["maxEventsPerBatch"], made["secret"]) == ("PT5M", 10, secret)
    assert cli("list").stdout == f"{made['id']}  active  0  {target}\n"
    assert json.loads(cli("list", "--json").stdout)["id"] == made["id"]
    shown = cli("show", made["id"].upper()).stdout
    assert "filter: Modality=CT\n" in shown
    assert "secret" not in shown
    assert "lagChanges: 0\n" in cli("deliveries", made["id"]).stdout
    assert "status: active\n" in cli("restart", made["id"], "--after", 0).stdout
    assert cli("delete", made["id"]).stdout == "Ended.\n"
    assert cli("list").stderr == "Subscriptions: 0\n"
    assert "no such subscription" in cli("delete", made["id"], code=1).stderr


def test_a_secret_is_made_and_shown_once(cli: Cli, target: str) -> None:
    made = dict(line.split(": ", 1) for line in cli("create", target).stdout.splitlines())
    assert made["secret"].startswith("whsec_")
    cli("delete", made["id"])


def test_what_is_refused(cli: Cli, target: str) -> None:
    assert "SUBSCRIPTION_HOSTS" in cli("create", "https://events.example.org", code=1).stderr
    assert "SUBSCRIPTION_HOSTS" in cli("create", "https://a.b-1.eventgrid.azure.net/api/events", code=1).stderr
    assert "settle" in cli("create", target, "--settle", "2m", code=1).stderr
    assert "32 hexadecimal" in cli("show", "x", code=2).stderr


def test_another_server_has_none() -> None:
    with taking() as url:
        assert "has no subscriptions" in run("subscriptions", "list", url=url, code=2).stderr
