"""Registers the service in Microsoft Entra, so that people can sign in, and sets AUDIENCE in azd's environment.

azd runs it before it provisions; docs/security.md says what it makes. `--what-if` says what would be made, and makes
nothing.
"""

import argparse
import logging
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

import httpx
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import AzureCliCredential, AzureDeveloperCliCredential, ChainedTokenCredential

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # azd runs this file, not a module of the repository

from infra.hooks.azd import AzdEnvironment, AzdError
from infra.hooks.graph import Graph, GraphError, Principal, principal_of
from infra.hooks.registration import Registration
from shared.settings import is_safe_url

_SIGN_IN_SECONDS: Final = 60
_REQUEST_SECONDS: Final = 60.0


class Environment(Protocol):
    """Where variables are kept from one run to the next."""

    def values(self) -> Mapping[str, str]:
        """All of them."""

    def set(self, name: str, value: str) -> None:
        """Set one."""


class CannotRegister(Exception):
    """There is something to be decided first; the message says what."""


def register(
    environment: Environment,
    sign_in: Callable[[Mapping[str, str]], tuple[Graph, Principal]],
    say: Callable[[str], None],
    *,
    what_if: bool,
) -> None:
    """Make what is missing of the registration, and set AUDIENCE.

    The registration is found by a unique name, REGISTRATION_NAME, which is kept before anything is made: display names
    are not unique, and the client ID is known only afterwards. An AUDIENCE or AUTHORITY without that name is somebody
    else's.
    """
    values = environment.values()
    audience, name = values.get("AUDIENCE", ""), values.get("REGISTRATION_NAME", "")
    others = [f"{one} is {values[one]}" for one in ("AUTHORITY", "AUDIENCE") if values.get(one)]
    if others and not name:
        say(f"{' and '.join(others)}, which was not registered from here: nothing is changed.")
        return
    if name and not re.fullmatch(r"[A-Za-z0-9._-]{1,120}", name):
        raise CannotRegister(
            f"REGISTRATION_NAME is {name!r}; it may have letters, digits, dots, dashes and underscores."
        )
    graph, principal = sign_in(values)
    if not name:
        name = _new_name(values, principal)
        if not what_if:
            environment.set("REGISTRATION_NAME", name)
    registration = Registration(graph, name, say, what_if=what_if, was_complete=bool(audience))
    application = registration.find()
    if audience and application is None:
        raise CannotRegister(
            f"AUDIENCE is {audience}, but the tenant {principal.tenant} has no app registration {name}. Sign in to the "
            "tenant that has it (azd auth login --tenant-id), or set AUDIENCE and REGISTRATION_NAME to nothing, for "
            'another one (azd env set AUDIENCE "").'
        )
    if audience and application and application["appId"] not in audience.split(","):
        say(f"AUDIENCE is {audience}, which is not that of the app registration {name}: nothing is changed.")
        return
    application = registration.complete(
        application, f"DICOM archive {values.get('AZURE_ENV_NAME', '')}".strip(), principal
    )
    if application is None:
        return
    title = f'"{application["displayName"]}" (client ID {application["appId"]})'
    if not audience and not what_if:
        environment.set("AUDIENCE", application["appId"])
        say(f"Set AUDIENCE to {application['appId']}.")
    if registration.is_changed:
        say(
            f"To let others in, assign them a role: Microsoft Entra admin center, Enterprise apps, {title}, Users and "
            "groups. For apps and managed identities see docs/security.md."
        )
    else:
        say(f"The app registration {title} is complete: nothing is changed.")


def _new_name(values: Mapping[str, str], principal: Principal) -> str:
    if principal.is_app:
        # A pipeline starts with an empty environment each time: each run would make another registration.
        raise CannotRegister(
            f"{principal.name} is an app, and neither AUDIENCE nor REGISTRATION_NAME is set. Run this once as yourself "
            "and give the pipeline the AUDIENCE that it sets; or give it a REGISTRATION_NAME of your choice."
        )
    return f"dicomweb-{values.get('AZURE_ENV_NAME', 'service')}-{uuid4().hex[:12]}"


def signed_in(values: Mapping[str, str]) -> tuple[Graph, Principal]:
    """Microsoft Graph, and whoever is signed in to azd or the Azure CLI."""
    url = values.get("GRAPH_ENDPOINT", "https://graph.microsoft.com").rstrip("/")
    if not is_safe_url(url):
        raise CannotRegister(f"GRAPH_ENDPOINT is {url!r}; it is the https URL of Microsoft Graph in your cloud.")
    tenant = values.get("AZURE_TENANT_ID", "")
    credential = ChainedTokenCredential(
        AzureDeveloperCliCredential(tenant_id=tenant, process_timeout=_SIGN_IN_SECONDS),
        AzureCliCredential(tenant_id=tenant, process_timeout=_SIGN_IN_SECONDS),
    )
    token = credential.get_token(f"{url}/.default").token
    headers = {"Authorization": f"Bearer {token}"}
    client = httpx.Client(base_url=f"{url}/v1.0/", headers=headers, timeout=_REQUEST_SECONDS)
    return Graph(client), principal_of(token)


def main() -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what-if", action="store_true", help="only say what would be made")
    arguments = parser.parse_args()
    logging.getLogger("azure.identity").setLevel(logging.ERROR)  # it warns of what is raised, too
    try:
        register(AzdEnvironment(), signed_in, _say, what_if=arguments.what_if)
    except (AzdError, GraphError, CannotRegister, ClientAuthenticationError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
