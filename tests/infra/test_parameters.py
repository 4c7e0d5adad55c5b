"""infra/main.parameters.json gives each parameter of infra/main.bicep its variable, with the template's own default."""

import json

from tests.infra.azd_variables import default_of, variable_of
from tests.support.bicep_compiler import INFRA, compiled


def test_every_parameter_has_a_variable() -> None:
    expected = {}
    for name, parameter in compiled(INFRA / "main.bicep")["parameters"].items():
        default = default_of(parameter)
        expected[name] = {"value": f"${{{variable_of(name)}{'' if default is None else f'={default}'}}}"}
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    assert given == expected
    assert list(given) == list(expected)


def test_azd_offers_the_regions_that_have_the_plan() -> None:
    location = compiled(INFRA / "main.bicep")["parameters"]["location"]
    assert location["metadata"]["azd"] == {"type": "location"}
    assert "westeurope" in location["allowedValues"]


def test_no_file_takes_the_place_of_main_parameters_json() -> None:
    """Azd ignores main.parameters.json beside a main.bicepparam: it asks for nothing, and maps no variables."""
    assert not list(INFRA.glob("*.bicepparam"))
