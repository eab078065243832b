"""The findings' store, on SQLite and on a real PostgreSQL: changes, conflicts, many writers."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from explorer.errors import ConflictError, InputError, StoreError
from explorer.findings import changes, migrations
from explorer.findings.changes import new_id
from explorer.findings.database import FILE, Database, database_url
from explorer.findings.model import Collection, NeuronRef, SavedFinding, clean_line
from explorer.findings.queries import Wanted
from explorer.findings.store import Facets, Store
from explorer.findings.tables import METADATA
from tests.support import findings as samples
from tests.support.findings import BUNDLE, own_picture, picture, postgres, sample, view

ROOT = Path(__file__).parents[2]
PROCESSES, TURNS = 10, 4
KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with postgres() as address:
        yield address


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/deep/findings.sqlite"
        return
    address = request.getfixturevalue("cluster")
    name = f"t{time.monotonic_ns()}"
    admin = create_engine(address.replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    yield address.rpartition("/")[0] + f"/{name}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store(url)
    yield opened
    opened.close()


def titles(found: list[SavedFinding]) -> list[str]:
    return [saved.content.title for saved in found]


def test_what_is_stored_comes_back_equal(store: Store) -> None:
    first, second = store.add(sample()), store.add(picture("Ünïcode 🚢 “'; DROP TABLE findings"))
    assert store.get(first.id) == first
    assert store.get(second.id) == second
    assert (first.version, first.deleted) == (1, None)
    with pytest.raises(InputError, match="There is no finding 0000000000000000 here"):
        store.get("0" * 16)
    with pytest.raises(InputError, match="not an id"):
        store.get("../../etc")


def test_an_attempt_that_is_repeated_is_stored_once(store: Store) -> None:
    name = new_id()
    first = store.add(view(), name)
    assert store.add(view(), name) == first == store.get(name)
    other = store.add(view("Edited in between"), name)
    assert other.id != name
    assert store.count(Wanted()) == 2


def test_a_finding_comes_with_its_collection_or_not_at_all(store: Store) -> None:
    group = store.add_collection(Collection("Old"))
    first = store.add(sample(), into=group.id)
    second = store.add(view(), into=Collection("New", (first.id,), author="Ada"))
    assert store.titles(holding=first.id) == {group.id: "Old"} | store.titles(holding=second.id)
    (made,) = [g for g in store.collections() if g.id != group.id]
    assert made.content == Collection("New", (first.id, second.id), author="Ada")
    store.delete_collection(group.id, store.get_collection(group.id).version)
    with pytest.raises(InputError, match="restore it first"):
        store.add(sample(), into=group.id)
    with pytest.raises(InputError, match="no collection"):
        store.add(sample(), into="0" * 16)
    with pytest.raises(InputError, match="no finding"):
        store.add_collection(Collection("Holes", ("0" * 16,)), [sample(), view()])
    assert store.count(Wanted()) == 2
    whole = store.add_collection(Collection("Whole", (second.id,)), [sample("a"), view("b")])
    assert [item.content.title for item in store.members(whole)] == [second.content.title, "a", "b"]
    assert [item.content.title for item in store.members(whole, 1, 1)] == ["a"]


def test_an_edit_names_the_version_it_was_made_from(store: Store) -> None:
    saved = store.add(sample())
    theirs = store.save(
        saved.id,
        1,
        replace(saved.content, title="Theirs", tags=("new",), neurons=(NeuronRef(2, 1),)),
    )
    assert theirs.version == 2
    assert theirs.created == saved.created <= theirs.changed
    assert store.get(saved.id) == theirs
    with pytest.raises(ConflictError, match=r"by Ada was changed meanwhile \(version 2.*from 1\)"):
        store.save(saved.id, 1, replace(saved.content, title="Mine"))
    assert store.get(saved.id) == theirs
    with pytest.raises(ConflictError):
        store.delete(saved.id, 1)
    store.delete(saved.id, 2)
    with pytest.raises(ConflictError, match="deleted meanwhile"):
        store.save(saved.id, 3, saved.content)
    with pytest.raises(InputError, match="no finding"):
        store.save("0" * 16, 1, saved.content)


def test_delete_can_be_undone_until_erased(store: Store) -> None:
    saved = store.add(sample())
    group = store.add_collection(Collection("Group", (saved.id,)))
    with pytest.raises(InputError, match="delete it first"):
        store.purge(saved.id)
    store.delete(saved.id, 1)
    assert store.find(Wanted()) == []
    assert titles(store.find(Wanted(deleted=True))) == [saved.content.title]
    assert store.get_collection(group.id).content.findings == ()
    # what is changed meanwhile leaves the deleted one's place alone
    other = store.add(picture())
    store.append(group.id, other.id)
    now = store.get_collection(group.id)
    store.save_collection(group.id, now.version, replace(now.content, title="Renamed"))
    back = store.restore(saved.id)
    assert back.content == saved.content
    assert store.restore(saved.id) == back  # a second undo changes nothing
    assert set(store.get_collection(group.id).content.findings) == {saved.id, other.id}
    store.delete(saved.id, back.version)
    store.purge(saved.id)
    with pytest.raises(InputError):
        store.restore(saved.id)
    assert store.get_collection(group.id).content.findings == (other.id,)


def test_finding_by_word_tag_author_bundle_and_neuron(store: Store) -> None:
    other = replace(BUNDLE, digest="cd" * 32)
    store.add(sample("Ships", author="Ada", tags=("sea",)))
    store.add(sample("100% ÄPFEL_x", author="Grace", note="fruit", neurons=(NeuronRef(2, 9),)))
    store.add(picture("Elsewhere", bundle=other, author="Ada", tags=("sea", "sky")))

    def found(**wanted: object) -> list[str]:
        kind = Wanted(sort="title", **wanted)  # type: ignore[arg-type]
        assert store.count(kind) == len(store.find(kind))
        return titles(store.find(kind))

    assert found() == ["100% ÄPFEL_x", "Elsewhere", "Ships"]
    assert found(word="äpfel FRUIT") == ["100% ÄPFEL_x"]
    assert found(word="0% ") == ["100% ÄPFEL_x"]
    assert found(word="%s%") == found(word="l_e") == []  # LIKE's own signs are plain text
    assert found(word="sea") == found(tag="Sea") == ["Elsewhere", "Ships"]
    assert found(author="Ada", digest=other.digest) == ["Elsewhere"]
    assert found(neuron=NeuronRef(2, 9)) == ["100% ÄPFEL_x"]
    assert found(neuron=NeuronRef(9, 2)) == []
    facets = Facets({"sea": 2, "cars": 1, "ships": 1, "sky": 1}, {"Ada": 2, "Grace": 1}, {})
    assert replace(store.facets(), bundles={}) == facets
    assert store.facets().bundles == {BUNDLE: 2, other: 1}
    with pytest.raises(InputError, match="sorted by"):
        store.find(Wanted(sort="id; DROP TABLE findings"))


def test_pages_of_findings_hold_each_once(store: Store) -> None:
    made = [store.add(sample(f"{number:02d}")).id for number in range(7)]
    pages = [store.find(Wanted(sort="created"), page, 3) for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert {saved.id for page in pages for saved in page} == set(made)
    times = [saved.created for page in pages for saved in page]
    assert times == sorted(times, reverse=True)


def test_a_collection_keeps_its_order(store: Store) -> None:
    ids = [store.add(sample(f"{number}")).id for number in range(4)]
    group = store.add_collection(Collection("Order", tuple(ids[:3]), "why *so*", "Ada"))
    assert store.get_collection(group.id) == group
    turned = (ids[2], ids[0], ids[1])
    saved = store.save_collection(group.id, 1, replace(group.content, findings=turned))
    assert saved.content.findings == turned
    assert [item.id for item in store.members(saved)] == list(turned)
    with pytest.raises(ConflictError, match="This collection by Ada was changed"):
        store.save_collection(group.id, 1, group.content)
    longer = store.append(group.id, ids[3])
    assert longer.content.findings == (*turned, ids[3])
    assert store.append(group.id, ids[3]) == longer
    assert store.titles(holding=ids[3]) == {group.id: "Order"}
    assert store.titles(holding="0" * 16) == {}


def test_a_collection_takes_only_what_is_there(store: Store) -> None:
    saved = store.add(sample())
    with pytest.raises(InputError, match="no finding 0000"):
        store.add_collection(Collection("Holes", (saved.id, "0" * 16)))
    assert store.collections() == []  # nothing half done
    group = store.add_collection(Collection("Whole", (saved.id,)))
    with pytest.raises(InputError, match="no finding 0000"):
        store.append(group.id, "0" * 16)
    with pytest.raises(InputError, match="no collection"):
        store.append("0" * 16, saved.id)
    store.delete_collection(group.id, 1)
    with pytest.raises(InputError, match="restore it"):
        store.append(group.id, saved.id)
    assert [g.id for g in store.collections(deleted=True)] == [group.id]
    assert store.restore_collection(group.id).content == group.content
    assert [g.id for g in store.collections()] == [group.id]


def test_collections_are_listed_by_words_in_pages(store: Store) -> None:
    made = [store.add_collection(Collection(f"Größe {n}", note="100 %")).id for n in range(5)]
    store.add_collection(Collection("Other", author="Grace"))
    assert store.count_collections() == 6
    assert store.count_collections("GRÖSSE 100 %".replace("SS", "ß")) == 5
    assert [g.content.title for g in store.collections("grace")] == ["Other"]
    pages = [store.collections("größe", page=page, per_page=2) for page in (1, 2, 3)]
    assert {group.id for page in pages for group in page} == set(made)
    assert store.collections("%%") == []
    with pytest.raises(InputError, match="Only a deleted collection"):
        store.purge_collection(made[0])
    store.delete_collection(made[0], 1)
    assert store.count_collections(deleted=True) == 1
    store.purge_collection(made[0])
    with pytest.raises(InputError, match="no collection"):
        store.restore_collection(made[0])


def test_merging_adds_keeps_and_copies(store: Store, tmp_path: Path) -> None:
    elsewhere = Store(f"sqlite:///{tmp_path}/elsewhere.sqlite")
    mine, theirs = elsewhere.add(sample("A")), elsewhere.add(picture("B"))
    group = elsewhere.add_collection(Collection("Both", (theirs.id, mine.id)))
    first = store.merge([mine, theirs], [group])
    assert first.added == (mine.id, theirs.id)
    assert first.collections == (group.id,)
    assert [store.get(mine.id), store.get(theirs.id)] == [mine, theirs]
    assert store.get_collection(group.id) == group
    again = store.merge([mine, theirs], [group])
    assert (again.added, again.present) == ((), (mine.id, theirs.id))
    assert (again.copied, again.collections) == ((), ())
    store.save(mine.id, 1, replace(mine.content, title="A, edited here"))
    store.delete(theirs.id, 1)
    third = store.merge([mine, theirs], [group])
    assert third.present == (theirs.id,)
    assert store.get(theirs.id).deleted is None  # what was deleted here came back
    (copy,) = third.copied
    assert store.get(copy).content == mine.content
    assert store.get(mine.id).content.title == "A, edited here"
    (made,) = third.collections
    assert store.get_collection(made).content.findings == (theirs.id, copy)
    elsewhere.close()


def test_merging_is_all_or_nothing(store: Store) -> None:
    there = store.add(sample("There"))
    news = replace(there, id="1" * 16)
    broken = replace(there, id="2" * 16, version=None)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        store.merge([news, broken])
    assert titles(store.find(Wanted())) == ["There"]


def run(url: str, *arguments: str, **settings: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.findings_writer", url, *arguments]
    return subprocess.Popen(command, cwd=ROOT, text=True, **settings)  # type: ignore[call-overload]


def test_ten_processes_writing_at_once_lose_nothing(url: str) -> None:
    store = Store(url)
    counter = store.add(sample("counter", note="0"))
    group = store.add_collection(Collection("All"))
    writers = [
        run(url, "count", f"writer{number}", str(TURNS), group.id, counter.id)
        for number in range(PROCESSES)
    ]
    assert [writer.wait(timeout=240) for writer in writers] == [0] * PROCESSES
    total = PROCESSES * TURNS
    assert store.get(counter.id).content.note == str(total)
    assert store.get(counter.id).version == 1 + total
    expected = {f"writer{number} {turn}" for number in range(PROCESSES) for turn in range(TURNS)}
    members = store.members(store.get_collection(group.id))
    assert {saved.content.title for saved in members} == expected
    assert len(members) == total
    assert store.count(Wanted()) == total + 1
    store.close()


def test_ten_processes_may_open_an_empty_database_at_once(url: str) -> None:
    code = "import sys; from explorer.findings.store import Store; Store(sys.argv[1]).close()"
    command = [sys.executable, "-c", code, url]
    openers = [subprocess.Popen(command, cwd=ROOT) for _ in range(PROCESSES)]
    assert [opener.wait(timeout=240) for opener in openers] == [0] * PROCESSES
    assert Store(url).count(Wanted()) == 0


def test_a_killed_writer_leaves_a_consistent_store(url: str) -> None:
    store = Store(url)
    group = store.add_collection(Collection("All"))
    named: list[str] = []
    for attempt in range(4):
        writer = run(url, "for-ever", group.id, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        named.append(writer.stdout.readline().strip())
        time.sleep(0.02 + 0.03 * attempt)  # into another moment of its work each time
        writer.kill()
        named += writer.stdout.read().split()
        writer.wait(timeout=60)
    found = settled(store)
    assert set(named) <= {saved.id for saved in found}  # what was said to be stored is there
    assert len(named) >= 4
    assert all(len(saved.content.tags) == 20 for saved in found)  # and nothing is there by halves
    with store._database.read() as connection:
        query = text("SELECT finding, count(*) FROM finding_neurons GROUP BY finding")
        counts = {finding: count for finding, count in connection.execute(query)}
        if connection.dialect.name == "sqlite":
            assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    assert counts == {saved.id: 150 for saved in found}
    members = store.get_collection(group.id).content.findings
    assert set(members) <= {saved.id for saved in found}
    assert len(found) - len(members) <= 4  # each kill fell at most between the two steps
    store.append(group.id, store.add(sample("afterwards")).id)
    store.close()


def settled(store: Store) -> list[SavedFinding]:
    """Return all findings once a killed writer's last transaction has ended at the server."""
    before = store.find(Wanted(), per_page=10_000)
    while True:
        time.sleep(0.3)
        now = store.find(Wanted(), per_page=10_000)
        if len(now) == len(before):
            return now
        before = now


