"""Whether infra/ was checked at all."""

import pytest

from tests.support.bicep_compiler import NOT_FOUND, find_compiler, run


@pytest.mark.skipif(not find_compiler(), reason=NOT_FOUND)
def test_the_compiler_runs() -> None:
    done = run("--version")
    assert done.returncode == 0, done.stderr
    assert "Bicep CLI version" in done.stdout
