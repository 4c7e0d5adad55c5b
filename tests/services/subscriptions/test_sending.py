"""What is sent: CloudEvents that are signed, to nobody who has not said that it takes them."""

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cloudevents.v1.http import CloudEvent, from_json
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import NameOID
from standardwebhooks import Webhook, WebhookVerificationError

from shared.errors import BadRequest, NotFound
from shared.services.subscriptions import targets as targets_module
from shared.services.subscriptions.sending import signature
from shared.services.subscriptions.subscribe import deliveries as deliveries_of
from shared.services.subscriptions.subscribe import restart
from shared.services.subscriptions.targets import open_targets, retry_seconds
from shared.storage.archive import Archive
from shared.web.event_targets import AllowedTargets
from shared.web.subscription_request import RestartRequest
from tests.support.feeds import commit_of, feed_of, leave
from tests.support.http_server import http_server
from tests.support.subscribers import Deliveries, Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 -- the one of Standard Webhooks' examples
ANYWHERE = AllowedTargets.of(("*", "127.0.0.1", "localhost"))


async def test_an_event(archive: Archive, deliveries: Deliveries, receiver: Receiver) -> None:
    subscription = await deliveries.subscribe(receiver, secret=SECRET)
    await leave(archive, commit_of())
    await deliveries.wake()
    (entry,) = await feed_of(archive)
    (request,) = receiver.requests
    assert request.headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert request.headers["WebHook-Request-Origin"] == "dicom.example.org"
    assert request.headers["webhook-id"] == f"{subscription}-1"
    assert not {"Cookie", "Authorization"} & request.headers.keys()
    event: CloudEvent = from_json(request.body)
    uids = entry.change.identifiers
    assert event["type"] == "Microsoft.HealthcareApis.DicomImageCreated"
    assert (event["id"], event["source"]) == ("1", "https://dicom.example.org/v2")
    assert event["subject"] == f"dicom.example.org/v2/{uids.path}"
    assert datetime.fromisoformat(event["time"]) == entry.stamp
    assert event.data == {
        "partitionName": "Microsoft.Default",
        "imageStudyInstanceUid": uids.study_instance_uid,
        "imageSeriesInstanceUid": uids.series_instance_uid,
        "imageSopInstanceUid": uids.sop_instance_uid,
        "serviceHostName": "dicom.example.org",
        "sequenceNumber": 1,
    }


