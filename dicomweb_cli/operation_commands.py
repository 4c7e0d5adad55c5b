"""`dicomweb operations`: long work on the server, such as examining the archive."""

from typing import Annotated, Final

import typer

from dicomweb_cli.options import AsJson, Scope, Token, Url
from dicomweb_cli.running import FAILED, run
from dicomweb_cli.terminal import ERR, OUT, print_members

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show, await, cancel and start long work.")

_EVERY_SECONDS: Final = 5


def _checked(text: str) -> str:
    from dicomweb_cli.operations import checked_id  # not for who wants something else

    try:
        return checked_id(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Id = Annotated[str, typer.Argument(metavar="ID", callback=_checked, help="The operation's id.")]
Every = Annotated[float, typer.Option("--every", min=1, help="Seconds between looks.")]


@app.command("list")
def list_operations(
    url: Url,
    operation_type: Annotated[str | None, typer.Option("--type", help="Only operations of this type.")] = None,
    status: Annotated[str | None, typer.Option(help="Only those of this status, such as running or failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most operations.")] = 100,
    as_json: AsJson = False,
    token: Token = None,
    scope: Scope = None,
) -> None:
    """List operations, newest first."""
    from dicomweb_cli.operations import listed, print_list

    asked = {"type": operation_type, "status": status}
    filters = {name: value for name, value in asked.items() if value}
    print_list(run(url, token, scope, lambda connection: listed(connection, filters, limit)), as_json=as_json)


@app.command()
def show(operation: Id, url: Url, as_json: AsJson = False, token: Token = None, scope: Scope = None) -> None:
    """Show the state of an operation, and what it has found once it has ended."""
    from dicomweb_cli.operations import read_state

    print_members(run(url, token, scope, lambda connection: read_state(connection, operation)), as_json=as_json)


@app.command()
def wait(
    operation: Id,
    url: Url,
    every: Every = _EVERY_SECONDS,
    as_json: AsJson = False,
    token: Token = None,
    scope: Scope = None,
) -> None:
    """Wait until an operation has ended, and print what it has found.

    Exits with 0 if it succeeded and nothing differs, with 1 if it failed, was canceled, or found differences.
    """
    _wait(operation, url, every, as_json, token, scope)


@app.command()
def cancel(operation: Id, url: Url, token: Token = None, scope: Scope = None) -> None:
    """Cancel an operation: nothing further of it begins."""
    from dicomweb_cli.operations import cancel as stop

    state = run(url, token, scope, lambda connection: stop(connection, operation))
    if state["status"] != "canceled":
        OUT.print(f"It had ended before: {state['status']}.")
        raise typer.Exit(FAILED)
    OUT.print("Canceled.")


@app.command()
def verify(
    url: Url,
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="Study Instance UIDs; none: the whole archive.")
    ] = None,
    digests: Annotated[bool, typer.Option("--digests", help="Also read each file, and compare its SHA-256.")] = False,
    is_awaited: Annotated[bool, typer.Option("--wait", help="Wait for its end, as the command wait does.")] = False,
    every: Every = _EVERY_SECONDS,
    as_json: AsJson = False,
    token: Token = None,
    scope: Scope = None,
) -> None:
    """Have the server examine its archive, or some studies of it; print the operation's id. It repairs nothing."""
    from dicomweb_cli.operations import start_verify
    from dicomweb_cli.resources import checked_uid

    try:
        uids = [checked_uid(uid) for uid in studies or []]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    operation = run(url, token, scope, lambda connection: start_verify(connection, uids, has_digests=digests))
    if is_awaited:
        ERR.print(f"Operation {operation}")  # for who does not wait to the end
        _wait(operation, url, every, as_json, token, scope)
    else:
        OUT.print(operation)


def _wait(operation: str, url: str, every: float, as_json: bool, token: str | None, scope: str | None) -> None:
    from dicomweb_cli.connection import Connection
    from dicomweb_cli.operations import print_end
    from dicomweb_cli.operations import wait as ended

    async def work(connection: Connection) -> bool:
        return await print_end(connection, await ended(connection, operation, every), as_json=as_json)

    if not run(url, token, scope, work):
        raise typer.Exit(FAILED)
