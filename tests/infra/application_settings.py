"""What the application settings of a deployment must be: the app's and the host's, and all that they need."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from shared.settings import Settings, SettingsError

# Application settings that are the host's, not the app's.
HOST_SETTINGS: Final = {
    "AzureWebJobsStorage__blobServiceUri": "where the host keeps locks and keys",
    "AzureWebJobsStorage__queueServiceUri": "the host's connection names all three",
    "AzureWebJobsStorage__tableServiceUri": "where the host keeps diagnostic events",
    "AzureWebJobsStorage__credential": "the host signs in by managed identity",
    "AzureWebJobsStorage__clientId": "by this one",
    "ArchiveQueues__queueServiceUri": "where the queue functions' messages are",
    "ArchiveQueues__credential": "by managed identity, too",
    "ArchiveQueues__clientId": "by this one",
    "AzureWebJobsDisableHomepage": "no page of Azure's at /",
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "100 MB unless this raises it",
}

# Settings of the app that a deployment does not set.
NOT_DEPLOYED: Final = {
    "STORAGE_CONNECTION_STRING": "the archive is reached by identity",
    "BACKUP_CONNECTION_STRING": "and so is its backup",
    "CREATE_STORAGE": "the template makes container and tables",
    "ANONYMOUS_ACCESS": "a service that others can reach requires sign-in",
}

# Limits, and what few archives need, keep their defaults; the parameter moreSettings changes them.
LIMITS: Final = re.compile("(MAX|DEFAULT)_[A-Z_]+|STORE_WITHOUT_PATIENT_ID")

# Not for the Flex Consumption plan, https://learn.microsoft.com/azure/azure-functions/functions-app-settings
_NOT_ON_FLEX: Final = re.compile(
    "FUNCTIONS_(WORKER_RUNTIME|EXTENSION_VERSION)|WEBSITE_(RUN_FROM_PACKAGE|CONTENT.*|TIME_ZONE)|"
    "SCM_DO_BUILD_DURING_DEPLOYMENT|ENABLE_ORYX_BUILD|AzureWebJobsStorage"
)


def faults(given: Mapping[str, Any]) -> Iterator[str]:
    """A line for each setting that is unknown, missing, or has a value that does not do."""
    own = {setting.name.upper() for setting in fields(Settings)}
    for name in given:
        if name not in own | set(HOST_SETTINGS):
            yield f"{name} is not a setting of the app or the host."
        if name in NOT_DEPLOYED:
            yield f"{name} is not for a deployment: {NOT_DEPLOYED[name]}."
        if _NOT_ON_FLEX.fullmatch(name):
            yield f"{name} is not for the Flex Consumption plan."
    for name in sorted(own | set(HOST_SETTINGS)):
        if name not in given and name not in NOT_DEPLOYED and not LIMITS.fullmatch(name):
            yield f"{name} is missing."
    for name in sorted(name for name, text in given.items() if not isinstance(text, str)):
        yield f"{name} is not a string."
    # What only Azure knows is an expression, such as an endpoint.
    texts = {name: str(text) for name, text in given.items() if not str(text).startswith("[")}
    try:
        settings = Settings.from_environment(texts)
    except SettingsError as error:
        yield str(error)
        return
    body_limit = texts.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "0")
    if int(body_limit) <= settings.max_request_bytes:
        yield f"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT, {body_limit}, is not above MAX_REQUEST_BYTES."
    if not settings.trust_forwarded:
        yield "TRUST_FORWARDED must be true behind the Functions host."
