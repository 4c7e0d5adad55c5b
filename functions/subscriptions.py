"""The functions of subscriptions: who is told of changes, and how far that has come."""

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.app import App
from functions.edge.function import function
from functions.edge.json_answer import json_answer
from functions.edge.request import service_url
from functions.edge.request_body import json_body
from shared.errors import NotFound
from shared.web.subscription_request import MAX_BODY_BYTES, parse_restart, parse_subscription

if TYPE_CHECKING:
    from shared.storage.archive import Archive

_ID: Final = re.compile(r"[0-9a-f]{32}")


@function("CreateSubscription")
async def create_subscription(req: Request, app: App) -> Response:
    """Have what is stored and deleted from now on told to a URL or an Event Grid topic."""
    from shared.services.subscriptions.subscribe import subscribe  # the storage SDKs

    archive, url = await _archive(app), service_url(req, app.settings)
    asked = parse_subscription(await json_body(req, app.settings, MAX_BODY_BYTES))
    made = await subscribe(archive, app.settings, asked, url)
    return json_answer(made, HTTPStatus.CREATED, {"Location": f"{url}/subscriptions/{made['id']}"})


@function("ListSubscriptions")
async def list_subscriptions(req: Request, app: App) -> Response:
    """Every subscription, the oldest first, without its secret."""
    from shared.services.subscriptions.subscribe import subscriptions  # the storage SDKs

    return json_answer(await subscriptions(await _archive(app)))


@function("GetSubscription")
async def get_subscription(req: Request, app: App) -> Response:
    """A subscription, without its secret."""
    from shared.services.subscriptions.subscribe import subscription  # the storage SDKs

    return json_answer(await subscription(await _archive(app), _id(req)))


@function("RestartSubscription")
async def restart_subscription(req: Request, app: App) -> Response:
    """Have a subscription go on that is parked or fails, also from another place of the change feed."""
    from shared.services.subscriptions.subscribe import restart  # the storage SDKs

    archive = await _archive(app)
    asked = parse_restart(await json_body(req, app.settings, MAX_BODY_BYTES))
    return json_answer(await restart(archive, app.settings, _id(req), asked))


@function("DeleteSubscription")
async def delete_subscription(req: Request, app: App) -> Response:
    """End a subscription."""
    from shared.services.subscriptions.subscribe import unsubscribe  # the storage SDKs

    await unsubscribe(await _archive(app), _id(req))
    return Response(status_code=HTTPStatus.NO_CONTENT)


@function("GetDeliveries")
async def get_deliveries(req: Request, app: App) -> Response:
    """How far a subscription has come, and what keeps it from going on."""
    from shared.services.subscriptions.subscribe import deliveries  # the storage SDKs

    return json_answer(await deliveries(await _archive(app), _id(req)))


async def _archive(app: App) -> "Archive":
    """The archive. Raises NotFound where it has no subscriptions."""
    if not app.settings.subscription_hosts:
        raise NotFound("Subscriptions are switched off: the setting SUBSCRIPTION_HOSTS names no host.")
    return await app.archive()


def _id(req: Request) -> str:
    """The id in the path. Raises NotFound for what is none."""
    subscription_id: str = req.path_params["subscription"].lower()
    if not _ID.fullmatch(subscription_id):
        raise NotFound("There is no such subscription: an id is 32 hexadecimal digits.")
    return subscription_id
