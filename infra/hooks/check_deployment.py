"""azd runs it after it deployed: asks the service until it is healthy and of the deployed version, or gives up."""

import json
import os
import runpy
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS: Final = 300
PAUSE_SECONDS: Final = 5

_LOGS: Final = "The log says more: AppTraces in Application Insights, as docs/operations.md has it."
ADVICE: Final = {
    None: "Nothing answers there. PUBLIC_BASE_URL, if it is set, has to lead to the app.",
    200: "Another version answers. SERVICE_URL, or PUBLIC_BASE_URL if it is set, has to lead to the app.",
    403: "The app is stopped, or closed to this machine's address.",
    404: f"The app has no functions: it was not built, or does not start. {_LOGS}",
    503: f"The app does not reach its storage, or cannot read a setting. {_LOGS}",
}


@dataclass(frozen=True)
class Answer:
    """What /health answered, without a status if nothing did."""

    status: int | None
    text: str

    def is_healthy(self, version: str) -> bool:
        """Whether the service is well, and of that version."""
        try:
            said = json.loads(self.text)
        except ValueError:
            return False
        return self.status == httpx.codes.OK and isinstance(said, dict) and said.get("version") == version


def main() -> None:
    """Exit with 1, and say what to look at, if the service does not become healthy."""
    url = os.environ.get("SERVICE_URL", "").rstrip("/")
    if not url:
        sys.exit("SERVICE_URL is not set: azd provision sets it.")
    version: str = runpy.run_path(str(ROOT / "shared/version.py"))["VERSION"]
    print(f"Waiting for version {version} at {url}/health", flush=True)
    end = time.monotonic() + PATIENCE_SECONDS
    while not (answer := ask(url)).is_healthy(version) and time.monotonic() < end:
        time.sleep(PAUSE_SECONDS)
    if answer.is_healthy(version):
        print("The service is healthy.")
    elif answer.status == httpx.codes.FORBIDDEN and is_closed(os.environ):
        print("The service is closed to this machine: whether it is healthy was not checked.", file=sys.stderr)
    else:
        sys.exit(
            f"The service is deployed, but {url}/health does not say that version {version} is healthy.\n"
            f"It answers {answer.status or 'nothing'}: {answer.text}\n{ADVICE.get(answer.status, _LOGS)}"
        )


def ask(url: str) -> Answer:
    """What /health answers now."""
    try:
        response = httpx.get(f"{url}/health", timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Answer(None, f"{type(error).__name__}: {error}")
    return Answer(response.status_code, response.text[:500])


def is_closed(environment: Mapping[str, str]) -> bool:
    """Whether the deployment's parameters close the service to addresses, maybe that of whoever deploys."""
    return environment.get("PUBLIC_NETWORK_ACCESS") == "Disabled" or bool(environment.get("ALLOWED_ADDRESSES"))


if __name__ == "__main__":
    main()
