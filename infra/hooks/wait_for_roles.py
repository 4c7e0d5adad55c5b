"""azd runs it before it deploys: waits until the roles on the host's storage account are old enough to hold.

The app's identity takes the package to that account. A role holds some minutes after it is assigned, and until then the
deployment stops with 403 InaccessibleStorageException. Only that identity could find out whether it holds, so what is
waited for is an age.
"""

import logging
import os
import sys
from datetime import UTC, datetime
from time import sleep
from typing import Final

import httpx
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import AzureDeveloperCliCredential

SETTLED_SECONDS: Final = 180
RESOURCE_MANAGER: Final = "https://management.azure.com"
NEEDED: Final = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "HOST_ACCOUNT_NAME")


def main() -> None:
    """Wait as long as the newest role is too new; not at all where nothing is provisioned yet, or roles are hidden."""
    if not all(map(os.environ.get, NEEDED)):
        return
    logging.getLogger("azure").addHandler(logging.NullHandler())  # what it logs, it raises, too
    subscription, group, account = (os.environ[name] for name in NEEDED)
    scope = (
        f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{account}"
    )
    try:
        seconds = SETTLED_SECONDS - youngest_seconds(scope)
    except (ClientAuthenticationError, httpx.HTTPError) as error:
        print(
            f"How old the roles on {account} are cannot be read: {error}\n"
            "If the deployment stops with 403 InaccessibleStorageException, run azd deploy again after some minutes.",
            file=sys.stderr,
        )
        return
    if seconds > 0:
        print(f"Roles on {account} are new: deploying in {seconds:.0f} seconds, when they hold.", flush=True)
        sleep(seconds)


def youngest_seconds(scope: str) -> float:
    """The age of the newest role assignment of a resource; infinite if it has none of its own."""
    credential = AzureDeveloperCliCredential(tenant_id=os.environ.get("AZURE_TENANT_ID", ""))
    token = credential.get_token(f"{RESOURCE_MANAGER}/.default").token
    answer = httpx.get(
        f"{RESOURCE_MANAGER}{scope}/providers/Microsoft.Authorization/roleAssignments",
        params={"api-version": "2022-04-01", "$filter": "atScope()"},  # also those inherited
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    answer.raise_for_status()
    assignments = [one["properties"] for one in answer.json()["value"]]
    created = [datetime.fromisoformat(one["createdOn"]) for one in assignments if one["scope"].lower() == scope.lower()]
    return min(((datetime.now(UTC) - one).total_seconds() for one in created), default=float("inf"))


if __name__ == "__main__":
    main()
