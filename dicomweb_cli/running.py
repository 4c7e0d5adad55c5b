"""Runs what a command does, and exits with a status and a line that says why where it fails."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final, TypeVar

import typer

from dicomweb_cli.connection import CannotGoOn, Connection, NoService, Refused, connected
from dicomweb_cli.service_url import meant_url
from dicomweb_cli.terminal import ERR, sentence

FAILED: Final = 1
IMPOSSIBLE: Final = 2
INTERRUPTED: Final = 130

_NOWHERE: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)  # what servers answer beside their service

Returned = TypeVar("Returned")


def run(url: str, token: str | None, scope: str | None, work: Callable[[Connection], Awaitable[Returned]]) -> Returned:
    """Do the work on a connection. Where that is impossible, exits with a line that says why."""

    async def connect() -> Returned:
        async with connected(url, token, scope) as connection:
            try:
                return await work(connection)
            except (Refused, NoService) as error:
                may_be_elsewhere = isinstance(error, NoService) or error.status in _NOWHERE
                if may_be_elsewhere and (meant := await meant_url(connection)):
                    raise CannotGoOn(f"Not the service: {sentence(str(error))} Did you mean {meant}?") from None
                raise

    if token and scope:
        raise typer.BadParameter("Give --token or --scope, not both.")
    try:
        return asyncio.run(connect())
    except BrokenPipeError:  # whoever reads the results has enough: typer ends without a word
        raise
    except (CannotGoOn, OSError) as error:
        ERR.print(str(error), soft_wrap=True)
        raise typer.Exit(IMPOSSIBLE) from None
    except Refused as error:
        ERR.print(f"The server refuses: {error}", soft_wrap=True)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        ERR.print("Interrupted.")
        raise typer.Exit(INTERRUPTED) from None


def run_on_storage(work: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Do work that goes past the service. Where it fails or is impossible, exits with a line that says why."""
    try:
        is_well = asyncio.run(work())
    except ModuleNotFoundError as error:
        ERR.print(f"{error}. Run `pip install 'dicomweb-cli[backup]'` first.", soft_wrap=True)
        raise typer.Exit(IMPOSSIBLE) from None
    except CannotGoOn as error:
        ERR.print(str(error), soft_wrap=True)
        raise typer.Exit(IMPOSSIBLE) from None
    except KeyboardInterrupt:
        ERR.print("Interrupted. Run the same command again to continue.")
        raise typer.Exit(INTERRUPTED) from None
    if not is_well:
        raise typer.Exit(FAILED)
