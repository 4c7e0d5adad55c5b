import pytest

from shared.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from shared.errors import NotAcceptable
from shared.web.content_negotiation import Offer, accept_of, negotiate, parse_accept
from shared.web.media_types import MediaType

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_LS = "1.2.840.10008.1.2.4.80"
HTJ2K = "1.2.840.10008.1.2.4.201"


def dicom(*uids: str, multipart: bool = True) -> Offer:
    return Offer("application/dicom", multipart, frozenset(uids))


def octets(*uids: str, multipart: bool = True) -> Offer:
    return Offer("application/octet-stream", multipart, frozenset(uids))


# The offers of a study, an instance, frames and metadata, the stored representation first.
STORED_STUDY, PLAIN_STUDY = dicom(JPEG_LS, JPEG_BASELINE), dicom(EXPLICIT_VR_LITTLE_ENDIAN)
STUDY = (STORED_STUDY, PLAIN_STUDY)
STORED_PARTS, STORED_FILE = dicom(JPEG_LS), dicom(JPEG_LS, multipart=False)
PLAIN_PARTS, PLAIN_FILE = dicom(EXPLICIT_VR_LITTLE_ENDIAN), dicom(EXPLICIT_VR_LITTLE_ENDIAN, multipart=False)
INSTANCE = (STORED_PARTS, STORED_FILE, PLAIN_PARTS, PLAIN_FILE)
STORED_FRAMES, JLS_FRAMES = octets(JPEG_LS), Offer("image/jls", True, frozenset({JPEG_LS}))
PLAIN_FRAMES, PLAIN_FRAME = octets(EXPLICIT_VR_LITTLE_ENDIAN), octets(EXPLICIT_VR_LITTLE_ENDIAN, multipart=False)
STORED_FRAME = octets(JPEG_LS, multipart=False)
FRAMES = (STORED_FRAMES, JLS_FRAMES, PLAIN_FRAMES)
FRAME = (*FRAMES, STORED_FRAME, PLAIN_FRAME)
BULKDATA = octets(multipart=False)
DICOM_JSON, JSON = Offer("application/dicom+json", False), Offer("application/json", False)
METADATA = (DICOM_JSON, JSON)
JPEG, PNG = Offer("image/jpeg", False), Offer("image/png", False)
RENDERED = (JPEG, PNG)


@pytest.mark.parametrize("text", [None, "", "  ", ",", " , ,", "*/*"])
def test_no_accept_is_anything(text: str | None) -> None:
    assert parse_accept(text) == (MediaType("*/*", {}, 1.0),)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        pytest.param(
            "application/dicom+json, application/json",
            [("application/dicom+json", {}, 1.0), ("application/json", {}, 1.0)],
            id="python_dicomweb_client_search",
        ),
        pytest.param(
            'multipart/related; type=application/octet-stream; transfer-syntax=*, multipart/related; type="image/jls";'
            " q=0.5",
            [
                ("multipart/related", {"type": "application/octet-stream", "transfer-syntax": "*"}, 1.0),
                ("multipart/related", {"type": "image/jls"}, 0.5),
            ],
            id="ohif_frames",
        ),
        pytest.param(
            'multipart/related; type="application/dicom";transfer-syntax="*"',
            [("multipart/related", {"type": "application/dicom", "transfer-syntax": "*"}, 1.0)],
            id="dotnet_study",
        ),
        pytest.param(
            'multipart/related; type="application/dicom";transfer-syntax=1.2.840.10008.1.2.4.50;q=0.5;boundary=**',
            [
                (
                    "multipart/related",
                    {"type": "application/dicom", "transfer-syntax": JPEG_BASELINE, "boundary": "**"},
                    0.5,
                )
            ],
            id="example_of_the_standard",
        ),
        pytest.param(
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            [("text/html", {}, 1.0), ("image/gif", {}, 1.0), ("image/jpeg", {}, 1.0), ("*/*", {}, 0.2)],
            id="java_urlconnection",
        ),
        pytest.param("application/dicom+json;", [("application/dicom+json", {}, 1.0)], id="script_trailing_semicolon"),
        pytest.param('a/b; x="1,2", c/d', [("a/b", {"x": "1,2"}, 1.0), ("c/d", {}, 1.0)], id="comma_quoted"),
        pytest.param("a/b,, c/d,", [("a/b", {}, 1.0), ("c/d", {}, 1.0)], id="empty_members"),
        pytest.param("gzip, /x, a b/c, c/d", [("c/d", {}, 1.0)], id="malformed_members"),
        pytest.param('a/b; x="1"2, c/d', [("c/d", {}, 1.0)], id="member_with_a_misplaced_quote"),
        pytest.param('a/b, c/d; x="1, e/f', [("a/b", {}, 1.0)], id="open_quote_runs_to_the_end"),
        pytest.param("gzip", [], id="malformed_members_alone"),
    ],
)
def test_parses_an_accept_header(text: str, ranges: list[tuple[str, dict[str, str], float]]) -> None:
    assert parse_accept(text) == tuple(MediaType(*expected) for expected in ranges)


