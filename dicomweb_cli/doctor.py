"""Checks a DICOMweb service and the way to it, one thing after the other, and says what to do."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

import httpx

from dicomweb_cli.connection import CannotGoOn, Connection, reason_of
from dicomweb_cli.round_trip import faults_of_round_trip, why_not_to_store
from dicomweb_cli.service_url import is_service, meant_url, searched, without_version
from dicomweb_cli.sign_in import claims_of, fault_of, how_to_sign_in, rights_of, scope_of
from dicomweb_cli.terminal import OUT, plain, sentence

State = Enum("State", {"OK": "ok", "WRONG": "wrong", "SKIPPED": "skipped"})

_MOST_CLOCK_SECONDS: Final = 60  # what services commonly allow when they check when a token is valid


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check: what was found, and what to do if that is wrong."""

    check: str
    state: State
    what: str
    remedy: str = ""


async def examine(connection: Connection) -> bool:
    """Print what each check finds; return whether nothing is wrong."""
    is_well = True
    async for finding in _findings(connection):
        is_well &= finding.state is not State.WRONG
        OUT.print(
            f"{finding.check:<10} {finding.state.value:<8} {finding.what} {finding.remedy}".rstrip(), soft_wrap=True
        )
    return is_well


async def _findings(connection: Connection) -> AsyncIterator[Finding]:
    """What each check finds, up to the first after which the others make no sense."""
    before = datetime.now(UTC)
    try:
        unsigned = await searched(connection, connection.url, is_signed=False)
    except CannotGoOn as error:
        yield Finding("URL", State.WRONG, sentence(str(error)), _how_to_connect(str(error)))
        return
    now = before + (datetime.now(UTC) - before) / 2
    try:
        answer = await searched(connection, connection.url)
        sign_in = _sign_in(connection, unsigned, answer)
    except CannotGoOn as error:
        answer, sign_in = unsigned, Finding("sign-in", State.WRONG, sentence(str(error)))
    version, health = await _health(connection)
    yield await _url(connection, answer, is_ours=version is not None)
    if not is_service(answer):
        return
    yield health
    yield sign_in
    yield _clock(unsigned, now)
    if sign_in.state is State.WRONG:
        yield Finding("round trip", State.SKIPPED, "It needs a sign-in.")
    else:
        yield await _round_trip(connection)


async def _health(connection: Connection) -> tuple[str | None, Finding]:
    """The version of the service, None if it is another than this project's; and whether it is well."""
    try:
        response = await connection.probe(f"{without_version(connection.url)}/health", is_signed=False)
        document = response.json()
        version, status = document["version"], document["status"]
    except (CannotGoOn, ValueError, LookupError, TypeError):
        return None, Finding("service", State.OK, "It is DICOMweb of another kind: it has no /health of this service.")
    words = plain(f"DICOMweb on Azure Functions, version {version}, {status}.")
    if response.is_success:
        return version, Finding("service", State.OK, words)
    return version, Finding("service", State.WRONG, words, "Its storage does not answer: see docs/operations.md.")


async def _url(connection: Connection, answer: httpx.Response, *, is_ours: bool) -> Finding:
    def wrong(what: str, remedy: str) -> Finding:
        return Finding("URL", State.WRONG, what, remedy)

    url = httpx.URL(connection.url)
    if answer.is_redirect:
        elsewhere = plain(answer.headers.get("Location", ""))
        return wrong(f"{url} redirects to {elsewhere}.", "Give the URL of the DICOMweb service there.")
    if answer.is_server_error:
        reason = sentence(reason_of(answer))
        return wrong(f"{url} answers {answer.status_code}: {reason}", "Try again, and see the service's log.")
    if not is_service(answer):
        meant = await meant_url(connection)
        remedy = f"Did you mean {meant}?" if meant else "Ask who runs the server for the URL of its DICOMweb service."
        return wrong(
            f"No DICOMweb service answers at {url}: {answer.status_code} {sentence(reason_of(answer))}", remedy
        )
    if is_ours and without_version(connection.url) == connection.url:
        return wrong(f"{url} names no version, and so is that of v1.", f"Did you mean {url}/v2?")
    if url.scheme != "https" and not _is_here(url.host):
        return wrong(f"{url} is without TLS: whoever is on the way reads tokens and images.", "Give an https URL.")
    return Finding("URL", State.OK, f"{url} answers{', by TLS' if url.scheme == 'https' else ''}.")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _how_to_connect(trouble: str) -> str:
    """What to do where there is no connection, by the words of OpenSSL and the operating system."""
    for words, remedy in _CONNECTION_REMEDIES.items():
        if words in trouble:
            return remedy
    return "See that the service runs, and that no firewall or proxy is in the way."


