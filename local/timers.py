"""Runs an app's timer functions by their NCRONTAB schedules, as the host does: in UTC, one run of each at a time."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import azure.functions as func
from azure.functions.decorators.function_app import Function
from azure.functions.timer import TimerRequest
from cronsim import CronSim

_logger = logging.getLogger("local.timers")


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer function: `schedule` has six fields, seconds first; the handler is async or not."""

    name: str
    schedule: str
    handler: Callable[[func.TimerRequest], Awaitable[None] | None]


def timers_of(functions: Iterable[Function]) -> list[Timer]:
    """The timer functions among those of an app. Raises cronsim.CronSimError for a schedule that cannot be read."""
    timers = []
    for function in functions:
        trigger = function.get_trigger()
        if trigger is not None and trigger.type == "timerTrigger":
            schedule = trigger.get_dict_repr()["schedule"]
            next(CronSim(schedule, datetime.now(UTC)))
            timers.append(Timer(function.get_function_name() or "", schedule, function.get_user_function()))
    return timers


async def run(timer: Timer) -> None:
    """Run a timer whenever it is due, for ever; a failure is logged and the next run is tried."""
    while True:
        now = datetime.now(UTC)
        due = next(CronSim(timer.schedule, now))
        await asyncio.sleep((due - now).total_seconds())
        try:
            await fire(timer)
        except Exception:
            _logger.exception("%s failed.", timer.name)


async def fire(timer: Timer) -> None:
    """Run a timer once, now. A handler that is not async runs in a thread."""
    _logger.info("%s runs.", timer.name)
    request = TimerRequest(past_due=False)
    if inspect.iscoroutinefunction(timer.handler):
        await timer.handler(request)
    else:
        await asyncio.to_thread(timer.handler, request)
