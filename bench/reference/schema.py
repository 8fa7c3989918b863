"""Tables and the engine. WAL and synchronous=FULL: an answered write survives a power cut."""

from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
)

metadata = MetaData()

releases = Table(
    "releases",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("component_id", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", String(100), nullable=False),
    Column("commit_sha", String(40), nullable=False),
    Column("strategy", String(40), nullable=False),
    Column("notes", Text, nullable=False),
    Column("artifacts", JSON, nullable=False),
    Column("status", String(20), nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Index("releases_number", "tenant", "component_id", "number", unique=True),
)

counters = Table(
    "counters",
    metadata,
    Column("tenant", String(63), primary_key=True),
    Column("component_id", String(32), primary_key=True),
    Column("last", Integer, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("location", String(255), nullable=False),
    Column("body", Text, nullable=False),
    Column("expires_at", DateTime, nullable=False, index=True),
)

outbox = Table(
    "outbox",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("event_id", String(36), nullable=False, unique=True),
    Column("tenant", String(63), nullable=False),
    Column("type", String(60), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("occurred_at", DateTime, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("tenant", String(63), primary_key=True),
    Column("component_id", String(32), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("entry", JSON, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 5000", "cache_size = -32768")


def _configure(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _leave_transactions_to_us(connection: Any, _record: object) -> None:
    connection.isolation_level = None


def writing_engine(path: Path) -> Engine:
    """SQLite has one writer, so the pool has one connection: writers queue for it instead of spinning on the
    file's lock. BEGIN IMMEDIATE, so that a second process is safe too."""
    engine = create_engine(f"sqlite:///{path}", pool_size=1, max_overflow=0)
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def reading_engine(path: Path) -> Engine:
    """Autocommit: a single SELECT needs no transaction, and no rollback when its connection goes back."""
    engine = create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT", pool_size=40)
    event.listen(engine, "connect", _configure)
    return engine
