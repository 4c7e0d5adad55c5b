"""Change feeds of several kinds of servers, in memory: what a client may meet."""

import json
from collections.abc import Callable, Iterable
from typing import Any, Literal

import httpx

from dicomweb_cli.connection import Connection

Kind = Literal["v1", "v2", "v2 of Microsoft"]

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"


def entry(sequence: int, action: str = "create", sop_class: str | None = CT, day: int = 1) -> dict[str, Any]:
    """An entry, of noon on a day of November 2026."""
    made = {
        "sequence": sequence,
        "partitionName": "Microsoft.Default",
        "studyInstanceUid": "1.2.3",
        "seriesInstanceUid": "1.2.3.4",
        "sopInstanceUid": f"1.2.3.4.{sequence}",
        "action": action,
        "timestamp": f"2026-11-{day:02}T12:00:00.1234567Z",
        "state": "current",
    }
    return {**made, "sopClassUid": sop_class, "modality": "CT"} if sop_class else made


class FeedServer:
    """A feed with these entries at `url`; `requests` are those it got, `faults` are given instead of the next answers.

    Its answers to what is the latest have a `warning`; `after_page` is called once the answer with a page is made.

    "v1" pages by windows of sequence numbers and knows no filters. "v2" pages by entries after a sequence number,
    filters, and links to what follows. "v2 of Microsoft" knows neither `after` nor filters, but time.
    """

    def __init__(self, kind: Kind, entries: Iterable[dict[str, Any]] = (), url: str = "") -> None:
        self.kind = kind
        self.entries = list(entries)
        self.url = url or f"https://dicom.example.org/{kind[:2]}"
        self.faults: list[httpx.Response | Exception] = []
        self.requests: list[httpx.Request] = []
        self.warning = ""
        self.after_page: Callable[[], None] = lambda: None
        self.connection = Connection(httpx.AsyncClient(transport=httpx.MockTransport(self._answer)), self.url)

    @property
    def pages(self) -> list[dict[str, str]]:
        """The queries of the requests for pages."""
        return [dict(request.url.params) for request in self.requests if request.url.path.endswith("/changefeed")]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            return fault
        query = request.url.params
        assert query["includeMetadata"] == "false"
        if request.url.path.endswith("/changefeed/latest"):
            latest = json.dumps(self.entries[-1] if self.entries else None)
            return httpx.Response(200, content=latest, headers={"Warning": self.warning} if self.warning else {})
        assert request.url.path.endswith("/changefeed")
        answer = self._page(query)
        self.after_page()
        return answer

    def _page(self, query: httpx.QueryParams) -> httpx.Response:
        limit = int(query.get("limit", 10))
        if not 1 <= limit <= (100 if self.kind == "v1" else 200):
            return httpx.Response(400, text="limit")
        if self.kind == "v1":
            first = int(query.get("offset", 0)) + 1
            return httpx.Response(200, json=[one for one in self.entries if first <= one["sequence"] < first + limit])
        since = query.get("startTime", "").replace("+00:00", "Z")
        timely = [one for one in self.entries if str(one["timestamp"]) >= since]
        if self.kind == "v2 of Microsoft":
            return httpx.Response(200, json=timely[:limit])
        return self._page_after(timely, int(query.get("after", 0)), limit, query)

    def _page_after(
        self, entries: list[dict[str, Any]], after: int, limit: int, query: httpx.QueryParams
    ) -> httpx.Response:
        """What is wanted of the `limit` entries that follow."""
        following = [one for one in entries if one["sequence"] > after]
        looked_at = following[:limit]
        wanted = [
            one
            for one in looked_at
            if query.get("action", one["action"]) == one["action"]
            and query.get("sopClassUid", one.get("sopClassUid")) == one.get("sopClassUid")
        ]
        link = (
            f'<{self.url}/changefeed?after={looked_at[-1]["sequence"]}>; rel="next"' if looked_at != following else ""
        )
        return httpx.Response(200, json=wanted, headers={"Link": link} if link else {})
