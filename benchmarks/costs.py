"""What the service costs on Azure: ``python -m benchmarks.costs`` prints the tables of docs/costs.md.

Operations are as docs/architecture.md counts them. Prices, and the kind of archive and requests, are parameters:
``python -m benchmarks.costs --hot 0.02 --instance-megabytes 10``.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from typing import Any, Final

_MILLION: Final = 10**6
_HOURS_A_MONTH: Final = 730
_TIMER_RUNS_A_MONTH: Final = _HOURS_A_MONTH * 6
_BLOCK_MEGABYTES: Final = 4
_JOURNAL_SHARDS: Final = 16
_PRIVATE_ENDPOINTS: Final = 6
_PRIVATE_ZONES: Final = 3
_QUEUES: Final = 4
LOG_ALERTS: Final = 8
TEST_PLACES: Final = 3
TEST_MINUTES: Final = 15


def _input(default: float, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """In US dollars."""

    hot: float = _input(0.0208, "a GB of blobs in the hot tier, a month")
    cool: float = _input(0.0115, "a GB of blobs in the cool tier, a month")
    cold: float = _input(0.0045, "a GB of blobs in the cold tier, a month")
    table: float = _input(0.045, "a GB of tables, a month")
    blob_write: float = _input(5.50, "a million writes of blobs, hot")
    blob_read: float = _input(0.44, "a million reads of blobs, hot")
    table_operation: float = _input(0.036, "a million operations on tables")
    queue_operation: float = _input(0.40, "a million operations on queues")
    gigabyte_second: float = _input(0.000026, "a GB-second of executing")
    ready_gigabyte_second: float = _input(0.000004, "a GB-second of an always ready instance")
    executions: float = _input(0.40, "a million executions")
    log: float = _input(2.30, "a GB of logs and telemetry")
    alert: float = _input(0.50, "an alert rule that asks the logs each 15 minutes, a month")
    metric_alert: float = _input(0.10, "an alert on a metric, a month")
    web_test: float = _input(0.0006, "a question of the availability test from one place")
    endpoint: float = _input(0.01, "a private endpoint, an hour")
    zone: float = _input(0.50, "a private DNS zone, a month")


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What the archive holds, and what a request is."""

    instance_megabytes: float = _input(0.5, "MB of an instance")
    row_kilobytes: float = _input(4, "KB of an instance's rows and postings")
    study_instances: int = _input(100, "instances of a study, which a request stores, describes or deletes")
    study_terms: int = _input(30, "partitions of the index that a study is entered in, beside one for each instance")
    studies_found: int = _input(20, "studies that a search finds")
    store_seconds: float = _input(10, "seconds of a request that stores a study")
    delete_seconds: float = _input(5, "seconds of a request that deletes one")
    verify_seconds: float = _input(2, "seconds of verifying a study, its share of the index included")
    reindex_seconds: float = _input(1, "seconds of indexing a study by new tags")
    read_seconds: float = _input(0.3, "seconds of any other request")
    year_studies: int = _input(1000, "studies of the table of a year")
    year_instances: int = _input(500, "instances of each of these")
    instance_gigabytes: float = _input(2, "GB of memory of an instance of the app")
    side_by_side: int = _input(16, "requests that share an instance of the app at best")
    log_kilobytes: float = _input(3, "KB of telemetry of a request")
    queue_look_seconds: float = _input(10, "seconds between two looks of the platform into a queue: an estimate")
    change_kilobytes: float = _input(1, "KB that the platform logs of a write of a blob")


@dataclass(frozen=True, slots=True)
class Operations:
    """The storage operations of a request. Deletes of blobs are free, and not counted."""

    table: int = 0
    blob_writes: int = 0
    blob_reads: int = 0


def store(instances: int, terms: int) -> Operations:
    """Small instances stored into one new study, which has `terms` postings beside theirs.

    Their UIDs are random, which costs more: postings of numbered ones share batches of up to a hundred.
    """
    batches = math.ceil(instances / 96)
    return Operations(table=instances + terms + 2 + 2 * batches, blob_writes=instances)


def retrieve(megabytes: float) -> Operations:
    """An instance, a frame, or another part of an instance, as it is stored."""
    return Operations(table=1, blob_reads=math.ceil(megabytes / _BLOCK_MEGABYTES))


def metadata(instances: int) -> Operations:
    """The metadata of a study."""
    return Operations(table=1 + math.ceil(instances / 1000))


def search(studies: int) -> Operations:
    """A search by one key that follows one list of the index and finds exactly so many studies."""
    return Operations(table=1 + studies)


