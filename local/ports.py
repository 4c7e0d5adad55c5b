"""TCP ports of this machine: which are taken, and which are free."""

import secrets
import socket
from typing import Final

# Below the ports that Linux (from 32768) and macOS (from 49152) give to the client ends of connections: one of those
# may be free now and in use a moment later.
_FIRST: Final = 20_000
_END: Final = 32_000


def is_taken(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> int:
    """The first of `count` adjacent ports that nothing listens on."""
    while True:
        first = _FIRST + secrets.randbelow(_END - _FIRST - count)
        if not any(map(is_taken, range(first, first + count))):
            return first
