"""`dicomweb`, or `python -m dicomweb_cli`: what can be done with any DICOMweb server, and some things with this one.

Exit status: 0 done, 1 partly failed or nothing to do, 2 impossible (usage, connection, sign-in), 130 interrupted.
"""

from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

try:
    import typer
except ModuleNotFoundError as error:
    raise SystemExit(f"{error}. Run `. .venv/bin/activate` first, or `pip install .`.") from None

from dicomweb_cli import operation_commands, subscription_commands, tag_commands
from dicomweb_cli.connection import CannotGoOn, Connection
from dicomweb_cli.options import (
    Archive,
    Container,
    CursorFile,
    FeedAction,
    FeedForm,
    Instance,
    Parallel,
    Scope,
    Series,
    Since,
    SopClass,
    Study,
    Token,
    Url,
    checked_url,
)
from dicomweb_cli.running import FAILED, IMPOSSIBLE, INTERRUPTED, run, run_on_storage
from dicomweb_cli.samples import write_samples
from dicomweb_cli.terminal import ERR, OUT
from shared.version import VERSION

if TYPE_CHECKING:
    from shared.dicom.identifiers import ResourceIdentifiers, StudyKey

_MEBIBYTE = 1024**2

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(operation_commands.app, name="operations")
app.add_typer(subscription_commands.app, name="subscriptions")
app.add_typer(tag_commands.app, name="tags")


def _show_version(is_asked: bool) -> None:
    if is_asked:
        OUT.print(f"dicomweb {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Upload to, download from, search, follow, delete on and check any DICOMweb server."""


@app.command()
def upload(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="Folders, DICOM files, ZIP archives, DICOMDIRs.")],
    url: Url,
    token: Token = None,
    scope: Scope = None,
    send_all: Annotated[bool, typer.Option("--all", help="Also send what the server already holds.")] = False,
    report_file: Annotated[Path | None, typer.Option("--report", help="Write the report as JSON.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Most MiB in a request; a larger file goes alone.")] = 64,
    batch_files: Annotated[int, typer.Option(min=1, help="Most files in a request.")] = 100,
    parallel: Parallel = 4,
) -> None:
    """Upload DICOM files that the server does not hold yet, recognized by their content.

    Ctrl-C stops after the requests under way; the same command continues later.
    """
    from dicomweb_cli.upload import Plan
    from dicomweb_cli.upload import upload as send

    plan = Plan(batch_bytes=batch_size * _MEBIBYTE, batch_files=batch_files, parallel=parallel, sends_all=send_all)
    report = run(url, token, scope, lambda connection: send(connection, paths, plan))
    report.show()
    if report_file:
        try:
            report.write(report_file)
        except OSError as error:
            ERR.print(f"The report cannot be written: {error}")
            raise typer.Exit(IMPOSSIBLE) from None
    if report.stopped:
        raise typer.Exit(INTERRUPTED if report.is_interrupted else IMPOSSIBLE)
    if not report.instances and not report.failures:
        ERR.print(f"There is nothing to upload: no DICOM files in {', '.join(map(str, paths))}.", soft_wrap=True)
        raise typer.Exit(FAILED)
    if report.failures:
        raise typer.Exit(FAILED)


@app.command()
def download(
    study: Study,
    to: Annotated[Path, typer.Option("--to", file_okay=False, help="The folder to write to.")],
    url: Url,
    series: Series = None,
    instance: Instance = None,
    zipped: Annotated[bool, typer.Option("--zip", help="Make a ZIP archive, named after the UID.")] = False,
    token: Token = None,
    scope: Scope = None,
    parallel: Parallel = 4,
) -> None:
    """Download a study, series or instance as it is stored, to study/series/instance.dcm.

    What is already there is not fetched again: after Ctrl-C or an error, the same command continues.
    """
    from dicomweb_cli.download import Downloaded, download_zip
    from dicomweb_cli.download import download as fetch

    resource = _resource(study, series, instance)
    done = Downloaded()

    async def work(connection: Connection) -> None:
        if zipped:
            archive = await download_zip(connection, resource, to, parallel=parallel, done=done)
            if not done.failures:
                OUT.print(str(archive), soft_wrap=True)
        else:
            await fetch(connection, resource, to, parallel=parallel, done=done)

    try:
        run(url, token, scope, work)
    finally:
        if done.wanted:
            done.show()
    if done.failures:
        raise typer.Exit(FAILED)