@pytest.mark.parametrize(
    ("weight", "q"),
    [
        ("0", 0.0),
        ("0.000", 0.0),
        ("0.", 0.0),
        ("1", 1.0),
        ("1.000", 1.0),
        (".2", 0.2),
        ("0.33333333", 0.33333333),
        ('"0.5"', 0.5),
        ("1.5", 1.0),
        ("7", 1.0),
        ("-1", 1.0),
        ("", 1.0),
        (".", 1.0),
        ("nan", 1.0),
        ("1e-3", 1.0),
        ("\xb9", 1.0),
    ],
)
def test_an_unreadable_weight_counts_as_one(weight: str, q: float) -> None:
    accepted, *_ = parse_accept(f"a/b; Q = {weight}")

    assert accepted == MediaType("a/b", {}, q)


@pytest.mark.parametrize(
    ("accept", "offers", "chosen"),
    [
        pytest.param(None, STUDY, STORED_STUDY, id="nothing_asked_study"),
        pytest.param("*/*", INSTANCE, STORED_PARTS, id="anything_instance"),
        pytest.param("*/*", METADATA, DICOM_JSON, id="anything_metadata"),
        pytest.param(
            'multipart/related; type="application/dicom";transfer-syntax="*"', STUDY, STORED_STUDY, id="dotnet_study"
        ),
        pytest.param('application/dicom;transfer-syntax="*"', INSTANCE, STORED_FILE, id="dotnet_instance"),
        pytest.param(
            'multipart/related; type="application/octet-stream";transfer-syntax="*"',
            FRAMES,
            STORED_FRAMES,
            id="dotnet_frames",
        ),
        pytest.param('application/octet-stream;transfer-syntax="*"', FRAME, STORED_FRAME, id="dotnet_single_frame"),
        pytest.param("application/dicom+json", METADATA, DICOM_JSON, id="dotnet_metadata"),
        pytest.param("image/jpeg", RENDERED, JPEG, id="dotnet_rendered"),
        pytest.param("application/dicom+json, application/json", METADATA, DICOM_JSON, id="python_client_metadata"),
        pytest.param('multipart/related; type="*/*"', FRAMES, STORED_FRAMES, id="python_client_frames"),
        pytest.param('multipart/related; type="image/*"', FRAMES, JLS_FRAMES, id="python_client_image_family"),
        pytest.param(
            'multipart/related; type="application/dicom"; transfer-syntax=*',
            STUDY,
            STORED_STUDY,
            id="python_client_study",
        ),
        pytest.param(
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            FRAMES,
            STORED_FRAMES,
            id="cornerstone_frames",
        ),
        pytest.param(
            'multipart/related; type=application/octet-stream; transfer-syntax=*, multipart/related; type="image/jls";'
            " q=0.5",
            FRAMES,
            STORED_FRAMES,
            id="ohif_frames_mixed_list",
        ),
        pytest.param('multipart/related; type="image/jls"', FRAMES, JLS_FRAMES, id="ohif_family_any_transfer_syntax"),
        pytest.param("application/dicom+json;", METADATA, DICOM_JSON, id="script_trailing_semicolon"),
        pytest.param("application/json", METADATA, JSON, id="script_plain_json"),
        pytest.param("multipart/related", STUDY, STORED_STUDY, id="script_multipart_without_type"),
        pytest.param("multipart/related; type=application/dicom", STUDY, PLAIN_STUDY, id="dcm4che_unquoted_type"),
        pytest.param("text/html, image/gif, *; q=.2, */*; q=.2", RENDERED, JPEG, id="weasis_java_default"),
        pytest.param("image/avif,image/webp,image/png,*/*;q=0.8", RENDERED, PNG, id="browser_img"),
    ],
)
def test_clients_get_what_they_can_read(accept: str | None, offers: tuple[Offer, ...], chosen: Offer) -> None:
    assert negotiate(parse_accept(accept), offers) is chosen


