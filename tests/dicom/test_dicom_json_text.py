"""The DICOM JSON Model as text."""

import json
import math

import pytest

from shared.dicom.dicom_json_text import dumps


class TestDumps:
    def test_is_compact_utf8(self) -> None:
        assert dumps({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "山"}]}}) == (
            '{"00100010":{"vr":"PN","Value":[{"Alphabetic":"山"}]}}'.encode()
        )

    def test_survives_lone_surrogates(self) -> None:
        assert json.loads(dumps({"a": "x\ud800y"})) == {"a": "x?y"}

    @pytest.mark.parametrize("number", [math.nan, math.inf])
    def test_refuses_what_is_not_json(self, number: float) -> None:
        with pytest.raises(ValueError, match="not JSON compliant"):
            dumps({"a": number})
