"""``python -m tests.support.liveness PORT``: how long another client waits, in a process that the load does not slow.

Asks for /health/live every 100 ms until its input ends, whether or not it has been answered, then prints the
milliseconds of each answer as JSON.
"""

import asyncio
import json
import sys
import time

_INTERVAL_SECONDS = 0.1
_LAST_SECONDS = 60
_REQUEST = b"GET /health/live HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


async def main(port: int) -> None:
    """Ask, and print."""
    end = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    asked = []
    while not end.done():
        asked.append(asyncio.create_task(_milliseconds(port)))
        await asyncio.wait([end], timeout=_INTERVAL_SECONDS)
    await asyncio.wait(asked, timeout=_LAST_SECONDS)
    waits = [one.result() if one.done() else _LAST_SECONDS * 1000 for one in asked]
    sys.stdout.write(json.dumps([wait for wait in waits if wait is not None]))


async def _milliseconds(port: int) -> float | None:
    """How long an answer takes, or the end of the server, if that comes first; None where there is no server."""
    began = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return None
    try:
        writer.write(_REQUEST)
        await reader.read()
    except OSError:
        pass
    finally:
        writer.close()
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