@pytest.mark.parametrize(
    ("accept", "offers", "chosen"),
    [
        pytest.param("multipart/*", STUDY, STORED_STUDY, id="multipart_wildcard"),
        pytest.param('multipart/*; type="application/*"', STUDY, STORED_STUDY, id="type_wildcard_any_syntax"),
        pytest.param('MULTIPART/Related; TYPE="Application/DICOM"', STUDY, PLAIN_STUDY, id="case"),
        pytest.param('multipart/related; type=""', STUDY, STORED_STUDY, id="empty_type"),
        pytest.param("application/*", INSTANCE, STORED_FILE, id="single_wildcard_any_syntax"),
        pytest.param("image/*", RENDERED, JPEG, id="image_wildcard"),
        pytest.param("application/dicom", INSTANCE, PLAIN_FILE, id="default_syntax_of_dicom"),
        pytest.param("application/octet-stream", FRAME, PLAIN_FRAME, id="default_syntax_of_octets"),
        pytest.param("application/dicom; transfer-syntax=", INSTANCE, PLAIN_FILE, id="empty_syntax"),
        pytest.param(f"application/dicom; transfer-syntax={JPEG_LS}", INSTANCE, STORED_FILE, id="named_syntax"),
        pytest.param(f'application/dicom; transfer-syntax="{JPEG_LS}"', INSTANCE, STORED_FILE, id="quoted_syntax"),
        pytest.param(
            f'multipart/related; type="image/jls"; transfer-syntax={JPEG_LS}', FRAMES, JLS_FRAMES, id="named_for_image"
        ),
        pytest.param(f"*/*; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}", STUDY, PLAIN_STUDY, id="named_for_anything"),
        pytest.param(
            f"application/octet-stream; transfer-syntax={HTJ2K}",
            (BULKDATA,),
            BULKDATA,
            id="bulkdata_has_no_syntax",
        ),
        pytest.param("application/json; charset=utf-8", METADATA, JSON, id="other_parameters_ignored"),
    ],
)
def test_a_range_matches(accept: str, offers: tuple[Offer, ...], chosen: Offer) -> None:
    assert negotiate(parse_accept(accept), offers) is chosen


@pytest.mark.parametrize(
    ("accept", "offers", "chosen"),
    [
        pytest.param("application/json, application/dicom+json", METADATA, DICOM_JSON, id="tie_first_offer_wins"),
        pytest.param("application/dicom+json;q=0.5, application/json", METADATA, JSON, id="highest_weight_wins"),
        pytest.param("*/*, application/dicom+json;q=0.9", METADATA, JSON, id="specific_weight_lowers"),
        pytest.param("*/*;q=0.1, application/json;q=0.9", METADATA, JSON, id="specific_weight_raises"),
        pytest.param("application/*;q=0.2, */*;q=0.9", (*METADATA, PNG), PNG, id="family_beats_anything"),
        pytest.param("*/*, application/dicom+json;q=0", METADATA, JSON, id="refused"),
        pytest.param("application/dicom+json;q=0.1, */*;q=0", METADATA, DICOM_JSON, id="all_others_refused"),
        pytest.param("application/json;q=0.2, application/json;q=0.8", METADATA, JSON, id="as_specific_highest_wins"),
        pytest.param("*/*, application/dicom;q=0", (STORED_FILE, DICOM_JSON), DICOM_JSON, id="refused_in_any_syntax"),
        pytest.param(
            "application/dicom;q=0, application/dicom;transfer-syntax=*", INSTANCE, STORED_FILE, id="refusal_outdone"
        ),
        pytest.param(
            "multipart/related;q=0.1, multipart/related; type=image/jls", FRAMES, JLS_FRAMES, id="type_is_more_specific"
        ),
        pytest.param(
            "multipart/*;q=0.9, multipart/related;q=0.1, */*;q=0.5",
            INSTANCE,
            STORED_FILE,
            id="subtype_is_more_specific",
        ),
        pytest.param(
            f"application/dicom;transfer-syntax=*;q=0.5, application/dicom;transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}",
            INSTANCE,
            PLAIN_FILE,
            id="named_syntax_is_more_specific",
        ),
        pytest.param(
            "application/dicom, application/dicom;transfer-syntax=*;q=0.5", INSTANCE, PLAIN_FILE, id="so_is_the_default"
        ),
        pytest.param(
            "application/dicom;transfer-syntax=*, */*", INSTANCE, STORED_PARTS, id="tie_of_single_and_multipart"
        ),
    ],
)
def test_weights_decide(accept: str, offers: tuple[Offer, ...], chosen: Offer) -> None:
    assert negotiate(parse_accept(accept), offers) is chosen


