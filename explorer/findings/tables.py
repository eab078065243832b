"""The database's tables as queries name them; `migrations` makes them."""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, Table, Text

METADATA = MetaData()

FINDINGS = Table(
    "findings",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("created", Text, nullable=False),
    Column("changed", Text, nullable=False),
    Column("deleted", Text),
    Column("bundle_name", Text, nullable=False),
    Column("bundle_digest", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),  # JSON
    Column("title", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("searched", Text, nullable=False),  # title, note, tags and author, case folded
)
TAGS = Table(
    "finding_tags",
    METADATA,
    Column("finding", Text, primary_key=True),
    Column("tag", Text, primary_key=True),
)
NEURONS = Table(
    "finding_neurons",
    METADATA,
    Column("finding", Text, primary_key=True),
    Column("layer", Integer, primary_key=True),
    Column("neuron", Integer, primary_key=True),
)
COLLECTIONS = Table(
    "collections",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("created", Text, nullable=False),
    Column("changed", Text, nullable=False),
    Column("deleted", Text),
    Column("title", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("author", Text, nullable=False),
)
MEMBERS = Table(
    "collection_findings",
    METADATA,
    Column("collection", Text, primary_key=True),
    Column("finding", Text, primary_key=True),
    Column("place", Integer, nullable=False),
)
