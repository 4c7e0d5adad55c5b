"""The measurements, for people (a table, a picture) and for programs (JSON)."""

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from benchmarks.side_by_side.measures import Measures
from benchmarks.side_by_side.steps import Goal, Step

Results = dict[str, dict[str, Measures]]
"""By step and contestant."""

OURS: Final = "ours"
HEADING: Final = (
    f"{'':32}{'':>9}{'median':>9}{'p95':>9}{'':>9}{'':>8}{'storage':>9}{'CPU':>8}{'peak':>7}\n"
    f"{'step':32}{'':>9}{'ms':>9}{'ms':>9}{'MB/s':>9}{'1/s':>8}{'ops':>9}{'ms':>8}{'MiB':>7}"
)


def machine() -> dict[str, str]:
    """The machine that it was measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    return {
        "system": platform.platform(),
        "processor": f"{os.cpu_count()} x {model or platform.machine()}",
        "python": platform.python_version(),
    }


def step_lines(step: Step, measured: dict[str, Measures]) -> str:
    """A line for each contestant, and one that compares ours."""
    lines = []
    for number, (name, one) in enumerate(measured.items()):
        operations = one.operations_of_a_request
        counted = "" if operations is None else f"{operations:.1f}"
        lines.append(
            f"{step.name if not number else '':32}{name:>9}{1000 * one.median:9.1f}{1000 * one.percentile_95:9.1f}"
            f"{one.megabytes_a_second:9.1f}{one.requests_a_second:8.1f}{counted:>9}"
            f"{1000 * one.cpu_of_a_request:8.1f}{one.peak_growth_bytes / 2**20:7.0f}"
        )
    ratios = ", ".join(f"{ratio(measured, over):.2f} x {over}" for over in measured if over != OURS)
    return "\n".join([*lines, f"{'':32}{'':>9} {ratios}{_verdicts(step, measured)}"])


def markdown(measured_steps: Iterable[tuple[Step, dict[str, Measures]]]) -> str:
    """The table of docs/performance.md."""
    lines = [
        "| step | ms | p95 | MB/s | storage | CPU ms | MiB | over limit | over Orthanc | goal |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for step, measured in measured_steps:
        ours = measured[OURS]
        operations = ours.operations_of_a_request
        cells = [
            step.name,
            f"{1000 * ours.median:.1f}",
            f"{1000 * ours.percentile_95:.1f}",
            f"{ours.megabytes_a_second:.1f}",
            "" if operations is None else f"{operations:.1f}",
            f"{1000 * ours.cpu_of_a_request:.1f}",
            f"{ours.peak_growth_bytes / 2**20:.0f}",
            *(f"{ratio(measured, over):.2f}" if over in measured else "" for over in ("limit", "Orthanc")),
            ", ".join(_verdict(goal, measured) for goal in step.goals if goal.over in measured),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def cpu_line(step: Step, measured: dict[str, Measures], read_cpu_seconds: float) -> str:
    """The CPU time of storing an instance, beside reading its header with pydicom and uploading it by the SDK alone."""
    ours, limit = (measured[name].cpu_of_a_request / step.instances for name in (OURS, "limit"))
    return (
        f"CPU of an instance, {step.name}: {1000 * ours:.1f} ms; pydicom {1000 * read_cpu_seconds:.1f} and upload "
        f"{1000 * limit:.1f} ms, together; {ours / (read_cpu_seconds + limit):.2f} x (goal: at most 1.50)"
    )


def ratio(measured: dict[str, Measures], over: str) -> float:
    """Our median time as a multiple of another's."""
    return measured[OURS].median / measured[over].median


def _verdicts(step: Step, measured: dict[str, Measures]) -> str:
    return "".join(f"; goal: {_verdict(goal, measured)}" for goal in step.goals if goal.over in measured)


def _verdict(goal: Goal, measured: dict[str, Measures]) -> str:
    is_met = ratio(measured, goal.over) <= goal.ratio
    return f"at most {goal.ratio:.2f} x {goal.over}, {'met' if is_met else 'MISSED'}"


def write_json(path: Path, results: Results) -> None:
    """Write everything that was measured."""
    found: dict[str, Any] = {
        "machine": machine(),
        "steps": {step: {name: one.as_dict() for name, one in measured.items()} for step, measured in results.items()},
    }
    path.write_text(json.dumps(found, indent=1) + "\n")


def plot(path: Path, results: Results) -> None:
    """Draw how long each step takes here, as a multiple of the others, on a logarithmic axis."""
    from matplotlib.figure import Figure

    names = list(results)
    figure = Figure(figsize=(9, 0.4 * len(names) + 1.2), layout="constrained")
    axes = figure.subplots()
    for over, color, shift in (("limit", "tab:blue", -0.18), ("Orthanc", "tab:orange", 0.18)):
        placed = [(row + shift, ratio(results[name], over)) for row, name in enumerate(names) if over in results[name]]
        if placed:
            rows, ratios = zip(*placed, strict=True)
            axes.barh(rows, [value - 1 for value in ratios], 0.34, left=1, color=color, label=f"time over {over}'s")
            for row, value in placed:
                axes.annotate(f" {value:.2f} ", (value, row), va="center", ha="left" if value > 1 else "right", size=8)
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("median time of a request, as a multiple (left of 1: faster)")
    axes.legend()
    figure.savefig(path, dpi=120)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
