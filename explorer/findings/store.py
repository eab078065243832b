"""Where findings live.

Every change names the version it was made from: if someone else was faster, nothing is overwritten
and a `ConflictError` says so. What is deleted is only marked, so that it can be brought back, until
it is purged.
"""

from __future__ import annotations

import json
import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    Table,
    case,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from explorer.errors import ConflictError, InputError
from explorer.findings.database import Database
from explorer.findings.migrations import LOCK
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

PER_PAGE = 20
MOST_FACETS = 500  # tags, authors and bundles that filters offer
SORTS = {
    "changed": FINDINGS.c.changed.desc(),
    "created": FINDINGS.c.created.desc(),
    "title": func.lower(FINDINGS.c.title),
    "author": func.lower(FINDINGS.c.author),
}
STAMPS = tuple(part.name for part in fields(Saved))
_WHAT = {FINDINGS.name: "finding", COLLECTIONS.name: "collection"}


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
                if row is not None and _findings(connection, [row])[0].content == finding:
                    return _finding(connection, identifier)
                identifier = "" if row is not None else identifier
            stamps = _fresh() | ({"id": identifier} if identifier else {})
            saved = _insert_finding(connection, SavedFinding(**stamps, content=finding))
            if isinstance(into, Collection):
                group = replace(into, findings=(*into.findings, saved.id))
                _insert_collection(connection, SavedCollection(**_fresh(), content=group))
            elif into:
                _append(connection, into, saved.id)
            return saved

    def get(self, identifier: str) -> SavedFinding:
        """Return a finding, deleted ones too (their `deleted` says when).

        Raises:
            InputError: when there is none of that id.
        """
        with self._database.read() as connection:
            return _finding(connection, identifier)

    def save(self, identifier: str, version: int, finding: Finding) -> SavedFinding:
        """Replace a finding's content, given the version the edit was made from.

        Raises:
            InputError: when there is none of that id.
            ConflictError: when it was changed or deleted since.
        """
        with self._database.write() as connection:
            _claim(connection, FINDINGS, identifier, version, _finding_values(finding))
            for table in (TAGS, NEURONS):
                connection.execute(delete(table).where(table.c.finding == identifier))
            _insert_parts(connection, identifier, finding)
            return _finding(connection, identifier)

    def delete(self, identifier: str, version: int) -> None:
        """Mark a finding as deleted.

        Raises:
            InputError: when there is none of that id.
            ConflictError: when it was changed or deleted since.
        """
        with self._database.write() as connection:
            _claim(connection, FINDINGS, identifier, version, {"deleted": _now()})

    def restore(self, identifier: str) -> SavedFinding:
        """Bring a deleted finding back, into its collections too.

        Raises:
            InputError: when there is none of that id.
        """
        with self._database.write() as connection:
            _unmark(connection, FINDINGS, identifier)
            return _finding(connection, identifier)

    def purge(self, identifier: str) -> None:
        """Erase a deleted finding for good.

        Raises:
            InputError: when there is none, or it is not deleted.
        """
        with self._database.write() as connection:
            _purge(connection, FINDINGS, identifier)

    def find(self, wanted: Wanted, page: int = 1, per_page: int = PER_PAGE) -> list[SavedFinding]:
        """Return one page of findings, from 1 on."""
        if wanted.sort not in SORTS:
            raise InputError(f"Findings are sorted by {', '.join(SORTS)}, not {wanted.sort!r}.")
        query = (
            _filtered(select(FINDINGS.c.id), wanted)
            .order_by(SORTS[wanted.sort], FINDINGS.c.id)
            .limit(per_page)
            .offset((page - 1) * per_page)
        )
        with self._database.read() as connection:
            return _listed_findings(connection, connection.execute(query).scalars().all())

    def count(self, wanted: Wanted) -> int:
        """Return how many findings there are."""
        query = _filtered(select(func.count()).select_from(FINDINGS), wanted)
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
            new = [SavedFinding(**_fresh(), content=finding) for finding in findings]
            for item in new:
                _insert_finding(connection, item)
            ids = (*collection.findings, *(item.id for item in new))
            saved = SavedCollection(**_fresh(), content=replace(collection, findings=ids))
            _insert_collection(connection, saved)
        return saved

    def get_collection(self, identifier: str) -> SavedCollection:
        """Return a collection, deleted ones too.

        Raises:
            InputError: when there is none of that id.
        """
        with self._database.read() as connection:
            return _collection(connection, identifier)

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
            _claim(connection, COLLECTIONS, identifier, version, values)
            there = select(FINDINGS.c.id).where(FINDINGS.c.deleted.is_(None))
            connection.execute(
                delete(MEMBERS).where(
                    MEMBERS.c.collection == identifier, MEMBERS.c.finding.in_(there)
                )
            )  # a deleted finding keeps its place, should it come back
            _insert_members(connection, identifier, collection.findings)
            return _collection(connection, identifier)

    def append(self, identifier: str, finding: str) -> SavedCollection:
        """Put a finding at a collection's end, unless it is in it already.

        No version is asked for: additions by several people don't stand in each other's way.

        Raises:
            InputError: when there is no such collection or finding, or one is deleted.
        """
        with self._database.write() as connection:
            _append(connection, identifier, finding)
            return _collection(connection, identifier)

    def delete_collection(self, identifier: str, version: int) -> None:
        """Mark a collection as deleted; its findings stay.

        Raises:
            InputError: when there is none of that id.
            ConflictError: when it was changed or deleted since.
        """
        with self._database.write() as connection:
            _claim(connection, COLLECTIONS, identifier, version, {"deleted": _now()})

    def restore_collection(self, identifier: str) -> SavedCollection:
        """Bring a deleted collection back.

        Raises:
            InputError: when there is none of that id.
        """
        with self._database.write() as connection:
            _unmark(connection, COLLECTIONS, identifier)
            return _collection(connection, identifier)

    def purge_collection(self, identifier: str) -> None:
        """Erase a deleted collection for good; its findings stay.

        Raises:
            InputError: when there is none, or it is not deleted.
        """
        with self._database.write() as connection:
            _purge(connection, COLLECTIONS, identifier)

    def collections(
        self, word: str = "", deleted: bool = False, page: int = 1, per_page: int = PER_PAGE
    ) -> list[SavedCollection]:
        """Return one page of the collections that hold all words, the last changed first."""
        query = (
            _listed(select(COLLECTIONS), word, deleted)
            .order_by(COLLECTIONS.c.changed.desc(), COLLECTIONS.c.id)
            .limit(per_page)
            .offset((page - 1) * per_page)
        )
        with self._database.read() as connection:
            return _collections(connection, connection.execute(query).mappings().all())

    def count_collections(self, word: str = "", deleted: bool = False) -> int:
        """Return how many collections there are."""
        query = _listed(select(func.count()).select_from(COLLECTIONS), word, deleted)
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
            return _listed_findings(connection, ids)

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
                kept, fate = _merge_finding(connection, saved)
                names[saved.id] = kept
                fates[fate].append(kept)
            for group in collections:
                kept = _merge_collection(connection, group, names)
                made += [kept] if kept else []
        return Merged(**{fate: tuple(ids) for fate, ids in fates.items()}, collections=tuple(made))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_id() -> str:
    """Return an id that nothing has yet."""
    return secrets.token_hex(8)


