"""Errors as the log describes them: what and where, with no message but our own."""

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


def test_type_place_and_cause_are_logged_but_no_message() -> None:
    with pytest.raises(KeyError) as caught:
        failing("Roe^Richard")
    text = described(caught.value)
    assert text.startswith("KeyError at tests/test_failures.py:")
    assert "; from ValueError at" in text
    assert "Roe" not in text
    assert "\n" not in text


def test_an_error_of_storage_is_logged_as_status_and_code() -> None:
    error = HttpResponseError("PatientName=Roe^Richard")
    error.status_code, error.error_code = 400, "InvalidInput"  # type: ignore[attr-defined]
    assert described(error) == "HttpResponseError (400 InvalidInput) at an unknown place"


def test_our_own_messages_are_logged() -> None:
    assert described(SettingsError("MAX_PARTS must be a number.")) == "SettingsError: MAX_PARTS must be a number."
    assert described(Unavailable("Storage does not answer.")) == "Unavailable: Storage does not answer."


def test_a_group_is_logged_as_its_first_error_and_a_loop_of_causes_ends() -> None:
    group = ExceptionGroup("Roe^Richard", [ValueError("Roe^Richard"), OSError()])
    assert "; from ValueError" in described(group)
    error = ValueError()
    error.__context__ = KeyError()
    error.__context__.__context__ = error
    assert described(error).count("; from ") < 10


def test_a_suppressed_context_is_not_logged() -> None:
    error = ValueError()
    error.__context__ = KeyError()
    assert "KeyError" in described(error)
    error.__suppress_context__ = True
    assert "KeyError" not in described(error)
