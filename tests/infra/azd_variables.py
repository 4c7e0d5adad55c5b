"""The variables of an azd environment that set the parameters of infra/main.bicep."""

import re
from typing import Any, Final

# azd's own names; every other variable is its parameter's name in upper case.
_AZD: Final = {"environmentName": "AZURE_ENV_NAME", "location": "AZURE_LOCATION"}


def variable_of(parameter: str) -> str:
    """The variable that sets a parameter: ``alertEgressGiB`` is ``ALERT_EGRESS_GIB``."""
    return _AZD.get(parameter) or re.sub(r"(?<=[a-z])(?<!Gi)(?=[A-Z])", "_", parameter).upper()


def default_of(parameter: dict[str, Any]) -> str | None:
    """The default of a parameter of a compiled template as azd writes it; None where it has none or it is computed."""
    default = parameter.get("defaultValue")
    if default is None or isinstance(default, dict) or str(default).startswith("["):
        return None
    return str(default).lower() if isinstance(default, bool) else str(default)