def test_the_schema_is_what_the_queries_name(url: str) -> None:
    Store(url).close()
    database = Database(url)
    with database.read() as connection:
        found = inspect(connection)
        for table in METADATA.sorted_tables:
            columns = {
                column["name"]: column["nullable"] for column in found.get_columns(table.name)
            }
            assert set(columns) == {column.name for column in table.columns}
            key = found.get_pk_constraint(table.name)["constrained_columns"]
            assert set(key) == {column.name for column in table.primary_key}
    database.close()


def test_migrations_keep_what_is_stored(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(url)
    saved = store.add(sample())
    store.close()
    further = (*migrations.STEPS, ("ALTER TABLE collections ADD COLUMN colour TEXT",))
    database = Database(url)
    with database.write() as connection:
        assert migrations.migrate(connection, further) == 1
        assert migrations.migrate(connection, further) == 0
    database.close()
    with pytest.raises(StoreError, match="has schema 3 and this version knows 2: update"):
        Store(url)
    monkeypatch.setattr("explorer.findings.database.migrate", lambda connection: 0)
    assert Store(url).get(saved.id) == saved


def test_a_database_of_the_first_schema_is_brought_up(url: str) -> None:
    """Its statements were written by the version that had that schema."""
    old = (ROOT / "tests" / "data" / "findings_schema_1.sql").read_text("utf-8")
    place = url.replace("postgresql://", "postgresql+psycopg://")
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True)
    engine = create_engine(place)
    with engine.begin() as connection:
        for statement in filter(str.strip, old.split(";\n")):
            connection.exec_driver_sql(statement.replace("%", "%%"))
    engine.dispose()
    store = Store(url)
    ships, shown, gone = (store.get(letter * 16) for letter in "abc")
    assert ships.content == sample(note="Second\nversion")
    assert (ships.version, ships.created) == (2, "2026-11-25T02:43:13.767+00:00")
    assert shown.content == picture("A picture “it's” 🚢")
    assert gone.deleted is not None
    assert store.get_collection("d" * 16).content == Collection(
        "Both", (shown.id, ships.id), "why *so*", "Ada"
    )
    assert store.get_collection("e" * 16).deleted is not None
    assert titles(store.find(Wanted(word="VERSION", tag="ships", neuron=NeuronRef(0, 7)))) == [
        "Ships and cars"
    ]
    assert store.restore(gone.id).content.tags == ("gone",)
    assert store.get_collection("d" * 16).content.findings == (shown.id, ships.id, gone.id)
    store.save(ships.id, 2, view())
    assert store.get(ships.id).content == view()
    store.close()
    assert Store(url).count(Wanted()) == 3


