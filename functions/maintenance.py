"""The timer that finishes what processes that died left behind."""

import azure.functions as func

from functions import _services

bp = func.Blueprint()


@bp.function_name("ReplayJournal")
@bp.timer_trigger(arg_name="timer", schedule="0 */10 * * * *", run_on_startup=False)
async def replay_journal(timer: func.TimerRequest) -> None:
    """Every ten minutes; one run at a time over all instances, as the host sees to."""
    from shared.services import maintenance

    await maintenance.replay_journal(await _services.archive(), _services.settings())
