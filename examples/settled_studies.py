"""`python -m examples.settled_studies DATABASE PORT`: keeps the series and instances of settled studies in SQLite.

A study that has changed replaces its rows once it has settled again, and one that was deleted loses them. receiver.py
says what it needs.
"""

import sqlite3
import sys
from contextlib import closing

from examples.receiver import Metadata, serve, value

TABLES = """
CREATE TABLE IF NOT EXISTS series (
    study_uid TEXT, series_uid TEXT, modality TEXT, number INTEGER, description TEXT,
    PRIMARY KEY (study_uid, series_uid)
);
CREATE TABLE IF NOT EXISTS instances (
    study_uid TEXT, series_uid TEXT, instance_uid TEXT, sop_class_uid TEXT, number INTEGER,
    PRIMARY KEY (study_uid, series_uid, instance_uid)
);
"""
SERIES = ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription")
INSTANCE = ("SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "InstanceNumber")


def replace(database: str, study: str, instances: list[Metadata]) -> None:
    """Have the database hold these instances of a study, and no others: all at once, or as it was."""
    series = {value(one, "SeriesInstanceUID"): [study, *(value(one, name) for name in SERIES)] for one in instances}
    rows = [[study, *(value(one, name) for name in INSTANCE)] for one in instances]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM series WHERE study_uid = ?", [study])
        connection.execute("DELETE FROM instances WHERE study_uid = ?", [study])
        connection.executemany("INSERT INTO series VALUES (?, ?, ?, ?, ?)", series.values())
        connection.executemany("INSERT INTO instances VALUES (?, ?, ?, ?, ?)", rows)


def main() -> None:
    """Receive events until interrupted."""
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m examples.settled_studies DATABASE PORT")
    database, port = sys.argv[1:]
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(TABLES)
    serve(int(port), lambda study, instances: replace(database, study, instances))


if __name__ == "__main__":
    main()
