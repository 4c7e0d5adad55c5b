"""`dicomweb subscriptions`: who is told of what is stored and deleted, and how far that has come."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from dicomweb_cli.options import AsJson, Scope, Token, Url
from dicomweb_cli.running import FAILED, run
from dicomweb_cli.terminal import OUT, print_members
from shared.web.subscription_request import EVENTS, MAX_EVENTS_PER_BATCH

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Have others told of changes, and see how far that has come."
)

Event = StrEnum("Event", {name: name for name in EVENTS})  # type: ignore[misc] # the words of the service


def _checked(text: str) -> str:
    from dicomweb_cli.subscriptions import checked_id  # not for who wants something else

    try:
        return checked_id(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Id = Annotated[str, typer.Argument(metavar="ID", callback=_checked, help="The subscription's id.")]
After = Annotated[
    int | None, typer.Option("--after", min=0, help="Begin after this sequence number of the change feed.")
]


@app.command("list")
def list_subscriptions(url: Url, as_json: AsJson = False, token: Token = None, scope: Scope = None) -> None:
    """List subscriptions, the oldest first."""
    from dicomweb_cli.subscriptions import listed, print_list

    print_list(run(url, token, scope, listed), as_json=as_json)


@app.command()
def create(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="An https URL, or an Event Grid topic's endpoint.")],
    url: Url,
    *,
    matching: Annotated[str | None, typer.Option("--filter", help="Only what matches, such as Modality=CT.")] = None,
    events: Annotated[list[Event] | None, typer.Option("--event", help="Only this; may be repeated.")] = None,
    settle: Annotated[str | None, typer.Option(help="How long a study is quiet before it has settled: PT2M.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, max=MAX_EVENTS_PER_BATCH, help="Most events in a request; 1.")
    ] = None,
    after: After = None,
    secret: Annotated[
        str | None,
        typer.Option(envvar="DICOMWEB_SECRET", help="What signs events; the variable is safer. Made where missing."),
    ] = None,
    as_json: AsJson = False,
    token: Token = None,
    scope: Scope = None,
) -> None:
    """Subscribe: have TARGET told of what is stored and deleted. Prints the secret, which is not shown again."""
    from dicomweb_cli.subscriptions import EVENT_GRID
    from dicomweb_cli.subscriptions import create as make

    asked: dict[str, Any] = {
        "eventGridTopic" if target.endswith(EVENT_GRID) else "url": target,
        "filter": matching,
        "events": [str(event) for event in events] if events else None,
        "settle": settle,
        "maxEventsPerBatch": batch,
        "after": after,
        "secret": secret,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    print_members(run(url, token, scope, lambda connection: make(connection, given)), as_json=as_json)


@app.command()
def show(subscription: Id, url: Url, as_json: AsJson = False, token: Token = None, scope: Scope = None) -> None:
    """Show a subscription, without its secret."""
    from dicomweb_cli.subscriptions import read

    print_members(run(url, token, scope, lambda connection: read(connection, subscription)), as_json=as_json)


@app.command()
def deliveries(subscription: Id, url: Url, as_json: AsJson = False, token: Token = None, scope: Scope = None) -> None:
    """Show how far a subscription has come. Exits with 1 if it fails or is parked."""
    from dicomweb_cli.subscriptions import read

    found = run(url, token, scope, lambda connection: read(connection, f"{subscription}/deliveries"))
    print_members(found, as_json=as_json)
    if found.get("status") != "active":
        raise typer.Exit(FAILED)


@app.command()
def restart(
    subscription: Id, url: Url, after: After = None, as_json: AsJson = False, token: Token = None, scope: Scope = None
) -> None:
    """Have a subscription go on that is parked or fails, or begin again elsewhere in the change feed."""
    from dicomweb_cli.subscriptions import restart as go_on

    print_members(run(url, token, scope, lambda connection: go_on(connection, subscription, after)), as_json=as_json)


@app.command()
def delete(subscription: Id, url: Url, token: Token = None, scope: Scope = None) -> None:
    """End a subscription."""
    from dicomweb_cli.subscriptions import delete as end

    run(url, token, scope, lambda connection: end(connection, subscription))
    OUT.print("Ended.")
