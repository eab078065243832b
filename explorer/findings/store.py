"""Where findings live.

Every change names the version it was made from: if someone else was faster, nothing is overwritten
and a `ConflictError` says so. What is deleted is only marked, so that it can be brought back, until
it is purged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    Select,
    delete,
    func,
    select,
    text,
)

from explorer.errors import InputError
from explorer.findings import changes, queries
from explorer.findings.database import Database
from explorer.findings.migrations import LOCK
from explorer.findings.model import (
    BundleRef,
    Collection,
    Finding,
    SavedCollection,
    SavedFinding,
    check_id,
)
from explorer.findings.queries import Wanted
from explorer.findings.tables import COLLECTIONS, FINDINGS, MEMBERS, NEURONS, TAGS

PER_PAGE = 20
MOST_FACETS = 500  # tags, authors and bundles that filters offer
SORTS = {
    "changed": FINDINGS.c.changed.desc(),
    "created": FINDINGS.c.created.desc(),
    "title": func.lower(FINDINGS.c.title),
    "author": func.lower(FINDINGS.c.author),
}


@dataclass(frozen=True)
class Facets:
    """What the findings that are there can be filtered by, most frequent first, with counts."""

    tags: dict[str, int]
    authors: dict[str, int]
    bundles: dict[BundleRef, int]


@dataclass(frozen=True)
class Merged:
    """What became of imported findings: ids added, already there, and added as copies."""

    added: tuple[str, ...]
    present: tuple[str, ...]
    copied: tuple[str, ...]
    collections: tuple[str, ...]  # ids of the collections added


class Store:
    """Findings and collections in a database; usable from several threads and processes."""

    def __init__(self, url: str) -> None:
        """Open the database at `url`.

        Raises:
            InputError: when the URL is neither SQLite's nor PostgreSQL's.
            StoreError: when the database cannot be reached, or is of a newer version.
        """
        self._database = Database(url)

    def close(self) -> None:
        """Give every connection back."""
        self._database.close()

    # findings

    def add(
        self, finding: Finding, identifier: str = "", into: str | Collection = ""
    ) -> SavedFinding:
        """Store a new finding and return it with its id, or do nothing at all.

        Args:
            finding: what is stored.
            identifier: from `new_id`, for an attempt that may be repeated: what is there under it
                with the same content is not stored again.
            into: the id of a collection, or a new collection, that it is put into at once.

        Raises:
            InputError: when there is no such collection, or it is deleted.
        """
        with self._database.write() as connection:
            if identifier:
                query = select(FINDINGS).where(FINDINGS.c.id == check_id(identifier))
                row = connection.execute(query).mappings().first()
                if row is not None and queries.findings(connection, [row])[0].content == finding:
                    return queries.finding(connection, identifier)
                identifier = "" if row is not None else identifier
            stamps = changes.fresh() | ({"id": identifier} if identifier else {})
            saved = changes.insert_finding(connection, SavedFinding(**stamps, content=finding))
            if isinstance(into, Collection):
                group = replace(into, findings=(*into.findings, saved.id))
                changes.insert_collection(
                    connection, SavedCollection(**changes.fresh(), content=group)
                )
            elif into:
                changes.append(connection, into, saved.id)
            return saved

    def get(self, identifier: str) -> SavedFinding:
        """Return a finding, deleted ones too (their `deleted` says when).

        Raises:
            InputError: when there is none of that id.
        """
        with self._database.read() as connection:
            return queries.finding(connection, identifier)

    def save(self, identifier: str, version: int, finding: Finding) -> SavedFinding:
        """Replace a finding's content, given the version the edit was made from.

        Raises:
            InputError: when there is none of that id.
            ConflictError: when it was changed or deleted since.
        """
        with self._database.write() as connection:
            changes.claim(
                connection, FINDINGS, identifier, version, changes.finding_values(finding)
            )
            for table in (TAGS, NEURONS):
                connection.execute(delete(table).where(table.c.finding == identifier))
            changes.insert_parts(connection, identifier, finding)
            return queries.finding(connection, identifier)

    def delete(self, identifier: str, version: int) -> None:
        """Mark a finding as deleted.

        Raises:
            InputError: when there is none of that id.
            ConflictError: when it was changed or deleted since.
        """
        with self._database.write() as connection:
            changes.claim(connection, FINDINGS, identifier, version, {"deleted": changes.now()})

    def restore(self, identifier: str) -> SavedFinding:
        """Bring a deleted finding back, into its collections too.

        Raises:
            InputError: when there is none of that id.
        """
        with self._database.write() as connection:
            changes.unmark(connection, FINDINGS, identifier)
            return queries.finding(connection, identifier)

    def purge(self, identifier: str) -> None:
        """Erase a deleted finding for good.

        Raises:
            InputError: when there is none, or it is not deleted.
        """
        with self._database.write() as connection:
            changes.purge(connection, FINDINGS, identifier)

    def find(self, wanted: Wanted, page: int = 1, per_page: int = PER_PAGE) -> list[SavedFinding]:
        """Return one page of findings, from 1 on."""
        if wanted.sort not in SORTS:
            raise InputError(f"Findings are sorted by {', '.join(SORTS)}, not {wanted.sort!r}.")
        query = (
            queries.filtered(select(FINDINGS.c.id), wanted)
            .order_by(SORTS[wanted.sort], FINDINGS.c.id)
            .limit(per_page)
            .offset((page - 1) * per_page)
        )
        with self._database.read() as connection:
            return queries.findings_by_id(connection, connection.execute(query).scalars().all())

    def count(self, wanted: Wanted) -> int:
        """Return how many findings there are."""
        query = queries.filtered(select(func.count()).select_from(FINDINGS), wanted)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def facets(self) -> Facets:
        """Return the most frequent tags, authors and bundles of the findings that are there."""
        there = FINDINGS.c.deleted.is_(None)
        number = func.count()

        def counted(*columns: Any, query: Select[Any]) -> list[Any]:
            query = query.where(there).group_by(*columns).order_by(number.desc(), *columns)
            return list(connection.execute(query.limit(MOST_FACETS)).all())

        with self._database.read() as connection:
            joined = TAGS.join(FINDINGS, FINDINGS.c.id == TAGS.c.finding)
            tags = counted(TAGS.c.tag, query=select(TAGS.c.tag, number).select_from(joined))
            author, bundle = FINDINGS.c.author, (FINDINGS.c.bundle_name, FINDINGS.c.bundle_digest)
            authors = counted(author, query=select(author, number))
            bundles = counted(*bundle, query=select(*bundle, number))
        return Facets(
            {tag: count for tag, count in tags},
            {name: count for name, count in authors if name},
            {BundleRef(name, digest): count for name, digest, count in bundles},
        )

    # collections

    def add_collection(
        self, collection: Collection, findings: Sequence[Finding] = ()
    ) -> SavedCollection:
        """Store a new collection, and new findings at its end, together or not at all.

        Raises:
            InputError: when it names a finding that is not there.
        """
        with self._database.write() as connection:
            new = [SavedFinding(**changes.fresh(), content=finding) for finding in findings]
            for item in new:
                changes.insert_finding(connection, item)
            ids = (*collection.findings, *(item.id for item in new))
            saved = SavedCollection(**changes.fresh(), content=replace(collection, findings=ids))
            changes.insert_collection(connection, saved)
        return saved

    def get_collection(self, identifier: str) -> SavedCollection:
        """Return a collection, deleted ones too.

        Raises:
            InputError: when there is none of that id.
        """
        with self._database.read() as connection:
            return queries.collection(connection, identifier)

    def save_collection(
        self, identifier: str, version: int, collection: Collection
    ) -> SavedCollection:
        """Replace a collection's texts and its findings' order.

        Raises:
            InputError: when there is none of that id, or a finding is not there.
            ConflictError: when it was changed or deleted since.
        """
        values = {name: getattr(collection, name) for name in ("title", "note", "author")}
        with self._database.write() as connection:
            changes.claim(connection, COLLECTIONS, identifier, version, values)
            there = select(FINDINGS.c.id).where(FINDINGS.c.deleted.is_(None))
            connection.execute(
                delete(MEMBERS).where(
                    MEMBERS.c.collection == identifier, MEMBERS.c.finding.in_(there)
                )
            )  # a deleted finding keeps its place, should it come back
            changes.insert_members(connection, identifier, collection.findings)
            return queries.collection(connection, identifier)

    def append(self, identifier: str, finding: str) -> SavedCollection:
        """Put a finding at a collection's end, unless it is in it already.

        No version is asked for: additions by several people don't stand in each other's way.

        Raises:
            InputError: when there is no such collection or finding, or one is deleted.
        """
        with self._database.write() as connection:
            changes.append(connection, identifier, finding)
            return queries.collection(connection, identifier)

    def delete_collection(self, identifier: str, version: int) -> None:
        """Mark a collection as deleted; its findings stay.

        Raises:
            InputError: when there is none of that id.
            ConflictError: when it was changed or deleted since.
        """
        with self._database.write() as connection:
            changes.claim(connection, COLLECTIONS, identifier, version, {"deleted": changes.now()})

    def restore_collection(self, identifier: str) -> SavedCollection:
        """Bring a deleted collection back.

        Raises:
            InputError: when there is none of that id.
        """
        with self._database.write() as connection:
            changes.unmark(connection, COLLECTIONS, identifier)
            return queries.collection(connection, identifier)

    def purge_collection(self, identifier: str) -> None:
        """Erase a deleted collection for good; its findings stay.

        Raises:
            InputError: when there is none, or it is not deleted.
        """
        with self._database.write() as connection:
            changes.purge(connection, COLLECTIONS, identifier)

    def collections(
        self, word: str = "", deleted: bool = False, page: int = 1, per_page: int = PER_PAGE
    ) -> list[SavedCollection]:
        """Return one page of the collections that hold all words, the last changed first."""
        query = (
            queries.listed(select(COLLECTIONS), word, deleted)
            .order_by(COLLECTIONS.c.changed.desc(), COLLECTIONS.c.id)
            .limit(per_page)
            .offset((page - 1) * per_page)
        )
        with self._database.read() as connection:
            return queries.collections(connection, connection.execute(query).mappings().all())

    def count_collections(self, word: str = "", deleted: bool = False) -> int:
        """Return how many collections there are."""
        query = queries.listed(select(func.count()).select_from(COLLECTIONS), word, deleted)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def titles(self, holding: str = "") -> dict[str, str]:
        """Return the collections' titles by id, sorted; `holding`: those with that finding."""
        query = select(COLLECTIONS.c.id, COLLECTIONS.c.title).where(COLLECTIONS.c.deleted.is_(None))
        if holding:
            inside = select(MEMBERS.c.collection).where(MEMBERS.c.finding == holding)
            query = query.where(COLLECTIONS.c.id.in_(inside))
        query = query.order_by(func.lower(COLLECTIONS.c.title), COLLECTIONS.c.id)
        with self._database.read() as connection:
            return {row.id: row.title for row in connection.execute(query)}

    def members(
        self, collection: SavedCollection, start: int = 0, most: int | None = None
    ) -> list[SavedFinding]:
        """Return a collection's findings in its order, from `start` on."""
        ids = collection.content.findings[start : None if most is None else start + most]
        with self._database.read() as connection:
            return queries.findings_by_id(connection, ids)

    def copied_bytes(self, identifier: str) -> int:
        """Return how many bytes the pictures have that a collection's findings hold themselves."""
        query = (
            select(func.sum(func.length(FINDINGS.c.subject)))
            .select_from(MEMBERS.join(FINDINGS, FINDINGS.c.id == MEMBERS.c.finding))
            .where(MEMBERS.c.collection == identifier, FINDINGS.c.kind == "copy")
            .where(FINDINGS.c.deleted.is_(None))
        )
        with self._database.read() as connection:
            return int(connection.execute(query).scalar() or 0) * 3 // 4  # written in base64

    # imports

    def merge(
        self, findings: Sequence[SavedFinding], collections: Sequence[SavedCollection] = ()
    ) -> Merged:
        """Add findings and collections from elsewhere, all or none.

        One whose id is free keeps it; one that is already there with the same content stays as it
        is (a deleted one comes back); one that differs from what has its id becomes a copy under a
        new id. Collections name the findings as they came in.
        """
        fates: dict[str, list[str]] = {"added": [], "present": [], "copied": []}
        names: dict[str, str] = {}
        made: list[str] = []
        with self._database.write() as connection:
            if connection.dialect.name == "postgresql":  # two imports of one file take turns
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            for saved in findings:
                kept, fate = changes.merge_finding(connection, saved)
                names[saved.id] = kept
                fates[fate].append(kept)
            for group in collections:
                kept = changes.merge_collection(connection, group, names)
                made += [kept] if kept else []
        return Merged(**{fate: tuple(ids) for fate, ids in fates.items()}, collections=tuple(made))