_CONNECTION_REMEDIES: Final = {
    "CERTIFICATE_VERIFY_FAILED": "Set SSL_CERT_FILE to the certificates of your authority, or renew the server's.",
    "SSL": "It does not speak TLS there: see port and proxy, or give an http URL if it is on this machine.",
    "Name or service not known": "See that the host is spelled right, and that this network knows it.",
    "name resolution": "See that this machine has a network and a name server.",
}


def _sign_in(connection: Connection, unsigned: httpx.Response, answer: httpx.Response) -> Finding:
    """What the answer to a signed request says, beside that to an unsigned one."""

    def wrong(what: str, remedy: str) -> Finding:
        return Finding("sign-in", State.WRONG, what, remedy)

    kind, _, token = answer.request.headers.get("Authorization", "").partition(" ")
    claims = claims_of(token) if kind == "Bearer" else None
    if unsigned.is_success:
        return Finding("sign-in", State.OK, "None is needed: whoever reaches the service may use it.")
    if answer.is_success:
        return Finding("sign-in", State.OK, f"Accepted{f', with {rights_of(claims)}' if claims else ''}.")
    reason = sentence(reason_of(answer))
    if kind == "Bearer":
        scope, is_known = scope_of(connection.url, connection.credentials), answer.status_code == HTTPStatus.FORBIDDEN
        what, remedy = fault_of(claims, reason, scope, is_known=is_known)
        return wrong(f"The token is refused: {reason} {what}", remedy)
    challenge = answer.headers.get("WWW-Authenticate", "")
    what = f"Name and password are refused: {reason}" if kind else "The service requires it."
    return wrong(what, how_to_sign_in(connection.url, connection.credentials, challenge))


def _clock(answer: httpx.Response, now: datetime) -> Finding:
    """How this machine's clock, which showed `now` when the server answered, differs from the server's."""
    try:
        ahead = (now - parsedate_to_datetime(answer.headers["Date"])).total_seconds()
    except (LookupError, ValueError, TypeError):  # no date, or one without a zone
        return Finding("clock", State.SKIPPED, "The server does not say what time it is.")
    if abs(ahead) <= _MOST_CLOCK_SECONDS:
        return Finding("clock", State.OK, "It agrees with the server's.")
    return Finding(
        "clock",
        State.WRONG,
        f"This machine is {abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'} the server.",
        "Set the one that is wrong (timedatectl set-ntp true): tokens are refused before and after their time.",
    )


async def _round_trip(connection: Connection) -> Finding:
    try:
        if why := await why_not_to_store(connection):
            return Finding("round trip", State.SKIPPED, why)
    except CannotGoOn as error:
        return Finding("round trip", State.WRONG, sentence(str(error)))
    under_way = asyncio.create_task(faults_of_round_trip(connection))
    try:
        faults = await asyncio.shield(under_way)
    except asyncio.CancelledError:
        # After Ctrl-C it goes on to its delete: a store that is broken off may be carried out after one.
        await under_way
        raise
    if faults:
        return Finding("round trip", State.WRONG, " ".join(faults), "See the service's log.")
    return Finding("round trip", State.OK, "An instance was stored, found, retrieved as it was, and deleted.")
