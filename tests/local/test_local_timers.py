"""When timer functions run, and what they get."""

import asyncio
import logging
import threading
from datetime import UTC, datetime

import azure.functions as func
import pytest
from starlette.requests import Request
from starlette.responses import Response

from local.timers import ScheduleError, Timer, fire, run, timers_of
from tests.support.logged import logged

EVERY_SECOND = "* * * * * *"


async def respond(request: Request) -> Response:
    return Response()


def app_with_timer(schedule: str) -> func.FunctionApp:
    async def sweep(timer: func.TimerRequest) -> None: ...

    app = func.FunctionApp()
    app.route("health", methods=["GET"])(respond)
    app.timer_trigger(arg_name="timer", schedule=schedule)(sweep)
    return app


def test_timers_of_finds_only_the_timer_functions() -> None:
    (timer,) = timers_of(app_with_timer("0 */5 * * * *").get_functions())
    assert (timer.name, timer.schedule) == ("sweep", "0 */5 * * * *")


@pytest.mark.parametrize("schedule", ["*/5 * * * *", "0 0 25 * * *", "every day", "%SWEEP_SCHEDULE%", "00:05:00"])
def test_a_schedule_that_cannot_be_read_is_refused(schedule: str) -> None:
    with pytest.raises(ScheduleError, match=r"^sweep: the schedule "):
        timers_of(app_with_timer(schedule).get_functions())


async def test_async_handlers_run_on_the_loop_and_others_in_a_thread() -> None:
    ran: list[tuple[bool, bool]] = []

    async def on_the_loop(timer: func.TimerRequest) -> None:
        ran.append((timer.past_due, threading.current_thread() is threading.main_thread()))

    def in_a_thread(timer: func.TimerRequest) -> None:
        ran.append((timer.past_due, threading.current_thread() is threading.main_thread()))

    await fire(Timer("one", EVERY_SECOND, on_the_loop))
    await fire(Timer("two", EVERY_SECOND, in_a_thread))
    assert ran == [(False, True), (False, False)]


async def test_a_timer_runs_on_the_second_one_run_at_a_time_and_goes_on_after_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    starts: list[datetime] = []
    under_way = 0

    async def slow_and_failing(timer: func.TimerRequest) -> None:
        nonlocal under_way
        starts.append(datetime.now(UTC))
        under_way += 1
        assert under_way == 1
        await asyncio.sleep(1.2)
        under_way -= 1
        raise ZeroDivisionError

    caplog.set_level(logging.ERROR, "local.timers")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(4.5):
            await run(Timer("slow", EVERY_SECOND, slow_and_failing))
    assert len(starts) in (2, 3)  # each takes two seconds of the schedule
    assert all(start.microsecond < 500_000 or start.microsecond > 990_000 for start in starts)
    assert {record.getMessage() for record in logged(caplog, "local.timers")} == {"slow failed."}