def _fresh() -> dict[str, Any]:
    now = _now()
    return {"id": new_id(), "version": 1, "created": now, "changed": now, "deleted": None}


def _times(saved: Saved) -> dict[str, Any]:
    return {name: getattr(saved, name) for name in STAMPS}


def _finding_values(finding: Finding) -> dict[str, Any]:
    return {
        "bundle_name": finding.bundle.name,
        "bundle_digest": finding.bundle.digest,
        "kind": finding.kind,
        "subject": json.dumps(finding.subject, ensure_ascii=False, sort_keys=True),
        "title": finding.title,
        "note": finding.note,
        "author": finding.author,
        "searched": _folded(
            "\n".join((finding.title, finding.note, " ".join(finding.tags), finding.author))
        ),
    }


def _folded(text: str) -> str:
    """Return a text as it is searched: upper and lower case alike, accents in one form."""
    return unicodedata.normalize("NFC", text.casefold())


def _insert_finding(connection: Connection, saved: SavedFinding) -> SavedFinding:
    values = _times(saved) | _finding_values(saved.content)
    connection.execute(insert(FINDINGS).values(**values))
    _insert_parts(connection, saved.id, saved.content)
    return saved


def _insert_parts(connection: Connection, identifier: str, finding: Finding) -> None:
    tags = [{"finding": identifier, "tag": tag} for tag in finding.tags]
    neurons = [
        {"finding": identifier, "layer": ref.layer, "neuron": ref.neuron} for ref in finding.neurons
    ]
    for table, rows in ((TAGS, tags), (NEURONS, neurons)):
        if rows:
            connection.execute(insert(table), rows)


