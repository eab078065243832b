"""Rows of the database read as findings and collections, and the conditions of lists of them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Table, func, select

from explorer.errors import InputError
from explorer.findings.model import (
    BundleRef,
    Collection,
    Finding,
    NeuronRef,
    Saved,
    SavedCollection,
    SavedFinding,
    check_id,
    read_subject,
)
from explorer.findings.tables import COLLECTIONS, FINDINGS, MEMBERS, NEURONS, TAGS

STAMPS = tuple(part.name for part in fields(Saved))
WHAT = {FINDINGS.name: "finding", COLLECTIONS.name: "collection"}


@dataclass(frozen=True)
class Wanted:
    """Which findings to list: parts left empty do not filter."""

    word: str = ""  # in title, note, tags or author, upper and lower case alike
    tag: str = ""
    author: str = ""
    digest: str = ""  # of the bundle
    neuron: NeuronRef | None = None
    sort: str = "changed"
    deleted: bool = False  # the deleted ones instead


def folded(text: str) -> str:
    """Return a text as it is searched: upper and lower case alike, accents in one form."""
    return unicodedata.normalize("NFC", text.casefold())


def row(connection: Connection, table: Table, identifier: str, lock: bool = False) -> RowMapping:
    """Return the row of an id, locked until the transaction ends if asked for.

    Raises:
        InputError: when there is none.
    """
    query = select(table).where(table.c.id == identifier)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise InputError(f"There is no {WHAT[table.name]} {identifier} here.")
    return row


def listed(query: Select[Any], word: str, deleted: bool) -> Select[Any]:
    """Narrow a query of collections to those that hold every word, or to the deleted ones."""
    columns = COLLECTIONS.c
    query = query.where(columns.deleted.is_not(None) if deleted else columns.deleted.is_(None))
    searched = func.lower(columns.title + " " + columns.note + " " + columns.author)
    for part in word.lower().split():
        query = query.where(searched.contains(part, autoescape=True))
    return query


def filtered(query: Select[Any], wanted: Wanted) -> Select[Any]:
    """Narrow a query of findings to those that are wanted."""
    columns = FINDINGS.c
    query = query.where(
        columns.deleted.is_not(None) if wanted.deleted else columns.deleted.is_(None)
    )
    for word in folded(wanted.word).split():
        query = query.where(columns.searched.contains(word, autoescape=True))
    if wanted.tag:
        tagged = select(TAGS.c.finding).where(TAGS.c.tag == wanted.tag.lower())
        query = query.where(columns.id.in_(tagged))
    if wanted.neuron:
        about = select(NEURONS.c.finding).where(
            NEURONS.c.layer == wanted.neuron.layer, NEURONS.c.neuron == wanted.neuron.neuron
        )
        query = query.where(columns.id.in_(about))
    if wanted.author:
        query = query.where(columns.author == wanted.author)
    if wanted.digest:
        query = query.where(columns.bundle_digest == wanted.digest)
    return query


def finding(connection: Connection, identifier: str) -> SavedFinding:
    """Return the finding of an id.

    Raises:
        InputError: when there is none.
    """
    return findings(connection, [row(connection, FINDINGS, check_id(identifier))])[0]


def collection(connection: Connection, identifier: str) -> SavedCollection:
    """Return the collection of an id.

    Raises:
        InputError: when there is none.
    """
    return collections(connection, [row(connection, COLLECTIONS, check_id(identifier))])[0]


def findings(connection: Connection, rows: Sequence[RowMapping]) -> list[SavedFinding]:
    """Return the findings that rows hold, with their tags."""
    ids = [row["id"] for row in rows]
    tags: dict[str, list[str]] = {identifier: [] for identifier in ids}
    if ids:
        query = select(TAGS).where(TAGS.c.finding.in_(ids)).order_by(TAGS.c.tag)
        for finding, tag in connection.execute(query):
            tags[finding].append(tag)
    return [SavedFinding(**_stamps(row), content=_content(row, tags[row["id"]])) for row in rows]


def findings_by_id(connection: Connection, ids: Sequence[str]) -> list[SavedFinding]:
    """Return findings by id, in this order: sorting ids is far less work than whole rows."""
    query = select(FINDINGS).where(FINDINGS.c.id.in_(ids))
    rows = {row["id"]: row for row in connection.execute(query).mappings()}
    return findings(connection, [rows[i] for i in ids if i in rows])


def _stamps(row: RowMapping) -> dict[str, Any]:
    return {name: row[name] for name in STAMPS}


def _content(row: RowMapping, tags: Iterable[str]) -> Finding:
    return Finding(
        bundle=BundleRef(row["bundle_name"], row["bundle_digest"]),
        title=row["title"],
        note=row["note"],
        author=row["author"],
        tags=tuple(sorted(tags)),  # a database's own order of texts depends on its locale
        **read_subject(row["kind"], json.loads(row["subject"])),
    )


def collections(connection: Connection, rows: Sequence[RowMapping]) -> list[SavedCollection]:
    """Return the collections that rows hold, with the members that are not deleted."""
    members: dict[str, list[str]] = {row["id"]: [] for row in rows}
    if members:
        joined = MEMBERS.join(FINDINGS, FINDINGS.c.id == MEMBERS.c.finding)
        query = (
            select(MEMBERS.c.collection, MEMBERS.c.finding)
            .select_from(joined)
            .where(MEMBERS.c.collection.in_(members), FINDINGS.c.deleted.is_(None))
            .order_by(MEMBERS.c.place, MEMBERS.c.finding)
        )
        for collection, finding in connection.execute(query):
            members[collection].append(finding)
    return [
        SavedCollection(
            **_stamps(row),
            content=Collection(row["title"], tuple(members[row["id"]]), row["note"], row["author"]),
        )
        for row in rows
    ]
