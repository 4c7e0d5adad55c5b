"""The timers: maintenance, and the backup where one is configured."""

import os

import azure.functions as func

from functions import maintenance

_NAMING_A_BACKUP = ("BACKUP_BLOB_ENDPOINT", "BACKUP_CONNECTION_STRING")


def register(app: func.FunctionApp) -> None:
    """Register each timer with the app."""
    app.register_functions(maintenance.bp)
    if any(map(os.environ.get, _NAMING_A_BACKUP)):
        from functions import backup  # off, it costs not even its import

        app.register_functions(backup.bp)