def _insert_collection(connection: Connection, saved: SavedCollection) -> None:
    texts = {name: getattr(saved.content, name) for name in ("title", "note", "author")}
    connection.execute(insert(COLLECTIONS).values(**_times(saved), **texts))
    _insert_members(connection, saved.id, saved.content.findings)


def _insert_members(
    connection: Connection, identifier: str, findings: Sequence[str], start: int = 0
) -> None:
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


def _append(connection: Connection, identifier: str, finding: str) -> None:
    row = _row(connection, COLLECTIONS, check_id(identifier), lock=True)
    if row["deleted"] is not None:
        raise InputError("This collection was deleted: restore it first.")
    members = MEMBERS.c.collection == identifier
    found = select(MEMBERS.c.finding).where(members, MEMBERS.c.finding == finding)
    if connection.execute(found).first() is None:
        last = select(func.max(MEMBERS.c.place)).where(members)
        place = connection.execute(last).scalar()
        start = 0 if place is None else place + 1
        _insert_members(connection, identifier, [check_id(finding)], start)
        _claim(connection, COLLECTIONS, identifier, row["version"], {})


def _row(connection: Connection, table: Table, identifier: str, lock: bool = False) -> RowMapping:
    query = select(table).where(table.c.id == identifier)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise InputError(f"There is no {_WHAT[table.name]} {identifier} here.")
    return row


def _claim(
    connection: Connection, table: Table, identifier: str, version: int, values: dict[str, Any]
) -> None:
    """Change a row if it still has the version, and count the version up.

    The time of a change is never before that of the last one, whatever the clock says.
    """
    now = _now()
    changed = case((table.c.changed > now, table.c.changed), else_=now)
    query = (
        update(table)
        .where(table.c.id == identifier, table.c.version == version, table.c.deleted.is_(None))
        .values(version=version + 1, changed=changed, **values)
    )
    if connection.execute(query).rowcount == 1:
        return
    row = _row(connection, table, check_id(identifier))
    what = _WHAT[table.name]
    if row["deleted"] is not None:
        raise ConflictError(f"This {what} was deleted meanwhile: restore it before editing it.")
    by = f" by {row['author']}" if row["author"] else ""
    raise ConflictError(
        f"This {what}{by} was changed meanwhile (version {row['version']}, yours was made from "
        f"{version}): nothing was overwritten."
    )


def _unmark(connection: Connection, table: Table, identifier: str) -> None:
    _row(connection, table, check_id(identifier))
    query = update(table).where(table.c.id == identifier, table.c.deleted.is_not(None))
    connection.execute(query.values(deleted=None, version=table.c.version + 1))


