"""What the doctor finds that a served app on this machine does not show: TLS, and names with passwords."""

import httpx
import pytest

from dicomweb_cli.connection import Connection
from dicomweb_cli.doctor import examine

REQUIRES_SIGN_IN = httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="Orthanc"'}, json={"detail": "No."})


async def examined(url: str, capsys: pytest.CaptureFixture[str], auth: tuple[str, str] | None = None) -> str:
    """What is printed of a server that answers everything with 401."""
    transport = httpx.MockTransport(lambda _: REQUIRES_SIGN_IN)
    async with httpx.AsyncClient(transport=transport, auth=auth) as client:
        assert not await examine(Connection(client, url))
    return capsys.readouterr().out


@pytest.mark.parametrize("url", ["http://dicom.example.org/v2", "http://192.0.2.1:7071/v2"])
async def test_a_url_without_tls_is_wrong(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = await examined(url, capsys)
    assert f"URL        wrong    {url} is without TLS" in output
    assert "sign-in    wrong    The service requires it. Give name and password in the URL" in output


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:7071", "[::1]"])
async def test_this_machine_needs_no_tls(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"URL        ok       http://{host}/v2 answers.\n" in await examined(f"http://{host}/v2", capsys)


async def test_a_refused_password_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    output = await examined("https://dicom.example.org/rs", capsys, ("me", "open-sesame"))
    assert "URL        ok       https://dicom.example.org/rs answers, by TLS.\n" in output
    assert "Name and password are refused: No. Give name and password in the URL" in output
    assert "sesame" not in output
