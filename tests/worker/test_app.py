"""The app as Microsoft's code of a worker loads it."""

import pytest
from azure.functions.decorators.function_app import Function

from local.azurite import ROOT
from tests.support.functions_host.worker_process import IS_INSTALLED, running


@pytest.mark.skipif(not IS_INSTALLED, reason="Azure's Python worker is not installed: make setup-worker")
async def test_the_worker_loads_every_function(functions: list[Function]) -> None:
    async with running(ROOT) as worker:
        loaded = {function.name: function.trigger["type"] for function in worker.functions.values()}
    triggers = {function.get_function_name(): function.get_trigger() for function in functions}
    assert loaded == {name: trigger and trigger.type for name, trigger in triggers.items()}
