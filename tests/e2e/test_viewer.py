"""The OHIF viewer on the service, in a browser: lists, filters, shows and uploads, and neither complains.

With PICTURES=docs/images in the environment, it makes the documentation's pictures again.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import urlopen

import httpx
import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    Route,
    expect,
    sync_playwright,
)

from dicomweb_cli.sample_volumes import ct
from local.ports import free_ports
from local.viewer import VIEWER, configuration
from local.viewer import serving as serving_viewer
from local.viewer_site import sign_in
from tests.conftest import serving
from tests.e2e.viewed_files import PDF_TEXT, as_series, difference, file_of, picture_of, report, stored
from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.token_issuer import AUDIENCE, ISSUER, OWNER, issuing, token

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTS = ("localhost", "127.0.0.1")
SECONDS = 30
POLL_MILLISECONDS = 100
DIFFERENCE = 4  # of 255: the effect of scaling and rounding
PICTURES = {"MR": "viewer-grey", "RGB, and YBR in JPEG 2000": "viewer-colours"}
PICTURE_SIZE, COLOURS = (1024, 576), 96

ARGUMENTS = [
    "--no-sandbox",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]

# The images by study; each is a series.
STUDIES = {
    "CT": [file_of("CT_small.dcm")],
    "MR": [file_of("examples_overlay.dcm")],
    "MR, in four transfer syntaxes": [
        as_series(file_of(f"MR_small{name}.dcm"), f"Series {number}", number)
        for number, name in enumerate(("", "_RLE", "_jp2klossless", "_jpeg_ls_lossless"), 1)
    ],
    "RGB, and YBR in JPEG 2000": [
        as_series(file_of(f"examples_{name}.dcm"), f"Series {number}", number)
        for number, name in enumerate(("rgb_color", "jpeg2k"), 1)
    ],
    "frames of YBR in JPEG": [file_of("examples_ybr_color.dcm")],
    "palette": [file_of("examples_palette.dcm")],
}
SAMPLE = list(ct())
STRUCTURES, STRUCTURED_REPORT = file_of("rtstruct.dcm"), file_of("reportsi.dcm")
PDF_STUDY, PDF = report()
UPLOADED = file_of("image_dfl.dcm")
del UPLOADED.Modality

# Patient, modalities, description and instances of each study.
DOCUMENT = ("Portable, Document", "DOC", "Report", "1")
HEART = ("PLA", "US", "No Description", "1")
BABY = ("OB,", "US", "No Description", "1")
LIVER = ("Sssssss, Jsssss", "MR", "abdomen^liver", "1")
NODE = ("CompressedSamples, US1", "US", "No Description", "2")
KNEE = ("CompressedSamples, MR1", "MR", "No Description", "4")
SPINE = ("CompressedSamples, CT1", "CT", "e+1", "1")
TEXT = ("Last Name, First Name", "SR", "OFFIS Structured Reporting Templates", "1")
CONTOURS = ("Test, Phantom30sep", "RTSTRUCT", "No Description", "1")
CHECKERS = (",", "", "No Description", "1")
CHEST = ("Synthetic, CT", "CT", "Chest CT (synthetic)", "60")
LISTED = [DOCUMENT, HEART, BABY, LIVER, NODE, KNEE, SPINE, TEXT, CONTOURS, CHEST]

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium"),
    pytest.mark.skipif(not VIEWER.exists(), reason="no viewer: local/setup.sh viewer"),
]


def canvas_picture(canvas: Locator) -> Image.Image:
    with urlopen(canvas.evaluate("canvas => canvas.toDataURL()")) as data:  # noqa: S310 -- a data URL
        return Image.open(BytesIO(data.read()))


class Viewer:
    """A page of the viewer, and what went wrong on it."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.origin = page, origin
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._see_request)
        page.on("response", self._see_response)

    def _hear(self, message: ConsoleMessage) -> None:
        # The browser looks for an icon for pages without one, such as the manifest.
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            self.complaints.append(f"{message.text} {message.location['url']}")

    def _see_request(self, request: Request) -> None:
        if request.url.startswith("http") and urlsplit(request.url).hostname not in HOSTS:
            self.complaints.append(f"asks {request.url}")

    def _see_response(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")

    def lists(self, studies: Sequence[tuple[str, ...]]) -> None:
        """Wait until the study list has exactly these rows, in any order, ignoring dates."""
        rows = self.page.locator("tbody tr[aria-selected]")
        give_up = time.monotonic() + SECONDS
        while True:
            texts = [row.locator("td").all_inner_texts() for row in rows.all()]
            listed = sorted((patient, *others) for patient, _, *others, _ in texts)
            if listed == sorted(studies):
                return
            assert time.monotonic() < give_up, listed
            self.page.wait_for_timeout(POLL_MILLISECONDS)

    def open(self, study: str) -> None:
        """Show a study of the archive."""
        self.page.goto(f"{self.origin}/viewer?StudyInstanceUIDs={study}")

    def document(self) -> str:
        """The PDF that is embedded."""
        url = self.page.locator("object[data*=':']").get_attribute("data")  # it is there before it has a URL
        return str(self.page.evaluate("async url => await (await fetch(url)).text()", url))

    def shows(self, picture: Image.Image) -> None:
        """Wait until the viewport shows a picture, and everything requested is there."""
        canvas = self.page.locator("canvas.cornerstone-canvas")
        give_up = time.monotonic() + SECONDS
        while True:
            found = difference(canvas_picture(canvas), picture)
            if found < DIFFERENCE:
                break
            assert time.monotonic() < give_up, found
            self.page.wait_for_timeout(POLL_MILLISECONDS)
        self.page.wait_for_load_state("networkidle")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("data-cy")
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


def viewer_in(browser: Browser, origin: str) -> Viewer:
    """A page of the viewer as a returning user sees it: without the tour."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(f"{origin}/manifest.json")
    page.evaluate("localStorage.setItem('shownTours', '[\"basicViewerTour\"]')")
    page.evaluate("sessionStorage.setItem('investigationalUseDialog', 'hidden')")
    return Viewer(page, origin)


@pytest.fixture(scope="module")
def module_viewer(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    port = free_ports(1)
    log = tmp_path_factory.mktemp("viewer") / "log"
    images = [image for series in STUDIES.values() for image in series]
    files = [PDF, *map(stored, (*images, STRUCTURES, STRUCTURED_REPORT, *SAMPLE))]
    with (
        serving(log, CORS_ORIGINS=f"http://localhost:{port}") as server,
        serving_viewer(port, configuration(f"{server.base_url}/v2")) as origin,
    ):
        headers = {"Content-Type": MULTIPART_DICOM}
        response = httpx.post(f"{server.base_url}/v2/studies", content=multipart(files), headers=headers, timeout=60)
        assert response.status_code in (200, 202), response.text
        yield viewer_in(browser, origin)


@pytest.fixture
def viewer(module_viewer: Viewer) -> Iterator[Viewer]:
    """The viewer; every request must succeed, none may go anywhere but to the service, and no error may be shown."""
    yield module_viewer
    complaints, module_viewer.complaints = module_viewer.complaints, []
    assert not complaints


def keep(viewer: Viewer, name: str) -> None:
    """Keep a picture of the page if PICTURES says so."""
    if folder := os.environ.get("PICTURES"):
        picture = Image.open(BytesIO(viewer.page.screenshot())).convert("RGB").resize(PICTURE_SIZE)
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(Path(folder, f"{name}.png"), optimize=True)


def test_the_list_has_every_study(viewer: Viewer) -> None:
    viewer.page.goto(viewer.origin)
    viewer.lists(LISTED)
    viewer.page.get_by_text(NODE[0]).click()
    expect(viewer.page.get_by_text("Series 1")).to_be_visible()
    expect(viewer.page.locator("img[src^='blob:']")).to_have_count(2)  # thumbnails
    keep(viewer, "viewer-list")


@pytest.mark.parametrize(
    ("column", "text", "found"),
    [
        (0, "compressed", [NODE, KNEE, SPINE]),
        (0, "amples", [NODE, KNEE, SPINE]),
        (0, "nobody", []),
        (3, "LIVER", [LIVER]),
    ],
)
def test_text_narrows_the_list(viewer: Viewer, column: int, text: str, found: list[tuple[str, ...]]) -> None:
    cells = viewer.page.locator("tr[data-filter-row] td")
    with narrowing(viewer, f"*{text}*", found):
        cells.nth(column).locator("input").fill(text)
    viewer.page.get_by_text("Reset").click()
    viewer.lists(LISTED)


def test_modalities_and_dates_narrow_the_list(viewer: Viewer) -> None:
    page = viewer.page
    page.locator("input[aria-label='Filter Modalities']").fill("US")
    with narrowing(viewer, "ModalitiesInStudy=US", [HEART, BABY, NODE]):
        page.get_by_role("option", name="US", exact=True).click()
    page.locator("#studyDateTime-start").fill("2010-01-01")
    with narrowing(viewer, "StudyDate=20100101-20111231", [BABY]):
        page.locator("#studyDateTime-end").fill("2011-12-31")
    page.keyboard.press("Escape")  # the calendar
    page.get_by_text("Reset").click()
    viewer.lists(LISTED)


@contextmanager
def narrowing(viewer: Viewer, query: str, found: Sequence[tuple[str, ...]]) -> Iterator[None]:
    """In its block, the service must find these studies, and the viewer, which also filters them, must list them."""
    with viewer.page.expect_response(lambda answer: f"{query}&" in f"{answer.url}&") as search:
        yield
    assert (len(search.value.json()) if search.value.status == 200 else 0) == len(found)
    viewer.lists(found)


@pytest.mark.parametrize("name", STUDIES)
def test_images_look_as_pydicom_decodes_them(viewer: Viewer, name: str) -> None:
    images = STUDIES[name]
    viewer.open(images[0].StudyInstanceUID)
    for number, image in enumerate(images):
        if number:  # the first opens by itself, and until then there is no viewport for another
            thumbnail = viewer.page.get_by_test_id("study-browser-thumbnail").filter(has_text=image.SeriesDescription)
            with viewer.page.expect_response(re.compile(rf"{image.SeriesInstanceUID}/.*/frames/1$")):
                thumbnail.dblclick()
        viewer.shows(picture_of(image))
    if name in PICTURES:
        keep(viewer, PICTURES[name])


def test_every_frame_is_shown(viewer: Viewer) -> None:
    (image,) = STUDIES["frames of YBR in JPEG"]
    viewer.open(image.StudyInstanceUID)
    viewer.shows(picture_of(image))
    viewer.page.locator("canvas.cornerstone-canvas").click()
    viewer.page.keyboard.press("End")
    viewer.shows(picture_of(image, 29))


def test_a_series_is_a_volume_in_three_planes(viewer: Viewer) -> None:
    viewer.page.goto(f"{viewer.origin}/viewer?StudyInstanceUIDs={SAMPLE[0].StudyInstanceUID}&hangingProtocolId=mpr")
    canvases = viewer.page.locator("canvas.cornerstone-canvas")
    expect(canvases).to_have_count(3)
    give_up = time.monotonic() + SECONDS
    for canvas in canvases.all():
        while has_no_shades(canvas_picture(canvas)):
            assert time.monotonic() < give_up
            viewer.page.wait_for_timeout(POLL_MILLISECONDS)
    viewer.page.wait_for_load_state("networkidle")
    keep(viewer, "viewer-planes")


def has_no_shades(picture: Image.Image) -> bool:
    """Whether a picture is not that of a body, but flat, as it is before it is drawn."""
    levels = picture.convert("L").histogram()
    return sum(count > sum(levels) / 1000 for count in levels) < 20


def test_a_structured_report_is_shown(viewer: Viewer) -> None:
    viewer.open(STRUCTURED_REPORT.StudyInstanceUID)
    expect(viewer.page.get_by_text("Observation Context Mode:").first).to_be_visible()


def test_contours_are_listed(viewer: Viewer) -> None:
    viewer.open(STRUCTURES.StudyInstanceUID)
    expect(viewer.page.get_by_test_id("studyBrowser-panel")).to_contain_text("RTSTRUCT")


def test_a_pdf_is_shown(viewer: Viewer) -> None:
    viewer.open(PDF_STUDY)
    assert PDF_TEXT in viewer.document()


def test_a_file_is_uploaded(viewer: Viewer, tmp_path: Path) -> None:
    viewer.page.goto(viewer.origin)
    viewer.lists(LISTED)
    file = tmp_path / "image.dcm"
    file.write_bytes(stored(UPLOADED))
    viewer.page.get_by_text("Upload").click()
    viewer.page.locator("input[type=file]").first.set_input_files(file)
    expect(viewer.page.get_by_role("dialog")).to_contain_text("1 file completed")
    viewer.page.goto(viewer.origin)
    viewer.lists([*LISTED, CHECKERS])


def test_a_signed_in_user_sees_what_the_token_allows(browser: Browser, tmp_path: Path) -> None:
    port = free_ports(1)
    headers = {"Content-Type": MULTIPART_DICOM, "Authorization": f"Bearer {token(**OWNER)}"}
    (image,) = STUDIES["palette"]
    with (
        issuing() as issuer,
        serving(
            tmp_path / "log",
            ANONYMOUS_ACCESS="false",
            AUTHORITY=issuer.url,
            AUDIENCE=AUDIENCE,
            CORS_ORIGINS=f"http://localhost:{port}",
        ) as server,
        serving_viewer(
            port, configuration(f"{server.base_url}/v2", sign_in(issuer.url, "viewer", f"{AUDIENCE}/Dicom.Read"), False)
        ) as origin,
    ):
        content = multipart([stored(image), PDF])
        answer = httpx.post(f"{server.base_url}/v2/studies", content=content, headers=headers, timeout=60)
        assert answer.status_code == 200
        viewer = viewer_in(browser, origin)
        viewer.page.route(f"{issuer.base_url}/**", partial(authorize, issuer.base_url))
        viewer.page.goto(origin)
        viewer.lists([DOCUMENT, BABY])
        expect(viewer.page.get_by_text("Upload")).to_have_count(0)
        viewer.page.get_by_text(BABY[0], exact=True).dblclick()
        viewer.shows(picture_of(image))
        expect(viewer.page.locator("img[src^='blob:']")).to_have_count(1)
        viewer.open(PDF_STUDY)
        assert PDF_TEXT in viewer.document()
        viewer.page.close()
    assert not viewer.complaints


def authorize(base_url: str, route: Route) -> None:
    """Answer the browser like an authority whose user has just signed in and allowed the viewer to read."""
    url = urlsplit(route.request.url)
    headers = {"Access-Control-Allow-Origin": "*"}
    if url.path.endswith("/openid-configuration"):
        endpoints = {f"{name}_endpoint": f"{base_url}/{name}" for name in ("authorization", "token")}
        route.fulfill(json={"issuer": ISSUER, **endpoints}, headers=headers)
    elif url.path == "/authorization":
        asked = dict(parse_qsl(url.query))
        assert asked["code_challenge_method"] == "S256"
        assert asked["scope"] == f"openid profile {AUDIENCE}/Dicom.Read offline_access"
        back = f"{asked['redirect_uri']}?{urlencode({'code': 'once', 'state': asked['state']})}"
        route.fulfill(body=f"<script>location.replace({back!r})</script>", content_type="text/html")
    else:
        assert "code_verifier" in (route.request.post_data or "")
        tokens = {"access_token": token(scp="Dicom.Read"), "id_token": token(aud="viewer")}
        route.fulfill(json={**tokens, "token_type": "Bearer", "expires_in": 3600, "scope": "openid"}, headers=headers)
