"""Connections to the findings' database: where it is, how transactions begin, what errors say."""

from __future__ import annotations

import os
import sqlite3
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
PATIENCE = 30  # seconds a writer waits for the one before it


def database_url(environment: Mapping[str, str] = os.environ) -> str:
    """Where findings are kept.

    ``EXPLORER_DATABASE_URL`` if it is set; else a SQLite file in the folder that ``EXPLORER_DATA``
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
            InputError: the URL is none of SQLite or PostgreSQL.
            StoreError: the database cannot be reached, or is of a newer version.
        """
        self._url = _checked(url)
        self._engine = _engine(self._url)
        self._writer = self._engine.execution_options(writes=True)
        with self.write() as connection:
            migrate(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection whose reads see one state of the database (SQLite) or committed rows."""
        with self._told(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection whose changes are committed together at the end, or not at all."""
        with self._told(), self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise StoreError(
                f"The findings' database {self._url.render_as_string()} cannot be used ({cause}). "
                f"Check that it is there and writable, or set {URL_VARIABLE} to another."
            ) from error


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InputError(_wanted(url)) from error
    kind = parsed.drivername.partition("+")[0]
    if kind in {"postgres", "postgresql"}:
        return parsed.set(drivername="postgresql+psycopg")
    if kind != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise InputError(_wanted(url))
    return parsed


def _wanted(url: str) -> str:
    return (
        f"{URL_VARIABLE} is no address of a database ({url.partition(':')[0]}:…): write "
        "postgresql://user:password@host/name or sqlite:////folder/file.sqlite."
    )


def _engine(url: URL) -> Engine:
    if url.drivername.startswith("postgresql"):
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5})
    try:
        Path(str(url.database)).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder of {url.database} cannot be made ({error.strerror}): name another with "
            f"{FOLDER_VARIABLE}."
        ) from error
    engine = create_engine(url, connect_args={"timeout": PATIENCE})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says
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


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