def poll(studies: int) -> Operations:
    """A request for changes by sequence number, without metadata, of so many studies; nothing is to be drained."""
    return Operations(table=3 + studies if studies else 2)


def drain(stores: int) -> Operations:
    """What stores of a study each, at most a hundred, add to the poll that drains their changes."""
    return Operations(table=2 * stores + 3 + min(stores, _JOURNAL_SHARDS))


def delete(instances: int, terms: int) -> Operations:
    """The delete of a study."""
    listings, batches = math.ceil(instances / 1000), math.ceil(instances / 96)
    return Operations(table=1 + listings + 3 + batches + instances + terms)


def verify(instances: int, terms: int) -> Operations:
    """A study examined in an archive of many: each posting of it is looked up, and for each in the index its study.

    Of an instance's posting, the instance, too. Listing the study's blobs costs as much as a write.
    """
    postings = instances + terms
    return Operations(table=3 + math.ceil(postings / 1000) + 2 * postings + instances, blob_writes=1)


def reindex(instances: int, terms: int, single: int) -> Operations:
    """A study that is indexed by new tags: it has so many postings of them, and each instance has others of its own.

    Their values differ: those of a text share batches, and those of a number do where they are equal.
    """
    pages, batches = instances // 1000 + 1, (instances // 90 if single else 0) + 1
    return Operations(table=2 * pages + 3 * batches + terms + single * instances)


def at_rest(prices: Prices, use: Use) -> Iterator[tuple[str, float]]:
    """The costs of a month without requests: for a million instances, and for what is there beside them."""
    gigabytes = _MILLION * use.instance_megabytes / 1000
    for tier in ("hot", "cool", "cold"):
        yield f"files of a million instances, {gigabytes:,.0f} GB, {tier}", gigabytes * getattr(prices, tier)
    yield "rows of a million instances", _MILLION * use.row_kilobytes / _MILLION * prices.table
    seconds = _TIMER_RUNS_A_MONTH * use.instance_gigabytes
    yield "the timer, before the free grant", seconds * prices.gigabyte_second
    looks = _QUEUES * _HOURS_A_MONTH * 3600 / use.queue_look_seconds
    yield f"the platform's looks into {_QUEUES} queues", looks * prices.queue_operation / _MILLION
    yield f"alerts, {LOG_ALERTS} rules that ask the logs", LOG_ALERTS * prices.alert
    yield "an alert on capacity or egress", prices.metric_alert
    questions = TEST_PLACES * _HOURS_A_MONTH * 60 / TEST_MINUTES
    tested = f"the availability test, {TEST_PLACES} places each {TEST_MINUTES} minutes, and its alert"
    yield tested, questions * prices.web_test + prices.metric_alert
    endpoints = _PRIVATE_ENDPOINTS * prices.endpoint * _HOURS_A_MONTH
    yield "a private network", endpoints + _PRIVATE_ZONES * prices.zone
    ready = use.instance_gigabytes * _HOURS_A_MONTH * 3600 * prices.ready_gigabyte_second
    yield "an always ready instance", ready


@dataclass(frozen=True, slots=True)
class Million:
    """A million of something: the requests it takes, the storage operations of one, and how long one takes."""

    name: str
    requests: float
    operations: Operations
    seconds: float

    def costs(self, prices: Prices, use: Use) -> tuple[float, float, float, float]:
        """The costs of storage, of executing (requests side by side, then each alone) and of logs."""
        one = self.operations
        storage = (
            one.table * prices.table_operation + one.blob_writes * prices.blob_write + one.blob_reads * prices.blob_read
        ) / _MILLION
        executing = use.instance_gigabytes * prices.gigabyte_second
        execution = prices.executions / _MILLION
        together = self.seconds / use.side_by_side * executing + execution
        # A working instance is billed for at least a second.
        alone = max(self.seconds, 1) * executing + execution
        logged = (use.log_kilobytes + one.blob_writes * use.change_kilobytes) / _MILLION * prices.log
        return (
            storage * self.requests,
            together * self.requests,
            alone * self.requests,
            logged * self.requests,
        )


def millions(use: Use) -> list[Million]:
    """The most frequent requests."""
    studies = _MILLION / use.study_instances
    size, terms = use.study_instances, use.study_terms
    told = Operations(table=poll(1).table + drain(1).table)
    return [
        Million("instances stored", studies, store(size, terms), use.store_seconds),
        Million("instances retrieved", _MILLION, retrieve(use.instance_megabytes), use.read_seconds),
        Million("frames retrieved", _MILLION, retrieve(0.5), use.read_seconds),
        Million("studies' metadata", _MILLION, metadata(size), use.read_seconds),
        Million("searches", _MILLION, search(use.studies_found), use.read_seconds),
        Million("polls of the change feed that find nothing", _MILLION, poll(0), use.read_seconds),
        Million("studies told of by the change feed", _MILLION, told, use.read_seconds),
        Million("instances verified, without reading their files", studies, verify(size, terms), use.verify_seconds),
        Million("instances reindexed, by a tag of their studies", studies, reindex(size, 1, 0), use.reindex_seconds),
        Million("instances reindexed, by a tag of their own", studies, reindex(size, 0, 1), use.reindex_seconds),
        Million("instances deleted", studies, delete(size, terms), use.delete_seconds),
    ]


