"""The outcome of an upload, file by file, for the terminal and as JSON."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from dicomweb_cli.sources import Instance
from dicomweb_cli.terminal import OUT, plain, size_text
from shared.web.failure_reasons import FailureReason

_SHOWN: Final = 20  # failures on the terminal; the JSON has all


@dataclass(frozen=True, slots=True)
class Remark:
    """What to say of a file: the server's reason code (Failure or Warning Reason), if it gave one, and its words."""

    file: str
    study: str | None
    series: str | None
    instance: str | None
    reason: int | None
    comments: list[str]


@dataclass(slots=True, kw_only=True)
class Report:
    """Counts of files, except `bytes` and `seconds`; `bytes` are those of the stored ones.

    `files` were there when the upload began, and `examined` of them have been looked at; `instances` of those are to be
    stored. `stopped` says why not all of them were sent, and `is_interrupted` that the user wanted it so.
    """

    url: str
    files: int = 0
    examined: int = 0
    skipped: int = 0
    instances: int = 0
    stored: int = 0
    already_there: int = 0
    bytes: int = 0
    seconds: float = 0.0
    stopped: str | None = None
    is_interrupted: bool = False
    failures: list[Remark] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)
    unreadable: int = 0

    @property
    def not_sent(self) -> int:
        """How many instances have no outcome because they were not sent."""
        return self.instances - self.stored - self.already_there - (len(self.failures) - self.unreadable)

    def add_stored(self, instance: Instance, warning: Remark | None) -> None:
        """Count an instance that is now stored, perhaps with a warning."""
        self.stored += 1
        self.bytes += instance.source.size
        if warning:
            self.warnings.append(warning)

    def show(self) -> None:
        """Print it."""
        seconds = self.seconds or 1
        rate = f"{self.stored / seconds:.0f} files/s, {size_text(self.bytes / seconds)}/s"
        for label, count, comment in (
            ("Stored", self.stored, f"{size_text(self.bytes)} in {self.seconds:.1f} s: {rate}" if self.stored else ""),
            ("  with a warning", len(self.warnings), ""),
            ("Already there", self.already_there, "by UID"),
            ("Failed", len(self.failures), ""),
            ("Not sent", self.not_sent, ""),
            ("Not looked at", max(self.files - self.examined, 0), ""),
            ("Skipped", self.skipped, "not DICOM instances"),
        ):
            if count or label in ("Stored", "Failed"):
                OUT.print(f"{label:<16} {count:>7}  {comment}".rstrip())
        if self.failures:
            self._show_failures()
        if self.stopped:
            OUT.print(f"Stopped: {self.stopped}\nRun the same command again to continue from here.", soft_wrap=True)

    def _show_failures(self) -> None:
        OUT.print("Failed:")
        for failure in self.failures[:_SHOWN]:
            OUT.print(f"  {plain(failure.file)}", soft_wrap=True)
            reason = "" if failure.reason is None else f"{failure.reason} {meaning(failure.reason)}".rstrip()
            for line in filter(None, (reason, *map(plain, failure.comments))):
                OUT.print(f"    {line}", soft_wrap=True)
        if len(self.failures) > _SHOWN:
            OUT.print(f"  and {len(self.failures) - _SHOWN} more: --report FILE lists them all")

    def write(self, path: Path) -> None:
        """Write it as JSON. Raises OSError."""
        document = asdict(self) | {"not_sent": self.not_sent}
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


DUPLICATE_SOP_INSTANCE: Final = 0x0111
"""PS3.7 C.5.7: how other servers refuse an instance that is stored already."""


def remark(instance: Instance, reason: int | None, comments: list[str]) -> Remark:
    """A remark on an instance."""
    name, of = instance.source.name, instance.identifiers
    if of is None:
        return Remark(name, None, None, None, reason, comments)
    return Remark(name, of.study_instance_uid, of.series_instance_uid, of.sop_instance_uid, reason, comments)


def meaning(reason: int) -> str:
    """What a Failure Reason (0008,1197) means: PS3.18 Table I.2-2 and PS3.4 Table B.2-1; "" for another."""
    return _MEANINGS.get(reason) or _FAMILIES.get(reason >> 8, "")


_MEANINGS: Final[dict[int, str]] = {
    FailureReason.PROCESSING_FAILURE: "processing failure",
    DUPLICATE_SOP_INSTANCE: "duplicate SOP instance",
    0x0122: "SOP class not supported",
    0x0124: "not authorized",
    FailureReason.STUDY_MISMATCH: "not of the request's study",
    0xC122: "transfer syntax not supported",
    FailureReason.INSTANCE_EXISTS: "stored already",
}
_FAMILIES: Final[dict[int, str]] = {
    0xA7: "out of resources",
    0xA9: "data set does not match SOP class",
    **dict.fromkeys(range(0xC0, 0xD0), "cannot understand"),
}
