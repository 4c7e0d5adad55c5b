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
from cronsim import CronSim, CronSimError

_logger = logging.getLogger("local.timers")


class ScheduleError(ValueError):
    """A timer's schedule is not an NCRONTAB expression of six fields."""


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer function: `schedule` has six fields, seconds first; the handler is async or not."""

    name: str
    schedule: str
    handler: Callable[[func.TimerRequest], Awaitable[None] | None]


def timers_of(functions: Iterable[Function]) -> list[Timer]:
    """The timer functions of an app. Raises ScheduleError."""
    timers = []
    for function in functions:
        trigger = function.get_trigger()
        if trigger is not None and trigger.type == "timerTrigger":
            name, schedule = function.get_function_name() or "", trigger.get_dict_repr()["schedule"]
            _check(name, schedule)
            timers.append(Timer(name, schedule, function.get_user_function()))
    return timers


def _check(name: str, schedule: str) -> None:
    if len(schedule.split()) != 6:  # CronSim also takes five
        raise ScheduleError(f"{name}: the schedule {schedule!r} does not have six NCRONTAB fields, seconds first.")
    try:
        CronSim(schedule, datetime.now(UTC))
    except CronSimError as error:
        raise ScheduleError(f"{name}: the schedule {schedule!r} cannot be read: {error}.") from error


async def run(timer: Timer) -> None:
    """Run a timer whenever it is due, forever; a failure is logged, and the next run is tried."""
    due = datetime.now(UTC)
    while True:
        now = datetime.now(UTC)
        due = next(CronSim(timer.schedule, max(due, now)))  # a sleep may end a moment early: no time is due twice
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
