"""Leases of blobs: acquired for some time, renewed and released by whoever knows their id."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.support.storage_messages import Answer, Request, StorageError

_TICKS: Final = 10_000_000  # of a second


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease of so many seconds, held until `until` in ticks; `id` is empty where there is none."""

    id: str = ""
    seconds: int = 0
    until: int = 0

    def is_held(self, now: int) -> bool:
        """Whether nobody else may have the blob."""
        return bool(self.id) and now < self.until


NO_LEASE: Final = Lease()


def check_lease(lease: Lease, request: Request, now: int) -> None:
    """Raises StorageError where a request may not change a blob that is leased."""
    given = request.headers.get("x-ms-lease-id")
    if lease.is_held(now):
        if given is None:
            raise StorageError(412, "LeaseIdMissing")
        if given != lease.id:
            raise StorageError(412, "LeaseIdMismatchWithBlobOperation")
    elif given is not None:
        raise StorageError(412, "LeaseLost" if given == lease.id else "LeaseNotPresentWithBlobOperation")


def leased(lease: Lease, request: Request, now: int) -> tuple[Lease, Answer]:
    """The lease after a request about it, and the answer. Raises StorageError."""
    return _ACTIONS[request.headers["x-ms-lease-action"]](lease, request, now)


def _acquire(lease: Lease, request: Request, now: int) -> tuple[Lease, Answer]:
    proposed = request.headers["x-ms-proposed-lease-id"]
    if lease.is_held(now) and proposed != lease.id:
        raise StorageError(409, "LeaseAlreadyPresent")
    seconds = int(request.headers["x-ms-lease-duration"])
    return _begun(proposed, seconds, now), Answer(201, {"x-ms-lease-id": proposed})


def _renew(lease: Lease, request: Request, now: int) -> tuple[Lease, Answer]:
    _check_id(lease, request)
    return _begun(lease.id, lease.seconds, now), Answer(200, {"x-ms-lease-id": lease.id})


def _release(lease: Lease, request: Request, now: int) -> tuple[Lease, Answer]:
    _check_id(lease, request)
    return NO_LEASE, Answer(200)


def _check_id(lease: Lease, request: Request) -> None:
    if request.headers["x-ms-lease-id"] != lease.id:
        raise StorageError(409, "LeaseIdMismatchWithLeaseOperation")


def _begun(lease_id: str, seconds: int, now: int) -> Lease:
    return Lease(lease_id, seconds, now + seconds * _TICKS)


_ACTIONS: Final[Mapping[str, Callable[[Lease, Request, int], tuple[Lease, Answer]]]] = {
    "acquire": _acquire,
    "renew": _renew,
    "release": _release,
}