@app.command()
def search(
    terms: Annotated[
        list[str] | None, typer.Argument(metavar="[studies|series|instances] [KEY=VALUE]...", help="What to look for.")
    ] = None,
    *,
    url: Url,
    limit: Annotated[int, typer.Option(min=1, help="Most results.")] = 100,
    everything: Annotated[bool, typer.Option("--all", help="All results, however many.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print DICOM JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    token: Token = None,
    scope: Scope = None,
) -> None:
    """Search by attributes, such as PatientName=Smi* StudyDate=20260101-20260131; studies by default."""
    from dicomweb_cli.search import LEVELS, Form
    from dicomweb_cli.search import search as find

    level, *keys = terms if terms and terms[0] in LEVELS else ["studies", *(terms or [])]
    pairs = [(key, value) for key, equals, value in (term.partition("=") for term in keys) if key and equals]
    if len(pairs) < len(keys):
        meant = get_close_matches(keys[0].lower(), LEVELS, 1)
        suggestion = f" Did you mean {meant[0]}?" if meant else ""
        raise typer.BadParameter(f"Give KEY=VALUE, after one of {', '.join(LEVELS)}.{suggestion}")
    if as_json and as_csv:
        raise typer.BadParameter("Give --json or --csv, not both.")
    form = Form.JSON if as_json else Form.CSV if as_csv else Form.TABLE
    wanted = None if everything else limit
    run(url, token, scope, lambda connection: find(connection, level, pairs, wanted=wanted, form=form))


@app.command()
def changes(
    url: Url,
    since: Since = "0",
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between looks for more, with --follow.")] = 10,
    cursor: CursorFile = None,
    form: Annotated[
        FeedForm, typer.Option("--format", help="Lines for people, or a JSON object a line.")
    ] = FeedForm.TABLE,
    action: Annotated[FeedAction | None, typer.Option(help="Only changes of this kind.")] = None,
    sop_class: SopClass = None,
    token: Token = None,
    scope: Scope = None,
) -> None:
    """Print what was stored and deleted, from the server's change feed: all so far, unless told otherwise.

    With --cursor, whatever ends it, the same command continues later: it may repeat changes, and omits none.
    """
    from dicomweb_cli.change_feed import Filters
    from dicomweb_cli.changes import Reading, print_changes, start_of
    from dicomweb_cli.resources import checked_uid

    try:
        start, uid = start_of(since), checked_uid(sop_class) if sop_class else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    filters = Filters(action=action.value if action else None, sop_class=uid)
    pause = every if follow else None
    reading = Reading(start=start, filters=filters, form=form, cursor_file=cursor, every=pause)
    run(url, token, scope, lambda connection: print_changes(connection, reading))


@app.command()
def delete(
    study: Study,
    url: Url,
    series: Series = None,
    instance: Instance = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    token: Token = None,
    scope: Scope = None,
) -> None:
    """Delete a study, series or instance, after showing what would go and asking for confirmation."""
    from dicomweb_cli.delete import delete as remove

    resource = _resource(study, series, instance)
    agrees = (lambda: True) if yes else (lambda: typer.confirm("Delete it for good?"))
    if not run(url, token, scope, lambda connection: remove(connection, resource, agrees)):
        OUT.print("Nothing was deleted.")
        raise typer.Exit(FAILED)
    OUT.print("Deleted.")


@app.command()
def backup(
    archive: Archive = "",
    to: Annotated[
        str, typer.Option("--to", envvar="BACKUP_BLOB_ENDPOINT", help="Blob endpoint of the backup's account.")
    ] = "",
    container: Container = "",
    keep_days: Annotated[
        int | None,
        typer.Option(
            min=1, envvar="BACKUP_RETENTION_DAYS", help="Days for which to keep what the archive no longer has; 30."
        ),
    ] = None,
    erase: Annotated[
        list[str] | None,
        typer.Option(metavar="STUDY", help="Forget at once what the archive no longer has of this study."),
    ] = None,
) -> None:
    """Back the archive up into a container of another storage account: what has changed since the last time.

    Signs in by azure-identity, such as by `az login`. Ctrl-C ends it; the same command continues later.
    """
    options = {"STORAGE_BLOB_ENDPOINT": archive, "BACKUP_BLOB_ENDPOINT": to, "BACKUP_CONTAINER": container}
    days = {"BACKUP_RETENTION_DAYS": str(keep_days)} if keep_days else {}

    erased = {_study_key(uid) for uid in erase or []}

    async def work() -> bool:
        from dicomweb_cli.backup import run_backup, settings_of

        return await run_backup(settings_of({**options, **days}), erased)

    run_on_storage(work)


@app.command()
def restore(
    archive: Archive = "",
    source: Annotated[
        str, typer.Option("--from", envvar="BACKUP_BLOB_ENDPOINT", help="Blob endpoint of the backup's account.")
    ] = "",
    container: Container = "",
    study: Annotated[str | None, typer.Option(help="Study Instance UID: only this study.")] = None,
    at: Annotated[datetime | None, typer.Option(help="As the backup had it at this time, in UTC.")] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Also beside studies that the backup does not have.")] = False,
) -> None:
    """Restore the archive from its backup: what is there already stays as it is.

    Signs in by azure-identity, such as by `az login`. Ctrl-C ends it; the same command continues later.
    """
    options = {"STORAGE_BLOB_ENDPOINT": archive, "BACKUP_BLOB_ENDPOINT": source, "BACKUP_CONTAINER": container}
    study_key = _study_key(study) if study else None
    time = at.replace(tzinfo=UTC) if at else None

    async def work() -> bool:
        from dicomweb_cli.backup import run_restore, settings_of

        return await run_restore(settings_of(options), study_key, time, merge)

    run_on_storage(work)


def _study_key(uid: str) -> "StudyKey":
    from dicomweb_cli.resources import resource_of

    try:
        return resource_of(uid, None, None).study
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.command()
def samples(folder: Annotated[Path, typer.Argument(file_okay=False, help="The folder to write to.")]) -> None:
    """Write synthetic studies to look at, new ones each time: CT, MR, US, CR, a report and a PDF."""
    try:
        for line in write_samples(folder):
            OUT.print(line, soft_wrap=True)
    except (CannotGoOn, OSError) as error:
        ERR.print(str(error), soft_wrap=True)
        raise typer.Exit(IMPOSSIBLE) from None


@app.command()
def doctor(
    service: Annotated[str | None, typer.Argument(metavar="URL", help="The same as --url.")] = None,
    url: Annotated[str, typer.Option("--url", envvar="DICOMWEB_URL", help="The DICOMweb service.")] = "",
    token: Token = None,
    scope: Scope = None,
) -> None:
    """Check URL, service, clock and sign-in, and that an instance comes back as it was stored; it is then deleted."""
    from dicomweb_cli.doctor import examine

    if not (service or url):
        raise typer.BadParameter("Give the URL of the service, or set DICOMWEB_URL.")
    if not run(checked_url(service or url), token, scope, examine):
        raise typer.Exit(FAILED)


def _resource(study: str, series: str | None, instance: str | None) -> "ResourceIdentifiers":
    from dicomweb_cli.resources import resource_of

    try:
        return resource_of(study, series, instance)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def main() -> None:
    """What the installed command `dicomweb` runs."""
    app(prog_name="dicomweb")


if __name__ == "__main__":
    app(prog_name="python -m dicomweb_cli")
