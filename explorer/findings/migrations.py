"""The database's schema, as numbered steps that are only ever added to.

`explorer_schema` holds the number of the last step taken. The steps are plain SQL that SQLite and
PostgreSQL both read; they run in one transaction under a lock, so that several servers may start on
an empty database at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from explorer.errors import StoreError

Step = tuple[str, ...]

STEPS: tuple[Step, ...] = (
    (
        """CREATE TABLE findings (
            id TEXT PRIMARY KEY, version INTEGER NOT NULL, created TEXT NOT NULL,
            changed TEXT NOT NULL, deleted TEXT, bundle_name TEXT NOT NULL,
            bundle_digest TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
            title TEXT NOT NULL, note TEXT NOT NULL, author TEXT NOT NULL,
            searched TEXT NOT NULL)""",
        "CREATE INDEX findings_by_change ON findings (changed)",
        "CREATE INDEX findings_by_bundle ON findings (bundle_digest)",
        """CREATE TABLE finding_tags (
            finding TEXT NOT NULL REFERENCES findings (id) ON DELETE CASCADE,
            tag TEXT NOT NULL, PRIMARY KEY (finding, tag))""",
        "CREATE INDEX finding_tags_by_tag ON finding_tags (tag)",
        """CREATE TABLE finding_neurons (
            finding TEXT NOT NULL REFERENCES findings (id) ON DELETE CASCADE,
            layer INTEGER NOT NULL, neuron INTEGER NOT NULL,
            PRIMARY KEY (finding, layer, neuron))""",
        "CREATE INDEX finding_neurons_by_place ON finding_neurons (layer, neuron)",
        """CREATE TABLE collections (
            id TEXT PRIMARY KEY, version INTEGER NOT NULL, created TEXT NOT NULL,
            changed TEXT NOT NULL, deleted TEXT, title TEXT NOT NULL, note TEXT NOT NULL,
            author TEXT NOT NULL)""",
        """CREATE TABLE collection_findings (
            collection TEXT NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
            finding TEXT NOT NULL REFERENCES findings (id) ON DELETE CASCADE,
            place INTEGER NOT NULL, PRIMARY KEY (collection, finding))""",
    ),
    (  # findings may be about a page's view from here on, which version 1 cannot read
        "DROP INDEX findings_by_change",
        "CREATE INDEX findings_by_change ON findings (deleted, changed, id)",
        "CREATE INDEX findings_by_creation ON findings (deleted, created, id)",
        "CREATE INDEX findings_there ON findings (deleted, id)",
        "CREATE INDEX findings_by_author ON findings (deleted, author)",
        "CREATE INDEX findings_by_name ON findings (deleted, bundle_name, bundle_digest)",
        "CREATE INDEX collections_by_change ON collections (changed)",
        "CREATE INDEX collection_findings_by_finding ON collection_findings (finding)",
    ),
)
LOCK = 7_203_614_551  # of PostgreSQL's advisory locks, this package's own


def migrate(connection: Connection, steps: Sequence[Step] = STEPS) -> int:
    """Take the steps that are missing, within the caller's write transaction; return their number.

    Raises:
        StoreError: when the database was written by a newer version.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    connection.execute(text("CREATE TABLE IF NOT EXISTS explorer_schema (number INTEGER NOT NULL)"))
    taken = connection.execute(text("SELECT max(number) FROM explorer_schema")).scalar() or 0
    if taken > len(steps):
        raise StoreError(
            f"The findings' database has schema {taken} and this version knows {len(steps)}: "
            "update the explorer, or name another database."
        )
    for number, step in enumerate(steps[taken:], start=taken + 1):
        for statement in step:
            connection.execute(text(statement))
        connection.execute(text("DELETE FROM explorer_schema"))
        connection.execute(text("INSERT INTO explorer_schema VALUES (:number)"), {"number": number})
    return len(steps) - taken
