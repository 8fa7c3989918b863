"""The one write and the one read, in SQLAlchemy Core."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bench.reference.auth import Caller
from bench.reference.models import ReleaseIn, ReleaseOut
from bench.reference.schema import audit, counters, idempotency_keys, outbox, releases

GENESIS = "0" * 64
KEPT_FOR = timedelta(days=7)


class KeyReused(Exception):
    """The Idempotency-Key belongs to another request."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer as it was first given."""

    status: int
    location: str
    body: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class ReleaseStore:
    writer: Engine
    reader: Engine

    def create(self, caller: Caller, component_id: str, body: ReleaseIn, key: str) -> Stored:
        """Release, counter, event, audit entry and the answer under its key, in one transaction."""
        now = datetime.now(UTC)
        operation = f"POST /components/{component_id}/releases"
        scoped_key = sha256("\x1f".join((caller.tenant, caller.subject, operation, key)))
        fingerprint = sha256(operation + canonical(body.model_dump(mode="json")))
        with self.writer.begin() as connection:
            known = connection.execute(
                select(idempotency_keys).where(
                    idempotency_keys.c.key == scoped_key, idempotency_keys.c.expires_at > now
                )
            ).first()
            if known is not None:
                if known.fingerprint != fingerprint:
                    raise KeyReused
                return Stored(known.status, known.location, known.body, replayed=True)
            number = connection.execute(
                upsert(counters)
                .values(tenant=caller.tenant, component_id=component_id, last=1)
                .on_conflict_do_update(
                    index_elements=[counters.c.tenant, counters.c.component_id],
                    set_={"last": counters.c.last + 1},
                )
                .returning(counters.c.last)
            ).scalar_one()
            row: dict[str, Any] = {
                "id": uuid.uuid4().hex,
                "tenant": caller.tenant,
                "component_id": component_id,
                "number": number,
                "name": body.name,
                "commit_sha": body.commit_sha,
                "strategy": body.strategy,
                "notes": body.notes,
                "artifacts": [artifact.model_dump() for artifact in body.artifacts],
                "status": "Ready",
                "created_by": caller.subject,
                "created_at": now,
            }
            connection.execute(insert(releases), row)
            connection.execute(insert(outbox), _event(caller, row, now))
            last = connection.execute(
                select(audit.c.sequence, audit.c.hash)
                .where(audit.c.tenant == caller.tenant, audit.c.component_id == component_id)
                .order_by(audit.c.sequence.desc())
                .limit(1)
            ).first()
            connection.execute(insert(audit), _entry(caller, row, now, last))
            stored = Stored(
                201, f"/releases/rel-{row['id']}", shown(row).model_dump_json(by_alias=True), False
            )
            connection.execute(insert(idempotency_keys), _kept(scoped_key, fingerprint, stored, now))
        return stored

    def find(self, caller: Caller, release_id: str) -> ReleaseOut | None:
        with self.reader.connect() as connection:
            row = connection.execute(
                select(releases).where(releases.c.id == release_id, releases.c.tenant == caller.tenant)
            ).first()
        return None if row is None else shown(row._asdict())


def shown(row: dict[str, Any]) -> ReleaseOut:
    return ReleaseOut(
        release_id=f"rel-{row['id']}",
        component_id=f"comp-{row['component_id']}",
        number=row["number"],
        name=row["name"],
        commit_sha=row["commit_sha"],
        strategy=row["strategy"],
        notes=row["notes"],
        artifacts=row["artifacts"],
        status=row["status"],
        created_by=row["created_by"],
        # SQLite keeps no zone, and every time of ours is UTC.
        created_at=row["created_at"].replace(tzinfo=UTC),
    )


def _event(caller: Caller, row: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "event_id": str(uuid.uuid4()),
        "tenant": caller.tenant,
        "type": "ReleaseCreated",
        "payload": {
            "releaseId": f"rel-{row['id']}",
            "componentId": f"comp-{row['component_id']}",
            "number": row["number"],
            "commitSha": row["commit_sha"],
            "actor": caller.subject,
        },
        "occurred_at": now,
    }


def _entry(caller: Caller, row: dict[str, Any], now: datetime, last: Any) -> dict[str, Any]:
    """One link of the component's chain: its hash covers the entry, which names the hash before it."""
    sequence, previous = (last.sequence + 1, last.hash) if last is not None else (1, GENESIS)
    after = {name: value for name, value in row.items() if name != "created_at"}
    entry = {
        "sequence": sequence,
        "at": now.isoformat(),
        "actor": caller.subject,
        "action": "release.created",
        "resource": row["id"],
        "after": sha256(canonical(after)),
        "previous": previous,
    }
    return {
        "tenant": caller.tenant,
        "component_id": row["component_id"],
        "sequence": sequence,
        "entry": entry,
        "previous": previous,
        "hash": sha256(canonical(entry)),
    }


def _kept(key: str, fingerprint: str, stored: Stored, now: datetime) -> dict[str, Any]:
    return {
        "key": key,
        "fingerprint": fingerprint,
        "status": stored.status,
        "location": stored.location,
        "body": stored.body,
        "expires_at": now + KEPT_FOR,
    }


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
