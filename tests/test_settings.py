from dataclasses import FrozenInstanceError, fields

import pytest

from shared.settings import Settings, SettingsError


def test_defaults_hold_where_a_variable_is_missing_or_empty() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"MAX_PARTS": "", "UNRELATED": "x"}) == Settings()


def test_values_are_read_by_type() -> None:
    settings = Settings.from_environment(
        {"MAX_PARTS": "7", "ANONYMOUS_ACCESS": "True", "PUBLIC_BASE_URL": "https://dicom.example.org"}
    )
    assert (settings.max_parts, settings.anonymous_access) == (7, True)
    assert settings.public_base_url == "https://dicom.example.org"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MAX_PARTS", "0"),
        ("MAX_PARTS", "-1"),
        ("MAX_PARTS", "1e3"),
        ("ANONYMOUS_ACCESS", "yes"),
        ("OPERATION_RETENTION_DAYS", "0"),
        ("OPERATION_RETENTION_DAYS", "36501"),  # no date is as long ago as some numbers say
        ("BACKUP_RETENTION_DAYS", "999999999999"),
    ],
)
def test_the_error_for_an_invalid_value_names_its_setting(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({name: text})


VIEWER = "https://viewer.example.org"


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", frozenset()),
        (" , ", frozenset()),
        (f"{VIEWER}, http://localhost:3000 ,", {VIEWER, "http://localhost:3000"}),
        ("HTTPS://Viewer.example.org", {VIEWER}),
        ("http://[::1]:8080", {"http://[::1]:8080"}),
        ("*", {"*"}),
        (f"*,{VIEWER}", {"*", VIEWER}),
    ],
)
def test_origins_are_separated_by_commas(text: str, origins: set[str]) -> None:
    assert Settings.from_environment({"CORS_ORIGINS": text}).cors_origins == origins


@pytest.mark.parametrize(
    "text",
    [
        f"{VIEWER}/",
        f"{VIEWER}/app",
        "viewer.example.org",
        "https://*.example.org",
        "null",
        "ftp://x",
        f"{VIEWER} http://x",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="CORS_ORIGINS"):
        Settings.from_environment({"CORS_ORIGINS": text})


def test_hosts_that_may_be_told_are_separated_by_commas() -> None:
    settings = Settings.from_environment(
        {"SUBSCRIPTION_HOSTS": "Events.example.org, *.a-b.net,*,10.1.0.0/16,fd00::/8,::1,"}
    )
    assert settings.subscription_hosts == ("events.example.org", "*.a-b.net", "*", "10.1.0.0/16", "fd00::/8", "::1")


@pytest.mark.parametrize(
    "text", ["https://a.example.org", "a.example.org:443", "a.*.org", "*a.org", "10.1.0.1/16", "a b", "."]
)
def test_a_host_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="SUBSCRIPTION_HOSTS"):
        Settings.from_environment({"SUBSCRIPTION_HOSTS": f"b.example.org,{text}"})


@pytest.mark.parametrize("text", ["sts.example.org", "http://sts.example.org", "https://", "https://[", "file:///etc"])
def test_the_authority_must_be_an_https_url(text: str) -> None:
    with pytest.raises(SettingsError, match="AUTHORITY must be an https URL"):
        Settings.from_environment({"AUTHORITY": text})


@pytest.mark.parametrize("text", ["dicom.example.org", "localhost:7071", "ftp://x", "https://", "https://[", "/"])
def test_the_base_url_must_be_an_http_url(text: str) -> None:
    with pytest.raises(SettingsError, match="PUBLIC_BASE_URL must be a URL such as"):
        Settings.from_environment({"PUBLIC_BASE_URL": text})


def test_urls_lose_a_trailing_slash_and_audiences_are_separated_by_commas() -> None:
    settings = Settings.from_environment(
        {"AUTHORITY": "http://localhost:1/", "AUDIENCE": "api://dicom, other,", "PUBLIC_BASE_URL": "http://localhost/"}
    )
    assert (settings.authority, settings.public_base_url) == ("http://localhost:1", "http://localhost")
    assert settings.audience == ("api://dicom", "other")


AUTHORITY = {"AUTHORITY": "https://sts.example.org"}
AUDIENCE = {"AUDIENCE": "api://dicom"}
ANONYMOUS = {"ANONYMOUS_ACCESS": "true"}


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({}, "Nobody can sign in"),
        (AUTHORITY, "Nobody can sign in"),
        (AUTHORITY | {"AUDIENCE": " , "}, "Nobody can sign in"),
        (AUDIENCE, "Nobody can sign in"),
        (AUTHORITY | AUDIENCE | ANONYMOUS, "choose one of the two"),
        (AUTHORITY | ANONYMOUS, "choose one of the two"),
        (AUDIENCE | ANONYMOUS, "choose one of the two"),
    ],
)
def test_settings_that_do_not_say_who_may_sign_in_have_a_problem(environment: dict[str, str], problem: str) -> None:
    assert problem in (Settings.from_environment(environment).sign_in_problem() or "")


@pytest.mark.parametrize("environment", [AUTHORITY | AUDIENCE, ANONYMOUS])
def test_settings_that_say_who_may_sign_in_have_no_problem(environment: dict[str, str]) -> None:
    assert Settings.from_environment(environment).sign_in_problem() is None


def test_the_archive_is_closed_to_everyone_unless_opened() -> None:
    assert Settings().anonymous_access is False


def test_settings_cannot_be_changed_and_each_has_a_meaning() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().max_parts = 1  # type: ignore[misc]
    assert all(setting.metadata["meaning"].endswith(".") for setting in fields(Settings))
