"""docs/privacy.md names parameters of the deployment with their defaults, and what the template does not turn on."""

import re
from pathlib import Path

from tests.support.documents import rows

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/privacy.md").read_text()
DEPLOYMENT = (ROOT / "docs/deployment.md").read_text()
PARAMETERS = {row[0]: row[2] for heading in ("parameter", "choice") for row in rows(DEPLOYMENT, heading)}
TEMPLATE = "".join(path.read_text() for path in ROOT.glob("infra/**/*.bicep"))


def test_each_parameter_exists() -> None:
    named = set(re.findall(r"`([a-z]+(?:[A-Z][a-z]+)+)`", PAGE))
    assert len(named) > 6
    assert named <= set(PARAMETERS)


def test_the_days_are_the_defaults() -> None:
    days = re.findall(r"`(\w+Days)` \((\d+)\)", PAGE)
    assert days
    assert not [name for name, default in days if PARAMETERS[name] != default]


def test_what_the_template_does_not_turn_on() -> None:
    assert "deleteRetentionPolicy" in TEMPLATE
    for name in ("restorePolicy", "changeFeed", "DisableIpMasking", "Microsoft.RecoveryServices"):
        assert name not in TEMPLATE
