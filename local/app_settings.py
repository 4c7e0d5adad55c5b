"""The app's settings when it runs on this machine: local.settings.json, which `func start` reads, too."""

import json

from local.azurite import ROOT, LocalError


def app_settings() -> dict[str, str]:
    """The values of local.settings.json; raises LocalError if it is missing or holds none."""
    try:
        values: dict[str, str] = json.loads((ROOT / "local.settings.json").read_text())["Values"]
    except FileNotFoundError as error:
        raise LocalError("local.settings.json is missing: `make setup` copies local.settings.sample.json.") from error
    except (ValueError, LookupError, TypeError) as error:
        raise LocalError(
            f"local.settings.json is not as local.settings.sample.json, a JSON object with Values: {error!r}."
        ) from error
    return values