def test_a_step_that_fails_is_taken_back_whole(url: str) -> None:
    database = Database(url)
    broken = (*migrations.STEPS, ("CREATE TABLE half (a TEXT)", "CREATE NONSENSE"))
    with pytest.raises(StoreError), database.write() as connection:
        migrations.migrate(connection, broken)
    with database.read() as connection:
        assert not inspect(connection).has_table("half")
        assert connection.execute(text("SELECT number FROM explorer_schema")).scalar() == 2
    database.close()


def test_sqlite_keeps_a_journal_that_readers_never_wait_for(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/f.sqlite"
    store = Store(address)
    store.add(sample())
    database = Database(address)
    with database.write() as writer:
        writer.execute(text("UPDATE findings SET title = 'unfinished'"))
        assert titles(store.find(Wanted())) == ["Ships and cars"]
        assert writer.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        writer.rollback()
    assert titles(store.find(Wanted())) == ["Ships and cars"]


def test_where_findings_are_kept(tmp_path: Path) -> None:
    assert database_url({"EXPLORER_DATABASE_URL": "postgresql://x/y"}) == "postgresql://x/y"
    assert database_url({"EXPLORER_DATA": str(tmp_path)}) == f"sqlite:///{tmp_path}/{FILE}"
    usual = database_url({})
    assert usual.startswith("sqlite:////")
    assert str(ROOT) not in usual


@pytest.mark.parametrize("wrong", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_an_address_of_no_database_is_said(wrong: str) -> None:
    with pytest.raises(InputError, match="is not the address of a database"):
        Store(wrong)


def test_a_database_out_of_reach_is_said_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used") as caught:
        Store("postgresql://ada:secret@127.0.0.1:1/nothing")
    assert "secret" not in str(caught.value)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be created"):
        Store(f"sqlite:///{tmp_path}/file/f.sqlite")
    (tmp_path / "noise.sqlite").write_bytes(b"no database at all" * 99)
    with pytest.raises(StoreError, match="cannot be used"):
        Store(f"sqlite:///{tmp_path}/noise.sqlite")


REMEDIES = [
    ("locked", "locked it for too long: close that program"),
    ("full", "Free some space on its disk"),
    ("damaged", "damaged: stop the server, restore an earlier copy"),
    ("moved", "was moved while this server was running.*Put it back, or restart"),
]


@pytest.mark.parametrize(("harm", "remedy"), REMEDIES)
def test_a_file_that_cannot_be_used_says_what_to_do(
    harm: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f.sqlite"
    monkeypatch.setattr("explorer.findings.database.PATIENCE", 1)
    Store(f"sqlite:///{file}").close()
    store = Store(f"sqlite:///{file}")
    saved = store.add(sample(note="x" * 20_000))
    other = sqlite3.connect(file, isolation_level=None)
    if harm == "locked":
        other.execute("BEGIN IMMEDIATE")
    elif harm == "full":
        with store._database.read() as connection:  # the only connection of the pool
            connection.exec_driver_sql("PRAGMA max_page_count=20")
    elif harm == "damaged":
        store.close()
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = file.read_bytes()
        file.write_bytes(page[:4096] + b"\x55" * (len(page) - 4096))
    else:
        file.rename(tmp_path / "g.sqlite")
    with pytest.raises(StoreError, match=remedy) as caught:
        store.add(sample(note="y" * 20_000))
    assert "Nothing was stored" in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    other.close()
    store.close()
    if harm == "moved":
        (tmp_path / "g.sqlite").rename(file)
    if harm != "damaged":  # what was there is whole, and goes on
        again = Store(f"sqlite:///{file}")
        assert again.find(Wanted()) == [saved]
        again.add(sample())
        again.close()


def test_a_copy_put_in_a_files_place_is_used_at_once(tmp_path: Path) -> None:
    file, before = tmp_path / "f.sqlite", tmp_path / "before.sqlite"
    store = Store(f"sqlite:///{file}")
    saved = store.add(sample("before"))
    store.close()  # the last connection empties the log into the file
    before.write_bytes(file.read_bytes())
    store.add(sample("after"))
    store.close()
    before.replace(file)
    assert store.find(Wanted()) == [saved]
    store.add(sample("anew"))
    store.close()
    assert Store(f"sqlite:///{file}").count(Wanted()) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which root alone may")
@pytest.mark.parametrize("closed", ["file", "folder"])
def test_a_place_without_the_right_to_write_says_so(closed: str, tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="findings-", dir="/tmp"))
    file = folder / "f.sqlite"
    Store(f"sqlite:///{file}").close()
    file.chmod(0o444 if closed == "file" else 0o666)
    folder.chmod(0o777 if closed == "file" else 0o555)
    code = (  # the first store loads what that other user may not read
        "import os, sys; from explorer.findings.store import Store; "
        "from tests.support.findings import sample; Store(sys.argv[2]).add(sample()); "
        "os.setuid(65534)\n"
        "try: Store(sys.argv[1]).add(sample())\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{file}", f"sqlite:///{tmp_path}/warm.sqlite"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    shutil.rmtree(folder)
    assert said.startswith("StoreError")
    assert "Give this user the right to write" in said
    assert "EXPLORER_DATA" in said


def test_postgresql_may_end_connections_between_two_questions(cluster: str) -> None:
    store = Store(cluster)
    saved = store.add(sample("survives"))
    admin = create_engine(cluster.replace("://", "+psycopg://"))
    with admin.connect() as connection:
        ended = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
        connection.execute(text(ended + " AND application_name = '' AND state = 'idle'"))
    admin.dispose()
    assert store.get(saved.id) == saved
    store.close()
    wrong = cluster.replace("explorer@", "nobody@").replace("/postgres", "/nothing")
    with pytest.raises(StoreError, match=r"does not exist.*Create that database and user"):
        Store(wrong)


def test_a_postgresql_that_stops_is_one_sentence_until_it_is_back() -> None:
    with samples.cluster() as server:
        store = Store(server.address)
        saved = store.add(sample())
        server.stop()
        for _ in range(2):
            with pytest.raises(
                StoreError, match=r"cannot be used .*Nothing was stored\. Start that"
            ):
                store.add(sample())
        server.start()
        assert store.find(Wanted()) == [saved]
        store.add(sample("after"))
        assert store.count(Wanted()) == 2
        store.close()


def test_a_postgresql_whose_machine_falls_silent_is_given_up(cluster: str) -> None:
    """What is seen here is what the kernel is asked for."""
    store = Store(cluster)
    with store._database.read() as connection:
        link = connection.connection.dbapi_connection.info.get_parameters()
        assert link["tcp_user_timeout"] == "10000"
        assert link["keepalives_idle"] == "10"
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "30s"
    store.close()


def test_a_row_that_another_holds_is_not_waited_for_without_end(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.findings.database.PATIENCE", 1)
    store = Store(cluster)
    saved = store.add(sample())
    admin = create_engine(cluster.replace("://", "+psycopg://"))
    with admin.begin() as connection:
        connection.execute(
            text("SELECT 1 FROM findings WHERE id = :id FOR UPDATE"), {"id": saved.id}
        )
        with pytest.raises(StoreError, match=r"locked it for too long.*or wait, and try again"):
            store.save(saved.id, 1, saved.content)
    admin.dispose()
    assert store.save(saved.id, 1, saved.content).version == 2
    store.close()


def test_a_postgresql_that_may_not_be_written_to_says_so(cluster: str) -> None:
    readonly = Store(cluster)
    said = pytest.raises(StoreError, match="Give its user the right to write")
    with said, readonly._database.write() as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        connection.execute(text("DELETE FROM findings"))
    readonly.close()


def test_a_clock_that_jumps_back_turns_no_times_round(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = store.add(sample())
    group = store.add_collection(Collection("Group", (saved.id,)))
    monkeypatch.setattr(changes, "now", lambda: "2001-01-01T00:00:00.000+00:00")
    early = store.add(sample("before all"))
    assert early.created == early.changed < saved.created
    edited = store.save(saved.id, 1, replace(saved.content, title="edited"))
    assert (edited.version, edited.changed) == (2, saved.changed)
    assert edited.created <= edited.changed
    with pytest.raises(ConflictError):  # versions tell who was first, whatever the clock says
        store.save(saved.id, 1, saved.content)
    longer = store.append(group.id, early.id)
    assert (longer.version, longer.changed) == (2, group.changed)
    assert titles(store.find(Wanted())) == ["edited", "before all"]
    store.delete(saved.id, 2)
    assert store.restore(saved.id).content.title == "edited"


def test_texts_from_right_to_left_and_of_many_accents_come_back_and_are_found(
    store: Store,
) -> None:
    hebrew, arabic, turned = "שלום עולם", "سفينة", "a \u202egnp.exe"
    for title in (hebrew, arabic, turned, "Zalgo " + "o" + "\u0301" * 40, "👩‍👩‍👧‍👦 family"):
        saved = store.add(sample(title, note=title, author=title[:80], tags=(title[:40].lower(),)))
        assert store.get(saved.id) == saved
        assert saved in store.find(Wanted(word=title))
    apart, one = "Cafe\u0301 Ma\u0308rz", "Caf\u00e9 M\u00e4rz"
    written = store.add(sample(apart, tags=("ma\u0308rz",)))  # as an import may bring it
    assert store.get(written.id) == written
    typed = store.add(sample(clean_line(apart)))
    assert typed.content.title == one
    for word in (apart, one, "cafe\u0301", "CAF\u00c9"):
        assert {saved.id for saved in store.find(Wanted(word=word))} == {written.id, typed.id}


@pytest.mark.parametrize("size", [20_001, 1_000_000])
def test_a_note_of_a_megabyte_is_refused_in_one_sentence(store: Store, size: int) -> None:
    with pytest.raises(InputError, match="at most 20,000 characters"):
        store.add(sample(note="n" * size))
    with pytest.raises(InputError, match="at most 20,000 characters"):
        Collection("Group", note="n" * size)
    with pytest.raises(InputError, match=f"has {size:,} characters"):
        store.add(sample("t" * size))
    assert store.count(Wanted()) == 0
    assert store.find(Wanted(word="x" * size)) == []


def test_the_bytes_of_a_collections_own_pictures_are_counted(store: Store) -> None:
    one, two = own_picture("one"), own_picture("two")
    group = store.add_collection(Collection("Pictures"), [one, sample(), two])
    assert store.copied_bytes(group.id) == pytest.approx(2 * len(one.copy), rel=0.2)
    store.delete(group.content.findings[0], 1)
    assert store.copied_bytes(group.id) == pytest.approx(len(two.copy), rel=0.2)
    assert store.copied_bytes("0" * 16) == 0
