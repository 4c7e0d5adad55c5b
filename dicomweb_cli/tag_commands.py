"""`dicomweb tags`: what else searches can match, because somebody asked for it."""

from enum import StrEnum
from typing import Annotated, Final

import typer

from dicomweb_cli.options import AsJson, Scope, Token, Url
from dicomweb_cli.running import FAILED, run
from dicomweb_cli.terminal import ERR, OUT, print_members

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Have searches match more attributes.")

_EVERY_SECONDS: Final = 5


class TagLevel(StrEnum):
    """What a tag is a property of."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


Name = Annotated[
    str,
    typer.Argument(
        metavar="TAG", help="Its keyword, or 8 hexadecimal digits; inside sequences theirs first, joined by dots."
    ),
]
Creator = Annotated[
    str | None, typer.Option("--private-creator", help="Of a private attribute: who has reserved its block.")
]


@app.command("list")
def list_tags(url: Url, as_json: AsJson = False, token: Token = None, scope: Scope = None) -> None:
    """List tags, in the order in which they were added."""
    from dicomweb_cli.tags import listed, print_tags  # not for who wants something else

    print_tags(run(url, token, scope, listed), as_json=as_json)


@app.command()
def add(
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="As for show; several are added at once.")],
    url: Url,
    *,
    level: Annotated[TagLevel, typer.Option(case_sensitive=False, help="What they are properties of.")],
    vr: Annotated[str | None, typer.Option(help="Needed for a private attribute; else the dictionary's.")] = None,
    creator: Creator = None,
    is_awaited: Annotated[bool, typer.Option("--wait", help="Wait until searches can use them.")] = False,
    every: Annotated[float, typer.Option("--every", min=1, help="Seconds between looks.")] = _EVERY_SECONDS,
    token: Token = None,
    scope: Scope = None,
) -> None:
    """Add tags: searches can match them once an operation has ended, whose id is printed.

    With --wait, exits with 0 if searches can use all of them, with 1 if not.
    """
    from dicomweb_cli.tags import add as ask
    from dicomweb_cli.tags import wait_until_ready

    more = {"vr": vr, "privateCreator": creator}
    given = {name: value for name, value in more.items() if value}
    asked = [{"path": tag, "level": level.value.capitalize(), **given} for tag in tags]
    operation = run(url, token, scope, lambda connection: ask(connection, asked))
    if not is_awaited:
        OUT.print(operation)
        return
    ERR.print(f"Operation {operation}")  # for who does not wait to the end
    if not run(url, token, scope, lambda connection: wait_until_ready(connection, operation, asked, every)):
        raise typer.Exit(FAILED)


@app.command()
def show(
    tag: Name, url: Url, creator: Creator = None, as_json: AsJson = False, token: Token = None, scope: Scope = None
) -> None:
    """Show a tag: how far it is, and whether searches may use it."""
    from dicomweb_cli.tags import read

    print_members(run(url, token, scope, lambda connection: read(connection, tag, creator)), as_json=as_json)


@app.command()
def errors(
    tag: Name, url: Url, creator: Creator = None, as_json: AsJson = False, token: Token = None, scope: Scope = None
) -> None:
    """List the instances in which a tag could not be indexed, and why, the earliest first."""
    from dicomweb_cli.tags import print_errors, read_errors

    found = run(url, token, scope, lambda connection: read_errors(connection, tag, creator))
    print_errors(found, as_json=as_json)


@app.command()
def enable(tag: Name, url: Url, creator: Creator = None, token: Token = None, scope: Scope = None) -> None:
    """Let searches use a tag, also where it could not be indexed in some instances."""
    _set_status(tag, url, creator, token, scope, "Enabled")


@app.command()
def disable(tag: Name, url: Url, creator: Creator = None, token: Token = None, scope: Scope = None) -> None:
    """Let searches no longer use a tag, which is indexed all the same."""
    _set_status(tag, url, creator, token, scope, "Disabled")


@app.command()
def remove(tag: Name, url: Url, creator: Creator = None, token: Token = None, scope: Scope = None) -> None:
    """Remove a tag, and what is indexed by it."""
    from dicomweb_cli.tags import remove as end

    run(url, token, scope, lambda connection: end(connection, tag, creator))
    OUT.print("Removed.")


def _set_status(tag: str, url: str, creator: str | None, token: str | None, scope: str | None, status: str) -> None:
    from dicomweb_cli.tags import set_status

    changed = run(url, token, scope, lambda connection: set_status(connection, tag, creator, status))
    OUT.print(f"{changed.get('queryStatus')}.")
