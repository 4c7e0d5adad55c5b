"""An archive that is reached by a managed identity: over https, with tokens from an identity endpoint."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from local import azurite
from local.azurite import ROOT
from local.ports import free_ports
from tests.support.app_process import app_process
from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.served_instances import dataset, new_uid, part10, path_of
from tests.support.token_issuer import rsa_key

CLIENT_ID = "4f5e2c58-0000-4000-8000-000000000001"
SECRET = "header-of-the-identity-endpoint"  # noqa: S105 -- of this test alone


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that nobody but this test trusts, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    key, name, now = (
        rsa_key("certificate"),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")]),
        datetime.now(UTC),
    )
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(signed.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


class IdentityEndpoint(BaseHTTPRequestHandler):
    """App Service's endpoint for managed identities: a token for the requested resource, if the header is right."""

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        is_known = self.headers["X-IDENTITY-HEADER"] == SECRET and asked.get("client_id") == [CLIENT_ID]
        now = int(time.time())
        claims = {
            "iss": "https://sts.windows.net/tenant/",
            "aud": asked["resource"][0],
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
        }
        answer = {
            "access_token": jwt.encode(claims, rsa_key("first"), "RS256"),
            "expires_on": now + 3600,
            "resource": asked["resource"][0],
            "token_type": "Bearer",
        }
        body = json.dumps(answer if is_known else {"message": "no such identity"}).encode()
        self.send_response(200 if is_known else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def environment(certificate: tuple[Path, Path]) -> Iterator[dict[str, str]]:
    """The environment of a process that has an identity, and the settings of an archive that it reaches with it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), IdentityEndpoint)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    port = free_ports(3)
    options = ("--oauth", "basic", "--cert", str(certificate[0]), "--key", str(certificate[1]))
    try:
        with azurite.running(port, None, *options):
            yield {
                "STORAGE_CONNECTION_STRING": "",
                "STORAGE_BLOB_ENDPOINT": f"https://127.0.0.1:{port}/{azurite.ACCOUNT}",
                "STORAGE_TABLE_ENDPOINT": f"https://127.0.0.1:{port + 2}/{azurite.ACCOUNT}",
                "IDENTITY_CLIENT_ID": CLIENT_ID,
                "IDENTITY_ENDPOINT": f"http://127.0.0.1:{server.server_port}/token",
                "IDENTITY_HEADER": SECRET,
                "SSL_CERT_FILE": str(certificate[0]),
            }
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fsck(environment: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "local.fsck"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


async def test_store_retrieve_search_check_and_delete(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    study = new_uid()
    images = [dataset(StudyInstanceUID=study) for _ in range(3)]
    with app_process(free_ports(1), "", tmp_path / "log") as process:
        await process.wait_until_healthy()
        async with httpx.AsyncClient(base_url=process.base_url, timeout=60) as client:
            stored = await client.post(
                "/studies", content=multipart(list(map(part10, images))), headers={"Content-Type": MULTIPART_DICOM}
            )
            assert stored.status_code == 200, stored.text
            frame = await client.get(f"{path_of(images[0])}/frames/1?accept=application/octet-stream")
            assert frame.content == images[0].PixelData
            found = await client.get("/studies", params={"StudyInstanceUID": study})
            assert found.json()[0]["00201208"]["Value"] == [3]
            status, printed = fsck(environment)
            assert (status, printed.partition(" blobs")[0]) == (0, "0 differences in 1 studies, 3 instances, 3")
            assert (await client.delete(f"/studies/{study}")).status_code == 204
            assert (await client.get("/studies")).status_code == 204
    assert "0 differences in 0 studies, 0 instances, 0 blobs" in fsck(environment)[1]


def test_an_identity_that_does_not_exist(environment: dict[str, str]) -> None:
    status, printed = fsck({**environment, "IDENTITY_CLIENT_ID": "another"})
    assert status == 2
    assert "no such identity" in printed
    assert printed.endswith("Storage does not answer.\n")
