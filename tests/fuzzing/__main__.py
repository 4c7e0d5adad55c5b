"""Fuzzes targets one after another: libFuzzer changes inputs, guided by which code of ours and of pydicom they reach.

    python -m tests.fuzzing                          every target, as in CI
    python -m tests.fuzzing --times 30 --seed 7      thirty times as many inputs, and others
    python -m tests.fuzzing file multipart           some targets

For the same code, arguments and PYTHONHASHSEED, the inputs are the same. One that fails is kept in `corpus/`, whose
files `test_corpus.py` tries from then on.
"""

import argparse
import io
import multiprocessing
import re
import resource
import sys
import time
from collections.abc import Iterable
from contextlib import redirect_stderr
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zlib import crc32

import atheris

# What is examined has to be imported here first; Atheris names each module of it.
with (
    redirect_stderr(io.StringIO()),
    atheris.instrument_imports(
        include=["shared", "pydicom.filereader", "pydicom.fileutil", "pydicom.charset", "pydicom.encaps"]
    ),
):
    from tests.fuzzing.target import examine
    from tests.fuzzing.targets import CORPUS, TARGETS, failed_inputs, keep_input

_MEMORY_BYTES: Final = 512 * 1024**2  # besides what is taken before the first input
_COUNTED: Final = 8  # one input of so many has its calls counted, which takes longer than the calls
_HANGING_SECONDS: Final = 120  # for work that makes no calls, which are what is counted


def main() -> int:
    """Fuzz the targets that the command line names; 1 if an input failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all, if none is named")
    parser.add_argument("--times", type=float, default=1, help="how many times as many inputs as in CI")
    parser.add_argument("--seed", type=int, default=1, help="which inputs: a number from 1")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    failed = [
        name
        for name in arguments.targets or TARGETS
        if not _is_sound(name, int(TARGETS[name].runs * arguments.times), arguments.seed)
    ]
    print(f"Failed: {', '.join(failed)}. See {CORPUS}." if failed else "No input failed.")  # noqa: T201
    return bool(failed)


def _is_sound(name: str, runs: int, seed: int) -> bool:
    """Whether none of so many inputs fails. libFuzzer ends its process, so that is another one."""
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        process = multiprocessing.get_context("fork").Process(target=_fuzz, args=(name, runs, seed, Path(folder)))
        process.start()
        process.join()
        for failed in (Path(folder) / "failed").iterdir():
            keep_input(name, failed.name, failed.read_bytes())
    print(f"{name}: up to {runs} inputs, {time.monotonic() - started:.0f} s", flush=True)  # noqa: T201
    return process.exitcode == 0


def _fuzz(name: str, runs: int, seed: int, folder: Path) -> None:
    target = TARGETS[name]
    seeds = folder / "seeds"
    seeds.mkdir()
    for number, data in enumerate([*target.seeds(), *failed_inputs(name)]):
        (seeds / f"{number:04}").write_bytes(data)
    tokens = folder / "tokens"
    tokens.write_text(_dictionary(target.tokens))
    failed = folder / "failed"
    failed.mkdir()

    def examine_one(data: bytes) -> None:
        try:
            if crc32(data) % _COUNTED:
                target.check(data)
            else:
                examine(target, data)
        except BaseException:
            (failed / f"failed-{sha256(data).hexdigest()[:16]}").write_bytes(data)
            raise

    options = {
        "runs": runs,
        "seed": seed,
        "max_len": target.max_bytes,
        "len_control": 0,  # up to that length from the beginning
        "timeout": _HANGING_SECONDS,
        "rss_limit_mb": 0,  # see _limit_memory
        "artifact_prefix": f"{failed}/",  # for an input that hangs
        "verbosity": 0,
    } | ({"dict": tokens} if target.tokens else {})
    atheris.Setup(
        [name, *(f"-{option}={value}" for option, value in options.items()), str(seeds)],
        examine_one,
    )
    _limit_memory()
    atheris.Fuzz()


def _dictionary(tokens: Iterable[bytes]) -> str:
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in tokens)


def _limit_memory() -> None:
    """Have an input that takes too much memory fail, with a MemoryError."""
    taken = re.findall(r"VmSize:\s*(\d+) kB", Path("/proc/self/status").read_text())
    limit = int(taken[0]) * 1024 + _MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
