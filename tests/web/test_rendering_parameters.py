import pytest

from shared.errors import BadRequest
from shared.web.rendering_parameters import (
    MAX_VIEWPORT_PIXELS,
    IccProfile,
    RenderingParameters,
    SourceRegion,
    Window,
    WindowFunction,
    parse,
    parse_uri,
)


class TestParse:
    def test_without_parameters_gives_the_defaults(self) -> None:
        assert parse([]) == RenderingParameters(90, None, SourceRegion(), None, IccProfile.YES)

    def test_leaves_other_parameters_alone(self) -> None:
        assert parse([("accept", "image/png"), ("accept", "image/gif"), ("rows", "x")]) == RenderingParameters()

    def test_takes_names_in_any_case(self) -> None:
        assert parse([("Quality", "1")]).quality == 1

    @pytest.mark.parametrize(
        ("text", "region"),
        [
            ("300,200", SourceRegion()),
            (" 300 , 200 ", SourceRegion()),
            ("300,200,1.5,2", SourceRegion(1.5, 2)),
            ("300,200,,,40,50", SourceRegion(0, 0, 40, 50)),
            ("300,200,10,,,.5", SourceRegion(10, 0, None, 0.5)),
            ("300,200,,,,", SourceRegion()),
            ("300,200,1,2,-40,50", SourceRegion(1, 2, 40, 50, is_flipped_horizontally=True)),
            ("300,200,1,2,40,-50", SourceRegion(1, 2, 40, 50, is_flipped_vertically=True)),
        ],
    )
    def test_viewport_has_a_size_and_maybe_a_region(self, text: str, region: SourceRegion) -> None:
        parameters = parse([("viewport", text)])
        assert (parameters.viewport, parameters.region) == ((300, 200), region)

    @pytest.mark.parametrize(
        ("text", "window"),
        [
            ("40,400,linear", Window(40, 400)),
            ("-600.5,1.5e3,LINEAR-EXACT", Window(-600.5, 1500, WindowFunction.LINEAR_EXACT)),
            (" .5 , 0.25 , sigmoid ", Window(0.5, 0.25, WindowFunction.SIGMOID)),
            ("40,400,linear_exact", Window(40, 400, WindowFunction.LINEAR_EXACT)),
            ("0,1,linear", Window(0, 1)),
        ],
    )
    def test_window_has_center_width_and_function(self, text: str, window: Window) -> None:
        assert parse([("window", text)]).window == window

    @pytest.mark.parametrize("text", ["no", "YES", "sRGB", "adobeRGB", "rommRGB"])
    def test_icc_profile_is_one_of_five_in_any_case(self, text: str) -> None:
        assert parse([("iccprofile", text)]).icc_profile == text.lower()

    @pytest.mark.parametrize("text", ["patient", "technique", "patient,technique", "Technique, patient"])
    def test_annotation_is_accepted(self, text: str) -> None:
        assert parse([("annotation", text)]) == RenderingParameters()

    @pytest.mark.parametrize("text", ["1", "100"])
    def test_quality_is_1_to_100(self, text: str) -> None:
        assert parse([("quality", text)]).quality == int(text)

    @pytest.mark.parametrize(
        ("name", "text", "allowed"),
        [
            *[("quality", text, "1 to 100") for text in ("0", "101", "-1", "9.5", "", "high", "1" * 5000, "٣")],
            *[("viewport", text, "vw,vh or") for text in ("", "1", "1,2,3,4,5,6,7")],
            *[("viewport", text, "1 to 8192") for text in ("0,1", "1,8193", "1.5,2", "-1,2", ",2", "1," + "9" * 5000)],
            *[("viewport", f"1,1,{text}", "decimal") for text in ("x", "1,nan", ",,inf", ",,,0x1", "1e999", "1_0")],
            *[("viewport", f"1,1,{text}", "from 0 up") for text in ("-1", ",-1", ",,0", ",,,0")],
            *[("window", text, "linear-exact") for text in ("", "1,2", "1,2,", "1,2,cubic", "1,2,linear,3")],
            *[("window", f"{text},linear", "decimal") for text in ("a,2", "1,", "nan,2", "1,inf", "9" * 5000 + ",1")],
            ("window", "1,0.9,linear", "1 or more"),
            ("window", "1,0,sigmoid", "over 0"),
            ("window", "1,-1,linear-exact", "over 0"),
            *[("annotation", text, "patient, technique") for text in ("", "name", "patient,,technique")],
            *[("iccprofile", text, "no, yes, srgb, adobergb, rommrgb") for text in ("", "displayp3")],
        ],
    )
    def test_a_refusal_names_the_parameter_and_what_it_may_be(self, name: str, text: str, allowed: str) -> None:
        with pytest.raises(BadRequest, match=f"parameter {name} .*{allowed}"):
            parse([(name, text)])

    @pytest.mark.parametrize("name", ["quality", "Viewport"])
    def test_a_repeated_parameter_is_refused(self, name: str) -> None:
        with pytest.raises(BadRequest, match="twice"):
            parse([(name, "50,50"), (name.lower(), "50,50")])


