"""What a real browser does with the answers: pages of another origin read them, and stored scripts do not run."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.conftest import serving
from tests.support.browser import CHROMIUM, shown
from tests.support.served_instances import dataset, part10, path_of
from tests.support.token_issuer import AUDIENCE, OWNER, issuing, token

DICOM = {"Content-Type": "application/dicom"}
CDA, PDF = "1.2.840.10008.5.1.4.1.1.104.2", "1.2.840.10008.5.1.4.1.1.104.1"
SCRIPTED = (
    b'<html xmlns="http://www.w3.org/1999/xhtml"><body><p id="said">nothing</p>'
    b"<script>document.getElementById('said').textContent = 'ran'</script></body></html> "
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


@contextmanager
def page() -> Iterator[tuple[str, list[str]]]:
    """A separate origin, and the page that it serves, which may be changed."""
    pages = [""]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages[0].encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", pages
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(document: str) -> str:
    found = re.search(r'id="said">([^<]*)<', document)
    assert found, document
    return found[1]


READING = """
<p id="said">nothing</p>
<script>
const say = text => document.getElementById("said").textContent = text;
const headers = {Authorization: "Bearer TOKEN", Accept: "application/dicom+json", traceparent: "00-0-0-00"};
const run = async () => {
    const first = await fetch("URL/metadata", {headers});
    const tag = first.headers.get("ETag");
    const study = (await first.json())[0]["0020000D"].Value[0];
    const range = {Accept: "application/octet-stream", Range: "bytes=0-3"};
    const part = await fetch("URL/frames/1", {headers: {...headers, ...range}});
    const other = await fetch("URL/metadata", {headers: {...headers, Authorization: "Bearer x"}});
    const deleted = await fetch("URL", {method: "DELETE", headers});
    say([first.status, tag.length, study, part.status, part.headers.get("Content-Range"), other.status,
         other.headers.get("WWW-Authenticate").slice(0, 6), deleted.status].join(" "));
};
run().catch(error => say("failed: " + error));
</script>
"""


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_page_of_another_origin_reads_and_deletes_with_a_token(tmp_path: Path, is_allowed: bool) -> None:
    image = dataset()
    with (
        page() as (origin, pages),
        issuing() as issuer,
        serving(
            tmp_path / "log",
            ANONYMOUS_ACCESS="false",
            AUTHORITY=issuer.url,
            AUDIENCE=AUDIENCE,
            CORS_ORIGINS=origin if is_allowed else "https://viewer.example.org",
        ) as server,
    ):
        url = f"{server.base_url}/v2{path_of(image)}"
        headers = {"Authorization": f"Bearer {token(**OWNER)}", **DICOM}
        assert httpx.post(f"{server.base_url}/v2/studies", content=part10(image), headers=headers).status_code == 200
        tag = httpx.get(f"{url}/metadata", headers=headers).headers["ETag"]
        pages[0] = READING.replace("URL", url).replace("TOKEN", token(**OWNER))
        answer = said(shown(origin, tmp_path / "profile"))
        if is_allowed:
            assert answer == f"200 {len(tag)} {image.StudyInstanceUID} 206 bytes 0-3/16 401 Bearer 204"
        else:
            assert answer.startswith("failed: TypeError")
            assert httpx.get(f"{url}/metadata", headers=headers).status_code == 200


def test_what_is_stored_is_shown_and_runs_no_script(tmp_path: Path) -> None:
    image = dataset()
    document = dataset(
        SOPClassUID=CDA, MIMETypeOfEncapsulatedDocument="text/xml", EncapsulatedDocument=SCRIPTED, PixelData=None
    )
    with page() as (origin, pages), serving(tmp_path / "log") as server:
        for stored in (image, document):
            assert httpx.post(f"{server.base_url}/v2/studies", content=part10(stored), headers=DICOM).is_success
        url = f"{server.base_url}/v2{path_of(document)}/rendered?accept=text/xml"
        assert httpx.get(url).headers["Content-Type"] == "text/xml"
        profile = tmp_path / "profile"
        assert said(shown(url, profile)) == "nothing"
        # The same document runs without the headers: so it is they that prevent it.
        pages[0] = SCRIPTED.decode()
        assert said(shown(origin, profile)) == "ran"
        picture = f"{server.base_url}/v2{path_of(image)}/rendered"
        pages[0] = f"""<p id="said">nothing</p><script>
            const picture = new Image();
            picture.onload = () => document.getElementById("said").textContent = picture.naturalWidth;
            picture.src = "{picture}";</script>"""
        assert said(shown(origin, profile)) == "4"
        assert "<img" in shown(picture, profile)