async def test_signatures(archive: Archive, deliveries: Deliveries, receiver: Receiver) -> None:
    await deliveries.subscribe(receiver, secret=SECRET, maxEventsPerBatch=3)
    await leave(archive, commit_of(count=5))
    await deliveries.wake()
    first, second = receiver.requests
    assert first.headers["Content-Type"] == "application/cloudevents-batch+json; charset=utf-8"
    for request in receiver.requests:
        assert Webhook(SECRET).verify(request.body, dict(request.headers)) == json.loads(request.body)
        with pytest.raises(WebhookVerificationError):
            Webhook("whsec_" + base64.b64encode(bytes(32)).decode()).verify(request.body, dict(request.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(first.body, dict(second.headers))


def test_the_signature_of_the_standards_example() -> None:
    given = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signature(SECRET, *given) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_secret_is_made_where_there_is_none(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    secrets = set()
    for _ in range(2):
        row = await archive.subscriptions.read(await deliveries.subscribe(receiver))
        assert row is not None
        assert row.subscription.secret not in repr(row)
        secrets.add(row.subscription.secret)
    assert len(secrets) == 2
    assert all(len(base64.b64decode(secret.removeprefix("whsec_"))) == 32 for secret in secrets)


@pytest.mark.parametrize("allows", [None, "other.example.org", ""])
async def test_who_does_not_allow_it_is_not_told(
    archive: Archive, deliveries: Deliveries, receiver: Receiver, allows: str | None
) -> None:
    receiver.allows = allows
    with pytest.raises(BadRequest, match="OPTIONS"):
        await deliveries.subscribe(receiver)
    assert receiver.origins == ["dicom.example.org"]
    assert await archive.subscriptions.read_all() == []


@pytest.mark.parametrize("allows", ["*", "dicom.example.org", "DICOM.example.org"])
async def test_who_allows_it_is(deliveries: Deliveries, receiver: Receiver, allows: str) -> None:
    receiver.allows = allows
    assert await deliveries.subscribe(receiver)


async def test_a_restart_asks_again(archive: Archive, deliveries: Deliveries, receiver: Receiver) -> None:
    subscription = await deliveries.subscribe(receiver)
    receiver.allows = None
    with pytest.raises(BadRequest, match="OPTIONS"):
        await restart(archive, deliveries.settings, subscription, RestartRequest(None))
    with pytest.raises(NotFound):
        await restart(archive, deliveries.settings, "0" * 32, RestartRequest(None))
    receiver.allows = "*"
    with pytest.raises(BadRequest, match="at most 0"):
        await restart(archive, deliveries.settings, subscription, RestartRequest(1))


async def test_a_host_that_is_no_longer_allowed_is_told_nothing(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await deliveries.subscribe(receiver)
    deliveries.settings = replace(deliveries.settings, subscription_hosts=("events.example.org",))
    await leave(archive, commit_of())
    await deliveries.wake()
    assert receiver.requests == []
    found = await deliveries_of(archive, subscription)
    assert (found["status"], "SUBSCRIPTION_HOSTS" in found["reason"]) == ("failing", True)


@asynccontextmanager
async def answering(raw: bytes, *, ends: bool = True, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The URL of a server that answers with these bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        if not ends:
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("raw", "status", "reason"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx", 200, ""),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n", 200, ""),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h\r\nConnection: upgrade\r\n\r\n", 101, "It answered 101."),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 202, ""),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, "It answered 404."),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 301, "It answered 301."),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000 + b"\r\n\r\n", None, "It cannot be reached"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", None, "It cannot be reached"),
        (b"", None, "It cannot be reached"),
    ],
)
async def test_only_the_head_of_an_answer_counts(raw: bytes, status: int | None, reason: str) -> None:
    async with answering(raw, ends=status is None) as url, open_targets(ANYWHERE) as targets:
        async with asyncio.timeout(5):
            answer = await targets.request("POST", url, {}, b"{}")
    assert (answer.status, answer.reason[: len(reason) or None]) == (status, reason)


async def test_cookies_and_proxies_play_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    seen: list[Mapping[str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers)
        return web.Response(headers={"Set-Cookie": "a=b; Path=/"})

    async with http_server("/", handle) as url, open_targets(ANYWHERE) as targets:
        for _ in range(2):
            assert (await targets.request("POST", url.replace("127.0.0.1", "localhost"), {}, b"{}")).is_success
    assert all("Cookie" not in headers for headers in seen)


async def test_what_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets_module, "_SECONDS", 1)
    async with answering(b"x") as url, open_targets(ANYWHERE) as targets:  # a handshake of TLS that has no answer
        answer = await targets.request("POST", url.replace("http:", "https:"), {}, b"{}")
        assert (answer.status, answer.reason) == (None, "It did not answer within 1 seconds.")

    async def resolve(*_: Any, **__: Any) -> Any:
        raise socket.gaierror

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with open_targets(ANYWHERE) as targets:
        for where, reason in (
            (url, "cannot be reached"),
            ("https://nowhere.invalid/", "cannot be resolved"),
            ("http://events.example.org/", "https"),
        ):
            assert reason in (await targets.request("POST", where, {}, b"{}")).reason


async def test_a_certificate_of_its_own_making_is_not_accepted(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    (tmp_path / "key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "certificate").write_bytes(certificate.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", tls=context) as url, open_targets(ANYWHERE) as targets:
        answer = await targets.request("POST", url.replace("127.0.0.1", "localhost"), {}, b"{}")
    assert (answer.status, answer.reason) == (None, "Its certificate is not accepted, or it does not speak TLS.")


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["fe80::1%eth0"], ["::ffff:127.0.0.1"]])
async def test_a_name_that_leads_inside_is_not_followed(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    loop, asked = asyncio.get_running_loop(), []

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    async with open_targets(ANYWHERE) as targets:
        answer = await targets.request("POST", "https://events.example.org/", {}, b"{}")
    assert asked == ["events.example.org"]
    assert answer.reason == "The host has an address that is neither public nor in a network of SUBSCRIPTION_HOSTS."
    assert not any(address in answer.reason for address in addresses)


async def test_a_name_is_resolved_once_for_a_connection_which_goes_there(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, asked = asyncio.get_running_loop(), []
    port = int(receiver.url.split(":")[2].split("/")[0])

    async def resolve(host: str, _: int, **__: Any) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1" if len(asked) == 1 else "10.0.0.1", port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    allowed = AllowedTargets.of(("localhost",))
    async with open_targets(allowed) as targets:
        url = f"http://localhost:{port}/events"
        assert (await targets.request("POST", url, {}, b'{"type":"x"}')).is_success
        assert len(asked) == 1
    async with open_targets(allowed) as targets:
        assert not (await targets.request("POST", url, {}, b"{}")).is_success


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0),
        ("120", 120),
        ("999999999999999999999", 3600),
        ("-5", 0),
        ("soon", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 3600),
        ("Wed, 21 Oct 2099 07:28:00", 0),
    ],
)
def test_retry_after(header: str, seconds: float) -> None:
    assert retry_seconds(header) == seconds