class TestParseUri:
    def test_without_parameters_gives_the_defaults(self) -> None:
        assert parse_uri([("requestType", "WADO"), ("viewport", "x")]) == RenderingParameters()

    @pytest.mark.parametrize(
        ("query", "viewport"),
        [
            ([("rows", "100"), ("columns", "200")], (200, 100)),
            ([("rows", "100")], (MAX_VIEWPORT_PIXELS, 100)),
            ([("columns", "200")], (200, MAX_VIEWPORT_PIXELS)),
        ],
    )
    def test_rows_and_columns_are_the_viewport(self, query: list[tuple[str, str]], viewport: tuple[int, int]) -> None:
        assert parse_uri(query).viewport == viewport

    def test_region_is_in_fractions_of_the_image(self) -> None:
        region = parse_uri([("region", "0.25,0,0.75,1")]).region
        assert region.box(columns=200, rows=100) == (50, 0, 150, 100)

    def test_window_and_quality_are_as_in_the_other_service(self) -> None:
        query = [("windowCenter", "40"), ("windowWidth", "400"), ("imageQuality", "7"), ("annotation", "patient")]
        assert parse_uri(query) == parse([("window", "40,400,linear"), ("quality", "7")])

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            *[("rows", text) for text in ("0", "8193", "x", "")],
            ("columns", "0"),
            *[
                ("region", text)
                for text in ("0,0,1", "0,0,1,1.1", "-.1,0,1,1", "0.5,0,0.5,1", "0,1,1,0", "a,b,c,d", "")
            ],
            ("windowCenter", "1"),
            ("windowWidth", "1"),
            ("imageQuality", "0"),
            ("annotation", "name"),
        ],
    )
    def test_a_refusal_names_the_parameter(self, name: str, text: str) -> None:
        with pytest.raises(BadRequest, match=name):
            parse_uri([(name, text)])

    def test_an_invalid_window_is_refused(self) -> None:
        with pytest.raises(BadRequest, match="windowWidth must have a width of 1"):
            parse_uri([("windowCenter", "40"), ("windowWidth", "0")])


class TestSourceRegion:
    @pytest.mark.parametrize(
        ("region", "box"),
        [
            (SourceRegion(), (0, 0, 20, 10)),
            (SourceRegion(5, 2), (5, 2, 20, 10)),
            (SourceRegion(5, 2, 4, 3), (5, 2, 9, 5)),
            (SourceRegion(5, 2, 400, 300), (5, 2, 20, 10)),
            (SourceRegion(0.5, 0.5, 0.25, 0.25, is_fraction=True), (10, 5, 15, 7.5)),
        ],
    )
    def test_box_is_what_lies_in_the_image(self, region: SourceRegion, box: tuple[float, ...]) -> None:
        assert region.box(columns=20, rows=10) == box

    @pytest.mark.parametrize("region", [SourceRegion(20), SourceRegion(0, 10), SourceRegion(1e9, 1e9, 1, 1)])
    def test_box_outside_the_image_is_refused(self, region: SourceRegion) -> None:
        with pytest.raises(BadRequest, match="outside"):
            region.box(columns=20, rows=10)
