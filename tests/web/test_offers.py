import pytest

from shared.errors import NotAcceptable
from shared.web.content_negotiation import Offer, negotiate, parse_accept
from shared.web.offers import (
    bulk_value_offers,
    frame_offers,
    instance_offers,
    rendered_offers,
    several_offers,
    uri_offers,
)

ILE, ELE, BE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG, JPEG_LS, J2K, J2K_LOSSY = (f"1.2.840.10008.1.2.4.{number}" for number in (50, 80, 90, 91))
MPEG, MPEG_HIGH, RLE = "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.5"
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


def chosen(offers: list[Offer], accept: str | None) -> tuple[str, bool, set[str]] | None:
    try:
        offer = negotiate(parse_accept(accept), offers)
    except NotAcceptable:
        return None
    return offer.media_type, offer.is_multipart, set(offer.transfer_syntax_uids)


@pytest.mark.parametrize(
    ("stored", "accept", "expected"),
    [
        (J2K, None, ("application/dicom", True, {J2K})),
        (J2K, "application/dicom", ("application/dicom", False, {ELE})),
        (J2K, "application/dicom; transfer-syntax=*", ("application/dicom", False, {J2K})),
        (J2K, f"application/dicom; transfer-syntax={JPEG_LS}", ("application/dicom", False, {JPEG_LS})),
        (J2K, f"application/dicom; transfer-syntax={JPEG}", None),
        (J2K, 'multipart/related; type="application/dicom"', ("application/dicom", True, {ELE})),
        (ILE, "application/dicom", ("application/dicom", False, {ELE})),
        (MPEG, "application/dicom", None),
        (MPEG, "application/dicom; transfer-syntax=*", ("application/dicom", False, {MPEG})),
        (ELE, f"application/dicom; transfer-syntax={ELE};q=0.5, application/dicom; transfer-syntax={RLE}", (
            "application/dicom", False, {RLE})),
        # at equal weights the stored form comes first
        (RLE, f"application/dicom; transfer-syntax={ELE}, application/dicom; transfer-syntax={RLE}", (
            "application/dicom", False, {RLE})),
    ],
)  # fmt: skip
def test_an_instance(stored: str, accept: str | None, expected: object) -> None:
    assert chosen(instance_offers(stored), accept) == expected


@pytest.mark.parametrize(
    ("stored", "accept", "expected"),
    [
        ({ELE, J2K}, None, ("application/dicom", True, {ELE, J2K})),
        ({ELE, J2K}, 'multipart/related; type="application/dicom"', ("application/dicom", True, {ELE})),
        ({J2K}, "multipart/related; type=application/dicom", ("application/dicom", True, {ELE})),
        # what is stored otherwise, and cannot be transcoded, is left out
        ({ELE, MPEG}, 'multipart/related; type="application/dicom"', ("application/dicom", True, {ELE})),
        ({J2K, MPEG}, 'multipart/related; type="application/dicom"', ("application/dicom", True, {ELE})),
        ({J2K, MPEG}, f'multipart/related; type="application/dicom"; transfer-syntax={MPEG}', (
            "application/dicom", True, {MPEG})),
        ({MPEG}, 'multipart/related; type="application/dicom"', None),
        ({MPEG, MPEG_HIGH}, 'multipart/related; type="application/dicom"', None),
        ({ELE, MPEG}, 'multipart/related; type="application/dicom"; transfer-syntax=*', (
            "application/dicom", True, {ELE, MPEG})),
        ({ELE, J2K}, "application/zip", ("application/zip", False, set())),
        ({ELE}, "application/dicom", None),
    ],
)  # fmt: skip
def test_a_study(stored: set[str], accept: str | None, expected: object) -> None:
    assert chosen(several_offers(frozenset(stored)), accept) == expected


@pytest.mark.parametrize(
    ("stored", "accept", "expected"),
    [
        (J2K, None, ("image/jp2", True, {J2K})),
        (J2K_LOSSY, 'multipart/related; type="image/jp2"', ("image/jp2", True, {J2K_LOSSY})),
        (J2K, "multipart/related; type=application/octet-stream; transfer-syntax=*", (
            "application/octet-stream", True, {J2K})),
        (J2K, "multipart/related; type=application/octet-stream", ("application/octet-stream", True, {ELE})),
        (J2K, "application/octet-stream", ("application/octet-stream", False, {ELE})),
        (ILE, "application/octet-stream", ("application/octet-stream", False, {ELE})),
        (BE, "application/octet-stream", ("application/octet-stream", False, {ELE})),
        (DEFLATED, None, ("application/octet-stream", True, {ELE})),
        (ELE, 'multipart/related; type="image/jls"', ("image/jls", True, {JPEG_LS})),
        (ELE, 'multipart/related; type="image/jpeg"', None),
        (JPEG, 'multipart/related; type="image/jpeg"', ("image/jpeg", True, {JPEG})),
        (MPEG, 'multipart/related; type="video/mp4"', ("video/mp4", True, {MPEG})),
        (MPEG, "multipart/related; type=application/octet-stream", None),
        # cornerstone3D's list
        (RLE, "multipart/related; type=application/octet-stream; transfer-syntax=*, "
              'multipart/related; type="image/jls"; q=0.9', ("application/octet-stream", True, {RLE})),
    ],
)  # fmt: skip
def test_a_frame(stored: str, accept: str | None, expected: object) -> None:
    assert chosen(frame_offers(stored, are_several=False), accept) == expected


def test_several_frames_have_no_single_part() -> None:
    assert chosen(frame_offers(ELE, are_several=True), "application/octet-stream") is None


@pytest.mark.parametrize("accept", [None, BROWSER, "image/*", "image/jpeg", "image/png;q=0.1, image/jpeg"])
def test_a_page_gets_a_jpeg_alone(accept: str | None) -> None:
    assert chosen(rendered_offers(None), accept) == ("image/jpeg", False, set())


@pytest.mark.parametrize(
    ("media_type", "accept", "expected"),
    [
        (None, "image/png", ("image/png", False, set())),
        (None, 'multipart/related; type="image/gif"', ("image/gif", True, set())),
        (None, "image/webp", None),
        ("application/pdf", "*/*", ("application/pdf", False, set())),
        ("application/pdf", "image/jpeg", None),
    ],
)
def test_what_is_rendered(media_type: str | None, accept: str, expected: object) -> None:
    assert chosen(rendered_offers(media_type), accept) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, ("application/octet-stream", True, set())),
        ("application/pdf", ("application/pdf", False, set())),
        ("application/octet-stream", ("application/octet-stream", False, set())),
        ('multipart/related; type="application/pdf"', ("application/pdf", True, set())),
        ("image/png", None),
    ],
)
def test_a_bulk_value(accept: str | None, expected: object) -> None:
    assert chosen(bulk_value_offers("application/pdf"), accept) == expected


@pytest.mark.parametrize(
    ("media_type", "is_rendered", "accept", "expected"),
    [
        (None, True, None, ("image/jpeg", False, set())),
        (None, True, "application/dicom", ("application/dicom", False, {ELE})),
        (None, False, None, ("application/dicom", False, {J2K})),
        ("application/pdf", True, None, ("application/dicom", False, {J2K})),
        ("application/pdf", True, "application/pdf", ("application/pdf", False, set())),
        (None, True, "multipart/related", None),
    ],
)
def test_the_uri_service(media_type: str | None, is_rendered: bool, accept: str | None, expected: object) -> None:
    assert chosen(uri_offers(J2K, media_type, is_rendered=is_rendered), accept) == expected