def year(prices: Prices, use: Use) -> Iterator[tuple[str, float, float, float]]:
    """Some studies stored, looked at once and kept for a year: operations, GB moved or kept, and US dollars.

    Looking at a study is a search for it, and retrieving its metadata and a frame of each instance.
    """
    studies, instances = use.year_studies, use.year_instances
    gigabytes = studies * instances * use.instance_megabytes / 1000
    of_instances = [
        ("store", studies, store(instances, use.study_terms), use.store_seconds * instances / use.study_instances),
        ("search", studies, search(1), use.read_seconds),
        ("metadata", studies, metadata(instances), use.read_seconds),
        ("a frame of each instance", studies * instances, retrieve(use.instance_megabytes), use.read_seconds),
    ]
    for name, requests, operations, seconds in of_instances:
        storage, together, _, logs = Million(name, requests, operations, seconds).costs(prices, use)
        counted = requests * (operations.table + operations.blob_writes + operations.blob_reads)
        moved = 0 if name in ("search", "metadata") else gigabytes
        yield name, counted, moved, storage + together + logs
    rows = studies * instances * use.row_kilobytes / _MILLION
    yield "kept, hot", 0, gigabytes + rows, 12 * (gigabytes * prices.hot + rows * prices.table)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _inputs(inputs: Prices | Use) -> Iterator[str]:
    yield _row("parameter", "default", "meaning")
    yield _row("---", "---", "---")
    for one in fields(inputs):
        yield _row(f"`--{_option(one)}`", _plain(getattr(inputs, one.name)), one.metadata["meaning"])


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def tables(prices: Prices, use: Use) -> dict[str, str]:
    """The tables of docs/costs.md, by their headings."""
    rest = [_row("at rest", "US dollars a month"), _row("---", "---")]
    rest += [_row(name, f"{cost:,.2f}") for name, cost in at_rest(prices, use)]
    heads = ("a million", "table", "blob writes", "blob reads", "storage", "executing", "logs", "all, in US dollars")
    asked = [_row(*heads), _row(*["---"] * len(heads))]
    for million in millions(use):
        one, times = million.operations, million.requests / _MILLION
        storage, together, alone, logs = million.costs(prices, use)
        counts = [f"{count * times:,.2f} M" for count in (one.table, one.blob_writes, one.blob_reads)]
        executing = f"{together:,.2f} to {alone:,.2f}"
        everything = f"{storage + together + logs:,.2f} to {storage + alone + logs:,.2f}"
        asked.append(_row(million.name, *counts, f"{storage:,.2f}", executing, f"{logs:,.2f}", everything))
    lines = list(year(prices, use))
    operations, dollars = sum(line[1] for line in lines), sum(line[3] for line in lines)
    yearly = [_row("a year", "storage operations", "GB", "US dollars"), _row(*["---"] * 4)]
    yearly += [_row(name, f"{count:,.0f}", f"{size:,.0f}", f"{cost:,.2f}") for name, count, size, cost in lines]
    yearly.append(_row("all", f"{operations:,.0f}", "", f"{dollars:,.2f}"))
    return {
        "At rest": "\n".join(rest),
        "In use": "\n".join(asked),
        "A year": "\n".join(yearly),
        "Prices": "\n".join(_inputs(prices)),
        "Use": "\n".join(_inputs(use)),
    }


def _option(one: "Field[Any]") -> str:
    return one.name.replace("_", "-")


def main() -> None:
    """Print the tables for the given prices and use."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description="What the service costs on Azure.")
    for one in (*fields(Prices), *fields(Use)):
        kind, meaning = type(one.default), one.metadata["meaning"]
        parser.add_argument(f"--{_option(one)}", type=kind, default=one.default, help=meaning)
    given = vars(parser.parse_args())
    prices = Prices(**{one.name: given[one.name] for one in fields(Prices)})
    use = Use(**{one.name: given[one.name] for one in fields(Use)})
    for heading, table in tables(prices, use).items():
        print(f"{heading}\n\n{table}\n")


if __name__ == "__main__":
    main()
