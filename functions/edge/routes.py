"""The routes of what can be retrieved (PS3.18 10.1), and their methods."""

from typing import Final

STUDY: Final = "{version}/studies/{study}"
SERIES: Final = STUDY + "/series/{series}"
INSTANCE: Final = SERIES + "/instances/{instance}"
FRAMES: Final = INSTANCE + "/frames/{frames}"

METHODS: Final = ["GET", "HEAD"]
