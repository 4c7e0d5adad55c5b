"""An event loop whose time is virtual and whose order is chosen: nothing in it waits, and nothing is left to chance."""

import asyncio
import heapq
import sys
import traceback
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import Context, copy_context
from itertools import count
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

_MAX_STEPS: Final = 100_000  # a run takes some thousand


class Stuck(Exception):
    """Nothing is left to happen, or there is no end of it, before what is waited for is done."""


class _Handle(asyncio.Handle):
    """A callback that is due at a time."""

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], loop: "SimulatedLoop", context: Context | None
    ) -> None:
        self.call = callback
        self.args = args
        self.context = context if context is not None else copy_context()
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled


class _Timer(_Handle):
    def __init__(self, due: float, *args: Any) -> None:
        super().__init__(*args)
        self.due = due

    def when(self) -> float:
        return self.due


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where in memory it lies."""

    def __init__(self, *args: Any, number: int, **options: Any) -> None:
        self._number = number  # before the task is entered in asyncio's own set
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Runs one callback after another: `choose` says which of so many that are ready comes next.

    When none is ready, time jumps to the next timer. A callback is dropped where `is_dropped` says so of its context.
    What others run in threads is run when its turn comes, `thread_seconds` later.
    """

    def __init__(
        self,
        choose: Callable[[int], int],
        is_dropped: Callable[[Context], bool],
        thread_seconds: Callable[[], float],
    ) -> None:
        self._choose = choose
        self._is_dropped = is_dropped
        self._thread_seconds = thread_seconds
        self._now = 0.0
        self._ready: list[_Handle] = []
        self._timers: list[tuple[float, int, _Timer]] = []
        self._numbers = count(1)
        self._is_closed = False
        self.tasks: list[asyncio.Task[Any]] = []
        """Every task, kept: one that is dropped must not be cleaned up before the run is over."""
        self.errors: list[str] = []
        """What callbacks and generators have raised that nobody handles."""

    def time(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        """Have time pass, as reading a clock does."""
        self._now += seconds

    def run_until_complete(self, future: Coroutine[Any, Any, Result]) -> Result:  # type: ignore[override]
        """The result of a coroutine. Raises what it raises, and Stuck."""
        hooks = sys.get_asyncgen_hooks()
        asyncio._set_running_loop(self)
        sys.set_asyncgen_hooks(finalizer=self._finalize)
        try:
            task: asyncio.Task[Result] = self.create_task(future)
            for _ in range(_MAX_STEPS):
                if task.done():
                    return task.result()
                self._step()
            raise Stuck(f"There is no end after {_MAX_STEPS} steps.")
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(None)

    def _step(self) -> None:
        if not self._ready:
            if not self._timers:
                raise Stuck("Nothing is left to happen.")
            self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(self._timers)[2])
        handle = self._ready.pop(self._choose(len(self._ready)) if len(self._ready) > 1 else 0)
        if handle.is_cancelled or self._is_dropped(handle.context):
            return
        try:
            handle.context.run(handle.call, *handle.args)
        except Exception as error:  # noqa: BLE001 -- as every event loop; whoever runs it looks at them
            self.errors.append(f"{handle.call}: {error!r}")

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> _Handle:  # type: ignore[override]
        handle = _Handle(callback, args, self, context)
        if not self._is_closed:
            self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Timer:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Timer:
        timer = _Timer(when, callback, args, self, context)
        if not self._is_closed:
            heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        number = next(self._numbers)
        task = _Task(coro, loop=self, name=name or f"Task-{number}", context=context, number=number)
        self.tasks.append(task)
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        done = self.create_future()

        def run() -> None:
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001 -- it is whoever waits who raises it
                if not done.cancelled():
                    done.set_exception(error)
            else:
                if not done.cancelled():
                    done.set_result(result)

        self.call_later(self._thread_seconds(), run)
        return done

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.append("\n".join([str(context.get("message")), *traceback.format_exception(error)]))

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        """Take nothing more: what is still under way is forgotten."""
        self._is_closed = True
        self._ready.clear()
        self._timers.clear()

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._is_closed:
            self.create_task(generator.aclose())
