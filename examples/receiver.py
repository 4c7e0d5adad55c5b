"""Receives events of studies that have settled: settled_studies.py and imaging_study.py say what becomes of them.

It serves http://localhost:PORT/; a proxy in front of it may serve https to others. DICOMWEB_SECRET is the secret that
the subscription was made with. DICOMWEB_URL and DICOMWEB_TOKEN mean what they do for volume.py.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from dicomweb_client import DICOMwebClient
from pydicom.datadict import tag_for_keyword
from requests import HTTPError
from standardwebhooks import Webhook, WebhookVerificationError

from examples.volume import connect

Metadata = dict[str, Any]

STUDY_SETTLED = "Microsoft.HealthcareApis.DicomStudySettled"
MAX_BODY_BYTES = 1_000_000


def serve(port: int, settled: Callable[[str, list[Metadata]], None]) -> None:
    """Call `settled` with each study that has settled and its instances' metadata, none where it was deleted; forever.

    An event is answered once `settled` has returned. If that fails, or the process dies, the service sends it again.
    """
    if not (secret := os.environ.get("DICOMWEB_SECRET")):
        raise SystemExit("DICOMWEB_SECRET must be the subscription's secret.")
    webhook, client, one_at_a_time, last = Webhook(secret), connect(), Lock(), ""

    class Receiver(BaseHTTPRequestHandler):
        timeout = 30

        def do_OPTIONS(self) -> None:
            """Allow events of any origin: the signature tells whose they are."""
            self.send_response(200)
            self.send_header("WebHook-Allowed-Origin", "*")
            self.end_headers()

        def do_POST(self) -> None:
            """Take an event, or a batch of them."""
            nonlocal last
            length = int(self.headers.get("Content-Length", 0))
            if not 0 < length <= MAX_BODY_BYTES:
                return self.send_error(413)
            try:
                events = webhook.verify(self.rfile.read(length), dict(self.headers))
            except (WebhookVerificationError, ValueError):  # ValueError: a header that is no signature
                return self.send_error(401)
            status = 500
            try:
                # A study that takes longer than the service waits is sent again, and is done when its turn comes.
                with one_at_a_time:
                    if self.headers["webhook-id"] != last:
                        for study in settled_studies(events):
                            settled(study, read_metadata(client, study))
                        last = self.headers["webhook-id"]
                status = 204
            finally:
                self.send_response(status)
                self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", port), Receiver) as server, suppress(KeyboardInterrupt):
        print(f"Receiving events at http://localhost:{port}/", flush=True)
        server.serve_forever()


def settled_studies(events: Any) -> list[str]:
    """The studies that have settled by an event, or by a batch of them."""
    several = events if isinstance(events, list) else [events]
    return [event["data"]["studyInstanceUid"] for event in several if event["type"] == STUDY_SETTLED]


def read_metadata(client: DICOMwebClient, study: str) -> list[Metadata]:
    """The metadata of each instance of a study, in the DICOM JSON Model; [] where there is no such study."""
    try:
        return client.retrieve_study_metadata(study)
    except HTTPError as error:
        if error.response is None or error.response.status_code != 404:
            raise
        return []


def value(instance: Metadata, keyword: str) -> Any:
    """The first value of an attribute, None where it has none: as it is sent, whatever that is."""
    return (instance.get(f"{tag_for_keyword(keyword):08X}", {}).get("Value") or [None])[0]
