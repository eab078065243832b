"""Connections to the findings' database: where it is, how transactions begin, what errors say."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from explorer.errors import InputError, StoreError
from explorer.findings.migrations import migrate

URL_VARIABLE = "EXPLORER_DATABASE_URL"
FOLDER_VARIABLE = "EXPLORER_DATA"
APP_FOLDER = "second-order-explorer"
FILE = "findings.sqlite"
GONE = (0, 0)
PATIENCE = 30  # seconds a writer waits for the one before it
ELSEWHERE = f"or name another place with {FOLDER_VARIABLE}"
LOST = 10_000  # milliseconds without an answer from PostgreSQL's machine until it counts as gone
SERVER = {  # of PostgreSQL's connections
    "connect_timeout": 5,
    "tcp_user_timeout": LOST,
    "keepalives_idle": LOST // 1000,
    "keepalives_interval": LOST // 3000,
    "keepalives_count": 3,
}
REMEDIES = {  # what a database's error says -> what to do
    "lock timeout": "Another program has locked it for too long: close that program, or wait, and "
    "try again.",
    "locked": "Another program has locked it for too long: close that program, or wait, and try "
    "again.",
    "read-only": f"Give its user the right to write, or correct {URL_VARIABLE}.",
    "readonly": f"Give this user the right to write to it and to its folder, {ELSEWHERE}.",
    "unable to open": f"Give this user the right to write to its folder, {ELSEWHERE}.",
    "no space": "Free some space on the disk of its server.",
    "full": f"Free some space on its disk, {ELSEWHERE}.",
    "disk i/o": f"Check whether its disk is full or failing, {ELSEWHERE}.",
    "malformed": "The file is damaged: stop the server, restore an earlier copy or move the file "
    "away, and start again.",
    "not a database": f"Move that file away, {ELSEWHERE}.",
    "authentication": f"Correct user and password in {URL_VARIABLE}.",
    "refused": f"Start that server, or correct host and port in {URL_VARIABLE}.",
    "resolve": f"Correct the host in {URL_VARIABLE}, or check that its name is known here.",
    "timeout": f"Check that the server can be reached from here, or correct {URL_VARIABLE}.",
    "does not exist": f"Create that database and user, or correct {URL_VARIABLE}.",
}


def database_url(environment: Mapping[str, str] = os.environ) -> str:
    """Return where findings are kept.

    `EXPLORER_DATABASE_URL` if it is set; else a SQLite file in the folder that `EXPLORER_DATA`
    names; else in the user's data folder.
    """
    if environment.get(URL_VARIABLE):
        return environment[URL_VARIABLE]
    named = environment.get(FOLDER_VARIABLE)
    folder = Path(named) if named else platformdirs.user_data_path(APP_FOLDER, appauthor=False)
    return str(URL.create("sqlite", database=str(folder.absolute() / FILE)))


class Database:
    """An engine whose transactions are either reads or writes, migrated when it is opened.

    SQLite runs in WAL mode: readers never wait, writers wait for each other from their first
    statement on (BEGIN IMMEDIATE), so that none is turned away half-way. Whatever was committed
    stays when a process is killed; whatever was not leaves no trace.
    """

    def __init__(self, url: str) -> None:
        """Open the database and take the schema's missing steps.

        Raises:
            InputError: when the URL is neither SQLite's nor PostgreSQL's.
            StoreError: when the database cannot be reached, or is of a newer version.
        """
        self._url = _checked(url)
        self._file: tuple[int, int] | None = None  # none to compare with before it is opened
        self._opening = threading.Lock()
        self._engine = _engine(self._url)
        self._writer = self._engine.execution_options(writes=True)
        self._open()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection whose reads see one state (SQLite) or committed rows."""
        with self._told(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a connection whose changes are committed together at its end, or not at all."""
        with self._told("Nothing was stored. "), self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()

    def _open(self) -> None:
        self._file = None
        try:
            with self._told(), self._writer.begin() as connection:
                migrate(connection)
        finally:
            self._file = _mark(self._url)

    def _look(self, outcome: str) -> None:
        """See that the file is the one that connections are open to."""
        mark = _mark(self._url)
        if self._file in (None, mark):
            return
        if mark == GONE:
            raise StoreError(
                f"The findings' database {self._url.render_as_string()} was moved while this "
                f"server was running. {outcome}Put it back, or restart the server to begin a new "
                "one."
            )
        with self._opening:
            if self._file not in (None, mark):  # another took its place, a copy from before, say
                self._engine.dispose()
                self._open()

    @contextmanager
    def _told(self, outcome: str = "") -> Iterator[None]:
        self._look(outcome)
        try:
            yield
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error).strip()
            remedy = next((text for sign, text in REMEDIES.items() if sign in said.lower()), "")
            remedy = remedy or (
                f"Check that it is there and writable, or set {URL_VARIABLE} to another."
            )
            cause = said.splitlines()[0].rstrip(".:")
            raise StoreError(
                f"The findings' database {self._url.render_as_string()} cannot be used ({cause}). "
                f"{outcome}{remedy}"
            ) from error


def _mark(url: URL) -> tuple[int, int] | None:
    """Return what tells a SQLite file from another of its name; None for other databases."""
    if not url.drivername.startswith("sqlite"):
        return None
    try:
        found = Path(str(url.database)).stat()
    except OSError:
        return GONE
    return found.st_dev, found.st_ino


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InputError(_wanted(url)) from error
    kind = parsed.drivername.partition("+")[0]
    if kind in {"postgres", "postgresql"}:
        return parsed.set(drivername="postgresql+psycopg")
    if kind != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise InputError(_wanted(url))
    return parsed


def _wanted(url: str) -> str:
    return (
        f"{URL_VARIABLE} is not the address of a database ({url.partition(':')[0]}:…): write "
        "postgresql://user:password@host/name or sqlite:////folder/file.sqlite."
    )


def _engine(url: URL) -> Engine:
    if url.drivername.startswith("postgresql"):
        waits = {"options": f"-c lock_timeout={PATIENCE}s"}
        return create_engine(url, pool_pre_ping=True, connect_args={**SERVER, **waits})
    _make_folder(url)
    engine = create_engine(url, connect_args={"timeout": PATIENCE})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _make_folder(url: URL) -> None:
    try:
        Path(str(url.database)).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder of {url.database} cannot be created ({error.strerror}): name another with "
            f"{FOLDER_VARIABLE}."
        ) from error


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says
    connection.create_function("lower", 1, _lower, deterministic=True)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    end = time.monotonic() + PATIENCE
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:  # SQLite doesn't wait by itself while another process switches the same new file
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def _lower(text: Any) -> Any:
    """Do as SQL's `lower`, beyond ASCII."""
    return text.lower() if isinstance(text, str) else text


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
