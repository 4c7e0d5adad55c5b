"""docs/deployment.md, docs/costs.md and the README say what infra/ does and what benchmarks/costs.py computes."""

import re
import sys
from dataclasses import replace

import pytest

from benchmarks import scale
from benchmarks.costs import Operations, Prices, Use, at_rest, delete, main, millions, retrieve, search, store, tables
from tests.infra.azd_variables import default_of, variable_of
from tests.infra.deployment_rules import roles
from tests.support.bicep_compiler import INFRA, compiled, made
from tests.support.documents import rows
from tests.support.repository_files import ROOT

DEPLOYMENT = (ROOT / "docs/deployment.md").read_text()
COSTS = (ROOT / "docs/costs.md").read_text()


def test_every_parameter_is_documented() -> None:
    expected = []
    for name, parameter in compiled(INFRA / "main.bicep")["parameters"].items():
        default = default_of(parameter) if "defaultValue" in parameter else "required"
        expected.append([name, variable_of(name), default or "", parameter["metadata"]["description"]])
    documented = [row[:4] for heading in ("parameter", "choice") for row in rows(DEPLOYMENT, heading)]
    assert sorted(documented) == sorted(expected)


def test_every_choice_says_what_it_costs_and_protects_from() -> None:
    """Parameters that only go with another one are explained there."""
    choices = rows(DEPLOYMENT, "choice")
    assert len(choices) > 20
    assert all(len(row) == 6 for row in choices)
    assert {name for name, *_, costs, _ in choices if not costs} == {
        "encryptionKeyIdentityId",
        "addressPrefix",
        "existingEndpointSubnetId",
    }


def test_every_module_is_documented() -> None:
    documented = [name for name, *_ in rows(DEPLOYMENT, "module")]
    assert sorted(documented) == sorted(path.stem for path in ROOT.glob("infra/modules/*.bicep"))


def test_the_documented_roles_are_those_assigned() -> None:
    places = {
        "host account": "storageAccounts/host",
        "archive account": "storageAccounts/archive",
        "backup container": "containers/dicom-backup",
        "Application Insights": "components/dicom",
    }
    documented = sorted((role, places[on]) for role, on, _ in rows(DEPLOYMENT, "role"))
    assigned = roles(made("backup"))
    assert len(documented) == len(assigned)
    for (role, place), (assigned_role, on) in zip(documented, assigned, strict=True):
        assert role == assigned_role
        assert on.startswith(place)


@pytest.mark.parametrize("heading", tables(Prices(), Use()))
def test_the_tables_of_costs_are_what_is_computed(heading: str) -> None:
    section = COSTS[COSTS.index(f"\n## {heading}\n") :]
    assert tables(Prices(), Use())[heading] in section.partition("\n## ")[2].partition("\n## ")[0]


def test_the_readme_says_what_a_million_instances_cost() -> None:
    found = re.search(
        r"about (\d+) dollars a month while .*?storing them costs about (\d+) to (\d+) once",
        (ROOT / "README.md").read_text(),
        re.DOTALL,
    )
    assert found
    rest = [cost for name, cost in at_rest(Prices(), Use()) if name.endswith("hot") or name.startswith("rows")]
    stored = millions(Use())[0]
    storage, together, alone, logs = stored.costs(Prices(), Use())
    expected = (sum(rest), storage + together + logs, storage + alone + logs)
    assert tuple(map(int, found.groups())) == tuple(map(round, expected))


def test_costs_follow_from_prices_and_use() -> None:
    free = Prices(**dict.fromkeys(("hot", "cool", "cold", "table", "alert", "endpoint", "zone"), 0.0))
    rest = dict(at_rest(replace(free, hot=1.0, table=1.0), Use(instance_megabytes=2, row_kilobytes=3)))
    assert rest["files of a million instances, 2,000 GB, hot"] == 2000
    assert rest["files of a million instances, 2,000 GB, cold"] == 0
    assert rest["rows of a million instances"] == 3
    assert store(96, 10) == Operations(table=96 + 10 + 2 + 2, blob_writes=96)
    assert store(97, 10).table == store(96, 10).table + 1 + 2
    assert retrieve(9).blob_reads == 3
    assert search(20) == Operations(table=21)
    assert delete(1001, 10).table == delete(1000, 10).table + 1 + 1


def test_the_command_takes_prices(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["costs", "--hot", "2", "--instance-megabytes", "1"])
    main()
    printed = capsys.readouterr().out
    assert "| files of a million instances, 1,000 GB, hot | 2,000.00 |" in printed
    assert "| `--hot` | 2 |" in printed


def test_the_documented_simulation_is_that_of_the_code() -> None:
    assert "\n".join(scale.rows(scale.Limits())) in (ROOT / "docs/performance.md").read_text()