def _purge(connection: Connection, table: Table, identifier: str) -> None:
    query = delete(table).where(table.c.id == check_id(identifier), table.c.deleted.is_not(None))
    if connection.execute(query).rowcount == 0:
        _row(connection, table, identifier)
        raise InputError(f"Only a deleted {_WHAT[table.name]} can be erased: delete it first.")


def _listed(query: Select[Any], word: str, deleted: bool) -> Select[Any]:
    columns = COLLECTIONS.c
    query = query.where(columns.deleted.is_not(None) if deleted else columns.deleted.is_(None))
    searched = func.lower(columns.title + " " + columns.note + " " + columns.author)
    for part in word.lower().split():
        query = query.where(searched.contains(part, autoescape=True))
    return query


def _filtered(query: Select[Any], wanted: Wanted) -> Select[Any]:
    columns = FINDINGS.c
    query = query.where(
        columns.deleted.is_not(None) if wanted.deleted else columns.deleted.is_(None)
    )
    for word in _folded(wanted.word).split():
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


def _finding(connection: Connection, identifier: str) -> SavedFinding:
    return _findings(connection, [_row(connection, FINDINGS, check_id(identifier))])[0]


def _collection(connection: Connection, identifier: str) -> SavedCollection:
    return _collections(connection, [_row(connection, COLLECTIONS, check_id(identifier))])[0]


def _findings(connection: Connection, rows: Sequence[RowMapping]) -> list[SavedFinding]:
    ids = [row["id"] for row in rows]
    tags: dict[str, list[str]] = {identifier: [] for identifier in ids}
    if ids:
        query = select(TAGS).where(TAGS.c.finding.in_(ids)).order_by(TAGS.c.tag)
        for finding, tag in connection.execute(query):
            tags[finding].append(tag)
    return [SavedFinding(**_stamps(row), content=_content(row, tags[row["id"]])) for row in rows]


def _listed_findings(connection: Connection, ids: Sequence[str]) -> list[SavedFinding]:
    """Return findings by id, in this order: sorting ids is far less work than whole rows."""
    query = select(FINDINGS).where(FINDINGS.c.id.in_(ids))
    rows = {row["id"]: row for row in connection.execute(query).mappings()}
    return _findings(connection, [rows[i] for i in ids if i in rows])


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


def _collections(connection: Connection, rows: Sequence[RowMapping]) -> list[SavedCollection]:
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


def _merge_finding(connection: Connection, saved: SavedFinding) -> tuple[str, str]:
    """Add a finding, or find it there; return its id here and what became of it."""
    query = select(FINDINGS).where(FINDINGS.c.id == check_id(saved.id))
    row = connection.execute(query).mappings().first()
    if row is None:
        _insert_finding(connection, _undeleted(saved, saved.id))
        return saved.id, "added"
    if _findings(connection, [row])[0].content == saved.content:
        _unmark(connection, FINDINGS, saved.id)
        return saved.id, "present"
    copy = _insert_finding(connection, _undeleted(saved, new_id()))
    return copy.id, "copied"


def _merge_collection(
    connection: Connection, saved: SavedCollection, names: Mapping[str, str]
) -> str:
    """Add a collection under its id or a new one; return its id, or nothing if it was there."""
    content = saved.content
    findings = tuple(dict.fromkeys(names[i] for i in content.findings if i in names))
    wanted = Collection(content.title, findings, content.note, content.author)
    query = select(COLLECTIONS).where(COLLECTIONS.c.id == check_id(saved.id))
    row = connection.execute(query).mappings().first()
    if row is not None and _collections(connection, [row])[0].content == wanted:
        _unmark(connection, COLLECTIONS, saved.id)
        return ""
    identifier = saved.id if row is None else new_id()
    times = _times(saved) | {"id": identifier, "deleted": None}
    _insert_collection(connection, SavedCollection(**times, content=wanted))
    return identifier


def _undeleted(saved: SavedFinding, identifier: str) -> SavedFinding:
    return SavedFinding(
        **(_times(saved) | {"id": identifier, "deleted": None}), content=saved.content
    )
