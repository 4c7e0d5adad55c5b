"""infra/hooks/, run as azd runs it: in its folder, with the azd environment as environment variables."""

import asyncio
import json
import os
import re
import shutil
import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from infra.hooks import check_deployment, wait_for_roles
from local.ports import free_ports
from shared.version import VERSION
from tests.conftest import Server
from tests.support.http_server import http_server
from tests.support.repository_files import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what hooks read of this repository."""
    for path in [*ROOT.glob("infra/hooks/*.py"), *ROOT.glob("infra/main.*"), ROOT / "shared/version.py"]:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return tmp_path


async def run(folder: Path, hook: str, **environment: str) -> tuple[int, str]:
    """The exit status of a hook, and what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        f"{hook}.py",
        cwd=folder / "infra/hooks",
        env={"PATH": os.environ["PATH"], "AZURE_ENV_NAME": "prod", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
    assert "Traceback" not in said, said
    assert process.returncode is not None
    return process.returncode, said


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PRIVATE_NETWORK": ""},
        {"PRIVATE_NETWORK": "true", "VIEWER": "F", "KEEP_VERSIONS": "0", "COOL_AFTER_DAYS": "+90"},
        {"ALERT_EMAIL": "yes", "SOFT_DELETE_DAYS": "9223372036854775807", "MORE_SETTINGS": '{"MAX_FRAMES": "7"}'},
    ],
)
async def test_values_that_azd_reads_are_provisioned(project: Path, environment: dict[str, str]) -> None:
    assert await run(project, "check_parameters", **environment) == (0, "")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PRIVATE_NETWORK", "yes", "'yes' is not true or false. Example: azd env set PRIVATE_NETWORK true"),
        ("PRIVATE_NETWORK", "true ", "'true ' is not true or false. Example: azd env set PRIVATE_NETWORK true"),
        ("KEEP_VERSIONS", "tRUE", "'tRUE' is not true or false. Example: azd env set KEEP_VERSIONS true"),
        ("COOL_AFTER_DAYS", "90 days", "'90 days' is not a whole number. Example: azd env set COOL_AFTER_DAYS 30"),
        ("COOL_AFTER_DAYS", "9_0", "'9_0' is not a whole number. Example: azd env set COOL_AFTER_DAYS 30"),
        ("COOL_AFTER_DAYS", "٣", "'٣' is not a whole number. Example: azd env set COOL_AFTER_DAYS 30"),
        ("COOL_AFTER_DAYS", str(2**63), f"'{2**63}' is not a whole number. Example: azd env set COOL_AFTER_DAYS 30"),
    ],
)
async def test_values_that_azd_cannot_read_are_refused(project: Path, variable: str, value: str, expected: str) -> None:
    said = f"Nothing is provisioned: azd cannot read the value of\n  {variable}: {expected}\n"
    assert await run(project, "check_parameters", **{variable: value}) == (1, said)


@pytest.mark.parametrize("type_", ["object", "{ *: string }"])
@pytest.mark.parametrize("value", ["MAX_FRAMES=7", "[]", "{"])
async def test_an_object_that_is_none_is_refused(project: Path, type_: str, value: str) -> None:
    (project / "infra/main.bicep").write_text(f"param some {type_} = {{}}\n")
    (project / "infra/main.parameters.json").write_text('{"parameters": {"some": {"value": "${SOME}"}}}')
    status, said = await run(project, "check_parameters", SOME=value)
    assert status == 1
    assert f"""  SOME: {value!r} is not a JSON object. Example: azd env set SOME '{{"NAME": "value"}}'\n""" in said


async def test_every_variable_that_is_not_of_a_string_is_checked(project: Path) -> None:
    given = json.loads((project / "infra/main.parameters.json").read_text())["parameters"]
    types = re.findall(r"^param (\w+) (.+?)(?: = .*)?$", (project / "infra/main.bicep").read_text(), re.MULTILINE)
    variables = {
        found[1]
        for name, type_ in types
        if type_ != "string" and (found := re.match(r"\$\{(\w+)", str(given[name]["value"])))
    }
    status, said = await run(project, "check_parameters", **dict.fromkeys(variables, "all"))
    assert status == 1
    assert set(re.findall("^  ([A-Z_]+): 'all' is not ", said, re.MULTILINE)) == variables
    assert "PRIVATE_NETWORK" in variables


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PRIVATENETWORK", "PRIVATE_NETWORK"),
        ("PRIVATE_NETWROK", "PRIVATE_NETWORK"),
        ("privateNetwork", "PRIVATE_NETWORK"),
        ("SOFT_DELETE_DAY", "SOFT_DELETE_DAYS"),
    ],
)
async def test_a_misspelt_variable_is_pointed_out(project: Path, name: str, meant: str) -> None:
    (project / ".azure/prod").mkdir(parents=True)
    (project / ".azure/prod/.env").write_text(f'AZURE_ENV_NAME="prod"\n{name}="true"\n')
    said = f"Warning: nothing reads {name}, in .azure/prod/.env. Was {meant} meant?\n"
    assert await run(project, "check_parameters") == (0, said)


