from dataclasses import FrozenInstanceError, fields

import pytest

from shared.settings import Settings, SettingsError


def test_defaults_hold_where_the_environment_is_silent_or_empty() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"MAX_PARTS": "", "UNRELATED": "x"}) == Settings()


def test_values_are_read_by_type() -> None:
    settings = Settings.from_environment(
        {"MAX_PARTS": "7", "ANONYMOUS_ACCESS": "True", "PUBLIC_BASE_URL": "https://dicom.example.org"}
    )
    assert (settings.max_parts, settings.anonymous_access) == (7, True)
    assert settings.public_base_url == "https://dicom.example.org"


@pytest.mark.parametrize(
    ("name", "text"), [("MAX_PARTS", "0"), ("MAX_PARTS", "-1"), ("MAX_PARTS", "1e3"), ("ANONYMOUS_ACCESS", "yes")]
)
def test_a_value_that_does_not_fit_names_its_setting(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({name: text})


def test_the_archive_is_closed_to_everyone_unless_opened() -> None:
    assert Settings().anonymous_access is False


def test_settings_cannot_be_changed_and_each_has_a_meaning() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().max_parts = 1  # type: ignore[misc]
    assert all(setting.metadata["meaning"].endswith(".") for setting in fields(Settings))