STUDY_LISTED = (
    'multipart/related; type="application/dicom"; transfer-syntax=*'
    f' (in {JPEG_BASELINE} and {JPEG_LS}), multipart/related; type="application/dicom"; '
    f"transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}"
)


@pytest.mark.parametrize(
    ("accept", "offers", "listed"),
    [
        pytest.param("application/dicom", STUDY, STUDY_LISTED, id="single_part_of_a_study"),
        pytest.param("application/dicom; transfer-syntax=*", STUDY, STUDY_LISTED, id="single_part_in_any_syntax"),
        pytest.param(
            f'multipart/related; type="application/dicom"; transfer-syntax={JPEG_LS}',
            STUDY,
            STUDY_LISTED,
            id="one_of_several_syntaxes",
        ),
        pytest.param("multipart/mixed", STUDY, STUDY_LISTED, id="other_multipart"),
        pytest.param("gzip, identity", STUDY, STUDY_LISTED, id="malformed_members_alone"),
        pytest.param("*/*;q=0", STUDY, STUDY_LISTED, id="everything_refused"),
        pytest.param(
            "application/octet-stream; transfer-syntax=*",
            (STORED_FRAMES,),
            f'multipart/related; type="application/octet-stream"; transfer-syntax={JPEG_LS}',
            id="single_part_of_several_frames",
        ),
        pytest.param(
            "multipart/related; type=application/octet-stream",
            (STORED_FRAMES,),
            f'multipart/related; type="application/octet-stream"; transfer-syntax={JPEG_LS}',
            id="only_compressed",
        ),
        pytest.param(
            "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.201",
            (STORED_FILE,),
            f"application/dicom; transfer-syntax={JPEG_LS}",
            id="other_syntax",
        ),
        pytest.param("text/html", METADATA, "application/dicom+json, application/json", id="other_type"),
        pytest.param("application/json", (DICOM_JSON,), "application/dicom+json", id="types_are_literal"),
        pytest.param(
            'multipart/related; type="*/*"', METADATA, "application/dicom+json, application/json", id="no_parts"
        ),
        pytest.param("image/jpeg;q=0, image/png;q=0.0", RENDERED, "image/jpeg, image/png", id="each_refused"),
        pytest.param("*/jpeg", RENDERED, "image/jpeg, image/png", id="no_wildcard_before_a_subtype"),
    ],
)
def test_not_acceptable_lists_what_is_available(accept: str, offers: tuple[Offer, ...], listed: str) -> None:
    with pytest.raises(NotAcceptable) as raised:
        negotiate(parse_accept(accept), offers)

    assert str(raised.value) == f"Nothing that the request accepts is available. Available: {listed}."


@pytest.mark.parametrize(
    ("header", "query", "names"),
    [
        pytest.param("text/html", [], ["text/html"], id="header_alone"),
        pytest.param(None, [], ["*/*"], id="neither"),
        pytest.param("text/html, */*;q=0.8", ["application/dicom"], ["application/dicom"], id="query_replaces_header"),
        pytest.param("text/html", ["a/b,c/d", "e/f"], ["a/b", "c/d", "e/f"], id="lists_and_repeats"),
        pytest.param("text/html", ["", " ", ","], ["text/html"], id="empty_query"),
        pytest.param(None, ["application/dicom json"], ["application/dicom+json"], id="plus_decoded_as_a_space"),
        pytest.param(None, ["a/b; q=0.5, c/d ;q=1"], ["a/b", "c/d"], id="other_spaces_kept"),
        pytest.param("*/*", ["gzip"], [], id="malformed_query_is_not_the_header"),
    ],
)
def test_the_accept_query_parameter_replaces_the_header(header: str | None, query: list[str], names: list[str]) -> None:
    assert [accepted.name for accepted in accept_of(header, query)] == names