async def test_other_variables_of_the_azd_environment_are_left_alone(project: Path) -> None:
    (project / ".azure/prod").mkdir(parents=True)
    with (project / "infra/main.bicep").open("a") as template:
        template.write("output VIEWERS string = ''\n")
    names = ["AZURE_ENV_NAME", "AZURE_SUBSCRIPTION_ID", "VIEWER", "VIEWERS", "VIEWER_URL", "SERVICE_URL", "OTHER"]
    (project / ".azure/prod/.env").write_text("".join(f'{name}="x"\n' for name in names))
    assert await run(project, "check_parameters") == (0, "")


@pytest.fixture
def fake_azd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, alone on PATH, with an azd that gives tokens."""
    folder = tmp_path / "bin"
    folder.mkdir()
    azd = folder / "azd"
    azd.write_text("""#!/bin/sh\necho '{"token": "secret", "expiresOn": "2099-01-01T00:00:00Z"}'\n""")
    azd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    return folder


ACCOUNT = "/subscriptions/1234/resourceGroups/rg-prod/providers/Microsoft.Storage/storageAccounts/hostabc"
PROVISIONED = {"AZURE_SUBSCRIPTION_ID": "1234", "AZURE_RESOURCE_GROUP": "rg-prod", "HOST_ACCOUNT_NAME": "hostabc"}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a hook has slept in this process."""
    slept: list[float] = []
    monkeypatch.setattr(wait_for_roles, "sleep", slept.append)
    for name, value in PROVISIONED.items():
        monkeypatch.setenv(name, value)
    return slept


async def wait_for(monkeypatch: pytest.MonkeyPatch, *assignments: tuple[float, str], status: int = 200) -> None:
    """Run the hook on an Azure that has role assignments: seconds ago, and on what."""

    async def list_assignments(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer secret"
        assert request.query == {"api-version": "2022-04-01", "$filter": "atScope()"}
        now = datetime.now(UTC)
        listed = [
            {"properties": {"createdOn": f"{now - timedelta(seconds=ago):%Y-%m-%dT%H:%M:%S.%f}7Z", "scope": scope}}
            for ago, scope in assignments
        ]
        return web.json_response({"value": listed}, status=status)

    path = f"{ACCOUNT}/providers/Microsoft.Authorization/roleAssignments"
    async with http_server(path, list_assignments, "GET") as url:
        monkeypatch.setattr(wait_for_roles, "RESOURCE_MANAGER", url)
        await asyncio.to_thread(wait_for_roles.main)


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        ([(30, ACCOUNT), (9000, ACCOUNT)], 150),
        ([(30, ACCOUNT.upper())], 150),
        ([(170, ACCOUNT), (1, "/subscriptions/1234")], 10),
    ],
)
async def test_new_roles_are_given_time(
    fake_azd: Path,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    assignments: list[tuple[float, str]],
    expected: float,
) -> None:
    await wait_for(monkeypatch, *assignments)
    assert waits == [pytest.approx(expected, abs=5)]
    assert re.fullmatch(
        r"Roles on hostabc are new: deploying in \d+ seconds, when they hold\.\n", capfd.readouterr().out
    )


@pytest.mark.parametrize("assignments", [[], [(181, ACCOUNT), (9000, ACCOUNT)], [(1, "/subscriptions/1234")]])
async def test_other_deployments_do_not_wait(
    fake_azd: Path,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    assignments: list[tuple[float, str]],
) -> None:
    await wait_for(monkeypatch, *assignments)
    assert waits == []
    assert capfd.readouterr() == ("", "")


async def test_hidden_roles_are_not_waited_for_but_named(
    fake_azd: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    await wait_for(monkeypatch, (30, ACCOUNT), status=403)
    assert waits == []
    said = capfd.readouterr().err
    assert said.startswith("How old the roles on hostabc are cannot be read: Client error '403 Forbidden'")
    assert "run azd deploy again" in said


async def test_without_a_sign_in_roles_are_not_waited_for_but_named(tmp_path: Path) -> None:
    status, said = await run(ROOT, "wait_for_roles", **PROVISIONED, PATH=str(tmp_path))
    assert status == 0
    assert said.startswith("How old the roles on hostabc are cannot be read: Azure Developer CLI could not be found.")


async def test_nothing_is_waited_for_before_anything_is_provisioned(tmp_path: Path) -> None:
    assert await run(ROOT, "wait_for_roles", HOST_ACCOUNT_NAME="hostabc", PATH=str(tmp_path)) == (0, "")


async def test_a_healthy_service_of_the_deployed_version_passes(server: Server) -> None:
    said = f"Waiting for version {VERSION} at {server.base_url}/health\nThe service is healthy.\n"
    assert await run(ROOT, "check_deployment", SERVICE_URL=f"{server.base_url}/") == (0, said)


async def test_a_deployment_without_a_url_fails() -> None:
    assert await run(ROOT, "check_deployment") == (1, "SERVICE_URL is not set: azd provision sets it.\n")


def health(version: str, status: str = "healthy") -> str:
    return json.dumps({"status": status, "version": version})


HEALTHY = (200, health(VERSION))
OTHER = (200, health("0.0.9"))
UNHEALTHY = (503, health(VERSION, "unhealthy"))


async def check(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, str], patience_seconds: float = 0.5) -> None:
    """Run the hook on a service that gives these answers, and the last one for ever; none at all without any."""
    monkeypatch.setattr(check_deployment, "PATIENCE_SECONDS", patience_seconds)
    monkeypatch.setattr(check_deployment, "PAUSE_SECONDS", 0.01)
    left = list(answers)

    async def answer_next(_request: web.Request) -> web.Response:
        status, text = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(status=status, text=text)

    async with http_server("/health", answer_next) as url:
        monkeypatch.setenv("SERVICE_URL", url if answers else f"http://127.0.0.1:{free_ports(1)}")
        await asyncio.to_thread(check_deployment.main)


@pytest.mark.parametrize("before", [(404, ""), (200, "<html>"), (200, "[]"), UNHEALTHY, OTHER])
async def test_a_service_that_becomes_healthy_passes(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], before: tuple[int, str]
) -> None:
    await check(monkeypatch, before, before, HEALTHY, patience_seconds=30)
    assert capfd.readouterr().out.endswith("The service is healthy.\n")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([], r"It answers nothing: ConnectError: .*\nNothing answers there\."),
        ([OTHER], r'It answers 200: {"status": "healthy", "version": "0\.0\.9"}\nAnother version answers\.'),
        ([UNHEALTHY], r'It answers 503: {"status": "unhealthy".*\nThe app does not reach its storage'),
        ([(404, "no")], r"It answers 404: no\nThe app has no functions"),
        ([(403, "no")], r"It answers 403: no\nThe app is stopped, or closed"),
        ([(500, health(VERSION))], r"It answers 500: .*\nThe log says more"),
    ],
)
async def test_a_service_that_does_not_become_healthy_fails(
    monkeypatch: pytest.MonkeyPatch, answers: list[tuple[int, str]], expected: str
) -> None:
    with pytest.raises(SystemExit, match=expected):
        await check(monkeypatch, *answers)


async def test_a_url_that_is_none_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_deployment, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(check_deployment, "PAUSE_SECONDS", 0)
    monkeypatch.setenv("SERVICE_URL", "https://dicom example:org")
    with pytest.raises(SystemExit, match="InvalidURL"):
        check_deployment.main()


@pytest.mark.parametrize(
    ("variable", "value", "is_let_pass"),
    [
        ("PUBLIC_NETWORK_ACCESS", "Disabled", True),
        ("PUBLIC_NETWORK_ACCESS", "Enabled", False),
        ("ALLOWED_ADDRESSES", "203.0.113.0/24", True),
        ("ALLOWED_ADDRESSES", "", False),
    ],
)
async def test_what_is_closed_on_purpose_is_not_checked(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    is_let_pass: bool,
) -> None:
    monkeypatch.setenv(variable, value)
    with nullcontext() if is_let_pass else pytest.raises(SystemExit):
        await check(monkeypatch, (403, "Ip Forbidden"))
    assert ("was not checked" in capfd.readouterr().err) is is_let_pass
