"""The timer of the backup: there only where one is configured, within its time, and loud where something fails."""

import asyncio
import logging
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from functions import backup as timer
from functions.edge import app
from local.azurite import ROOT
from shared.services.backup import backup as service
from shared.settings import Settings
from shared.storage.backup_container import BackupContainer
from tests.support.damages import missing_blob
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import new_uid
from tests.support.stores import files_of, store

PROGRAM = """
import sys, function_app
names = sorted(function.get_function_name() for function in function_app.app.get_functions())
print([name for name in names if name in ("BackUpArchive", "ReplayJournal")])
print(sorted({"functions.backup", "shared.services.backup.backup", "azure.storage.blob"} & {*sys.modules}))
"""


@pytest.mark.parametrize(
    ("variable", "timers"),
    [
        ("", "['ReplayJournal']"),
        ("BACKUP_BLOB_ENDPOINT", "['BackUpArchive', 'ReplayJournal']"),
        ("BACKUP_CONNECTION_STRING", "['BackUpArchive', 'ReplayJournal']"),
    ],
)
def test_it_is_there_where_a_backup_is_named(variable: str, timers: str) -> None:
    environment = {**os.environ, **({variable: "x"} if variable else {})}
    arguments = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    names, imported = done.stdout.splitlines()
    assert names == timers
    assert imported == ("['functions.backup']" if variable else "[]")


@pytest.fixture
def configured(raw: RawArchive, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The process's settings with a backup in a new container."""
    chosen = replace(
        raw.settings,
        backup_connection_string=raw.settings.storage_connection_string,
        backup_container=f"backup-{new_uid()[-12:].replace('.', '0')}",
    )
    monkeypatch.setattr(app, "of_process", app.App(chosen, archive=raw.archive))
    return chosen


async def fire() -> None:
    await timer.back_up_archive.build(None).get_user_function()(None)


async def held(settings: Settings) -> list[str]:
    container = await BackupContainer.open(settings)
    found = [one.study.study_instance_uid async for of in container.snapshots() for one in of if not one.is_gone]
    await container.close()
    return found


def line(caplog: pytest.LogCaptureFixture) -> str:
    (message,) = [text for text in caplog.messages if text.startswith("transaction=BackUpArchive")]
    return message


async def test_it_backs_up(configured: Settings, raw: RawArchive, caplog: pytest.LogCaptureFixture) -> None:
    study = new_uid()
    await store(raw.stores, *files_of(study, 1))
    with caplog.at_level(logging.INFO):
        await fire()
    assert study in await held(configured)
    assert "end=complete" in line(caplog)


async def test_the_next_run_goes_on_where_the_time_was_up(
    configured: Settings, raw: RawArchive, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(raw.stores, *files_of(new_uid(), 1))
    with monkeypatch.context() as patched, caplog.at_level(logging.INFO):
        patched.setattr(timer, "_RUN_SECONDS", 1)
        patched.setattr(service, "copy", lambda *_: asyncio.sleep(10))
        await fire()
    assert "end=late" in line(caplog)
    await fire()
    assert await held(configured) == [
        study.study_instance_uid async for study, _ in raw.archive.catalog.read_revisions()
    ]


async def test_it_leaves_another_backup_alone(configured: Settings, caplog: pytest.LogCaptureFixture) -> None:
    container = await BackupContainer.open(configured)
    async with container.lock.held():
        with caplog.at_level(logging.INFO):
            await fire()
    await container.close()
    assert "end=another" in line(caplog)


async def test_a_failure_is_one_of_the_function(
    configured: Settings, raw: RawArchive, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "of_process", app.App(replace(configured, create_storage=False), archive=raw.archive))
    with caplog.at_level(logging.INFO), pytest.raises(timer.BackupFailed):
        await fire()
    assert "end=failed" in line(caplog)
    assert "ContainerNotFound" in caplog.text


async def test_a_study_that_is_not_backed_up_is_named(
    configured: Settings, raw: RawArchive, caplog: pytest.LogCaptureFixture
) -> None:
    study = new_uid()
    await store(raw.stores, *files_of(study, 1))
    await missing_blob(raw, study)
    with caplog.at_level(logging.INFO), pytest.raises(timer.BackupFailed):
        await fire()
    assert f"Study {study} is not backed up: A file is missing" in caplog.text
