"""Errors as the log tells of them: what and where, no message of others."""

import pytest
from azure.core.exceptions import HttpResponseError

from shared.errors import Unavailable
from shared.failures import described
from shared.settings import SettingsError


def failing(value: str) -> None:
    try:
        int(value)
    except ValueError as cause:
        raise KeyError(value) from cause


def test_type_place_and_cause_are_told_and_no_message() -> None:
    with pytest.raises(KeyError) as caught:
        failing("Roe^Richard")
    told = described(caught.value)
    assert told.startswith("KeyError at tests/test_failures.py:")
    assert "; from ValueError at" in told
    assert "Roe" not in told
    assert "\n" not in told


def test_what_storage_said_is_told_by_status_and_code() -> None:
    error = HttpResponseError("PatientName=Roe^Richard")
    error.status_code, error.error_code = 400, "InvalidInput"  # type: ignore[attr-defined]
    assert described(error) == "HttpResponseError (400 InvalidInput) at an unknown place"


def test_messages_of_our_own_are_told() -> None:
    assert described(SettingsError("MAX_PARTS must be a number.")) == "SettingsError: MAX_PARTS must be a number."
    assert described(Unavailable("Storage does not answer.")) == "Unavailable: Storage does not answer."


def test_a_group_is_told_by_its_first_error_and_a_loop_ends() -> None:
    group = ExceptionGroup("Roe^Richard", [ValueError("Roe^Richard"), OSError()])
    assert "; from ValueError" in described(group)
    error = ValueError()
    error.__context__ = KeyError()
    error.__context__.__context__ = error
    assert described(error).count("; from ") < 10


def test_a_context_that_is_suppressed_is_not_told() -> None:
    error = ValueError()
    error.__context__ = KeyError()
    assert "KeyError" in described(error)
    error.__suppress_context__ = True
    assert "KeyError" not in described(error)
