"""Changes to the rows of findings and collections, each inside a transaction of its caller's.

A change of a row claims its version; see `explorer.findings.store`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, case, delete, func, insert, select, update

from explorer.errors import ConflictError, InputError
from explorer.findings import queries
from explorer.findings.model import (
    Collection,
    Finding,
    Saved,
    SavedCollection,
    SavedFinding,
    check_id,
)
from explorer.findings.tables import COLLECTIONS, FINDINGS, MEMBERS, NEURONS, TAGS


def now() -> str:
    """Return the time as it is stored: UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_id() -> str:
    """Return an id that nothing has yet."""
    return secrets.token_hex(8)


def fresh() -> dict[str, Any]:
    """Return the stamps of something new."""
    time = now()
    return {"id": new_id(), "version": 1, "created": time, "changed": time, "deleted": None}


def times(saved: Saved) -> dict[str, Any]:
    """Return the stamps of something saved."""
    return {name: getattr(saved, name) for name in queries.STAMPS}


def finding_values(finding: Finding) -> dict[str, Any]:
    """Return a finding's columns."""
    return {
        "bundle_name": finding.bundle.name,
        "bundle_digest": finding.bundle.digest,
        "kind": finding.kind,
        "subject": json.dumps(finding.subject, ensure_ascii=False, sort_keys=True),
        "title": finding.title,
        "note": finding.note,
        "author": finding.author,
        "searched": queries.folded(
            "\n".join((finding.title, finding.note, " ".join(finding.tags), finding.author))
        ),
    }


def insert_finding(connection: Connection, saved: SavedFinding) -> SavedFinding:
    """Add a finding and return it."""
    values = times(saved) | finding_values(saved.content)
    connection.execute(insert(FINDINGS).values(**values))
    insert_parts(connection, saved.id, saved.content)
    return saved


def insert_parts(connection: Connection, identifier: str, finding: Finding) -> None:
    """Add a finding's tags and neurons."""
    tags = [{"finding": identifier, "tag": tag} for tag in finding.tags]
    neurons = [
        {"finding": identifier, "layer": ref.layer, "neuron": ref.neuron} for ref in finding.neurons
    ]
    for table, rows in ((TAGS, tags), (NEURONS, neurons)):
        if rows:
            connection.execute(insert(table), rows)


def insert_collection(connection: Connection, saved: SavedCollection) -> None:
    """Add a collection."""
    texts = {name: getattr(saved.content, name) for name in ("title", "note", "author")}
    connection.execute(insert(COLLECTIONS).values(**times(saved), **texts))
    insert_members(connection, saved.id, saved.content.findings)


def insert_members(
    connection: Connection, identifier: str, findings: Sequence[str], start: int = 0
) -> None:
    """Add findings to a collection, the first at place `start`.

    Raises:
        InputError: when one is not there.
    """
    query = select(FINDINGS.c.id).where(FINDINGS.c.id.in_(findings), FINDINGS.c.deleted.is_(None))
    there = set(connection.execute(query).scalars())
    missing = [finding for finding in findings if finding not in there]
    if missing:
        raise InputError(f"There is no finding {missing[0]} to put into a collection.")
    if findings:
        rows = [
            {"collection": identifier, "finding": finding, "place": place}
            for place, finding in enumerate(findings, start)
        ]
        connection.execute(insert(MEMBERS), rows)


def append(connection: Connection, identifier: str, finding: str) -> None:
    """Add a finding at the end of a collection that lacks it.

    Raises:
        InputError: when either is not there, or the collection was deleted.
    """
    row = queries.row(connection, COLLECTIONS, check_id(identifier), lock=True)
    if row["deleted"] is not None:
        raise InputError("This collection was deleted: restore it first.")
    members = MEMBERS.c.collection == identifier
    found = select(MEMBERS.c.finding).where(members, MEMBERS.c.finding == finding)
    if connection.execute(found).first() is None:
        last = select(func.max(MEMBERS.c.place)).where(members)
        place = connection.execute(last).scalar()
        start = 0 if place is None else place + 1
        insert_members(connection, identifier, [check_id(finding)], start)
        claim(connection, COLLECTIONS, identifier, row["version"], {})


def claim(
    connection: Connection, table: Table, identifier: str, version: int, values: dict[str, Any]
) -> None:
    """Change a row if it still has the version, and count the version up.

    The time of a change is never before that of the last one, whatever the clock says.
    """
    time = now()
    changed = case((table.c.changed > time, table.c.changed), else_=time)
    query = (
        update(table)
        .where(table.c.id == identifier, table.c.version == version, table.c.deleted.is_(None))
        .values(version=version + 1, changed=changed, **values)
    )
    if connection.execute(query).rowcount == 1:
        return
    row = queries.row(connection, table, check_id(identifier))
    what = queries.WHAT[table.name]
    if row["deleted"] is not None:
        raise ConflictError(f"This {what} was deleted meanwhile: restore it before editing it.")
    by = f" by {row['author']}" if row["author"] else ""
    raise ConflictError(
        f"This {what}{by} was changed meanwhile (version {row['version']}, yours was made from "
        f"{version}): nothing was overwritten."
    )


def unmark(connection: Connection, table: Table, identifier: str) -> None:
    """Bring back what was deleted."""
    queries.row(connection, table, check_id(identifier))
    query = update(table).where(table.c.id == identifier, table.c.deleted.is_not(None))
    connection.execute(query.values(deleted=None, version=table.c.version + 1))


def purge(connection: Connection, table: Table, identifier: str) -> None:
    """Erase what was deleted.

    Raises:
        InputError: when there is nothing of this id, or it was not deleted before.
    """
    query = delete(table).where(table.c.id == check_id(identifier), table.c.deleted.is_not(None))
    if connection.execute(query).rowcount == 0:
        queries.row(connection, table, identifier)
        raise InputError(
            f"Only a deleted {queries.WHAT[table.name]} can be erased: delete it first."
        )


def merge_finding(connection: Connection, saved: SavedFinding) -> tuple[str, str]:
    """Add a finding, or find it there; return its id here and what became of it."""
    query = select(FINDINGS).where(FINDINGS.c.id == check_id(saved.id))
    row = connection.execute(query).mappings().first()
    if row is None:
        insert_finding(connection, _undeleted(saved, saved.id))
        return saved.id, "added"
    if queries.findings(connection, [row])[0].content == saved.content:
        unmark(connection, FINDINGS, saved.id)
        return saved.id, "present"
    copy = insert_finding(connection, _undeleted(saved, new_id()))
    return copy.id, "copied"


def merge_collection(
    connection: Connection, saved: SavedCollection, names: Mapping[str, str]
) -> str:
    """Add a collection under its id or a new one; return its id, or nothing if it was there."""
    content = saved.content
    findings = tuple(dict.fromkeys(names[i] for i in content.findings if i in names))
    wanted = Collection(content.title, findings, content.note, content.author)
    query = select(COLLECTIONS).where(COLLECTIONS.c.id == check_id(saved.id))
    row = connection.execute(query).mappings().first()
    if row is not None and queries.collections(connection, [row])[0].content == wanted:
        unmark(connection, COLLECTIONS, saved.id)
        return ""
    identifier = saved.id if row is None else new_id()
    stamps = times(saved) | {"id": identifier, "deleted": None}
    insert_collection(connection, SavedCollection(**stamps, content=wanted))
    return identifier


def _undeleted(saved: SavedFinding, identifier: str) -> SavedFinding:
    return SavedFinding(
        **(times(saved) | {"id": identifier, "deleted": None}), content=saved.content
    )
