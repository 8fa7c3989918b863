"""Secrets in a SQLite file, each value sealed with AES-256-GCM. Must not let a value reach a file, a log or
an error in the clear.
"""

import asyncio
import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from shared.adapters.embedded.secret_file import keep, private_folder
from shared.adapters.secret_rules import check_name, checked_value
from shared.domain.kernel.errors import Forbidden, NotFound, Permanent, Transient
from shared.ports.clock import Clock
from shared.ports.ids import Ids
from shared.ports.vault import Secret, SecretVersion

if TYPE_CHECKING:  # imported on first use: it costs a cold start that needs no secret
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BITS = 256
_NONCE_BYTES = 12
# Names compare without case, as Key Vault's do. `number` orders the versions of a name.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS master_key (fingerprint TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS secrets (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    version TEXT NOT NULL,
    created_at TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    nonce BLOB NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (tenant, name, version)
) STRICT;
"""
_INSERT = "INSERT INTO secrets (tenant, name, version, created_at, nonce, sealed) VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = """
SELECT name, version, created_at, enabled, nonce, sealed FROM secrets
WHERE tenant = ? AND name = ? AND version = ifnull(?, version) ORDER BY number DESC LIMIT ?
"""
_DISABLE = "UPDATE secrets SET enabled = 0 WHERE tenant = ? AND name = ? AND version = ?"
_DELETE = "DELETE FROM secrets WHERE tenant = ? AND name = ?"


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    version: str
    created_at: str
    enabled: int
    nonce: bytes
    sealed: bytes

    def shown(self) -> SecretVersion:
        return SecretVersion(
            self.name, self.version, datetime.fromisoformat(self.created_at), bool(self.enabled)
        )


class FileVault:
    """The Vault port over a folder: `vault.sqlite`, and `master.key` that opens it.

    Keep a copy of the key elsewhere: without it the values are gone. Several processes may share the folder.
    """

    def __init__(self, root: Path, clock: Clock, ids: Ids) -> None:
        self._root = root
        self._file = root / "vault.sqlite"
        self._key_file = root / "master.key"
        self._clock = clock
        self._ids = ids
        self._opened: AESGCM | None = None

    async def set(self, tenant: str, name: str, value: str) -> SecretVersion:
        """Raises Invalid for a bad name, or a value over 25 KB."""
        check_name(name)
        plain = checked_value(value)
        version, created_at = self._ids.new(), self._clock.now()
        # A durable commit waits for the disk, which the event loop must not.
        await asyncio.to_thread(self._insert, tenant, name, version, created_at, plain)
        return SecretVersion(name, version, created_at, enabled=True)

    async def get(self, tenant: str, name: str, version: str | None = None) -> Secret:
        """Raises Permanent when the master key is missing or is another vault's."""
        check_name(name)
        rows = self._rows(tenant, name, version, limit=1)
        if not rows:
            what = f"secret {name}" if version is None else f"version {version} of the secret {name}"
            raise NotFound(f"There is no {what}.")
        [row] = rows
        if not row.enabled:
            raise Forbidden(f"Version {row.version} of the secret {name} is disabled; set a new version.")
        return Secret(
            row.name, row.version, self._unseal(tenant, row), datetime.fromisoformat(row.created_at)
        )

    async def versions(self, tenant: str, name: str) -> list[SecretVersion]:
        check_name(name)
        return [row.shown() for row in self._rows(tenant, name)]

    async def disable(self, tenant: str, name: str, version: str) -> None:
        """Disabling twice is fine. NotFound for an unknown version."""
        check_name(name)
        changed = await asyncio.to_thread(self._write, _DISABLE, (tenant, name, version))
        if not changed:
            raise NotFound(f"There is no version {version} of the secret {name}.")

    async def delete(self, tenant: str, name: str) -> None:
        check_name(name)
        await asyncio.to_thread(self._write, _DELETE, (tenant, name))

    def _insert(self, tenant: str, name: str, version: str, created_at: datetime, plain: bytes) -> None:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher().encrypt(nonce, plain, _place(tenant, name, version))
        self._write(_INSERT, (tenant, name, version, created_at.isoformat(), nonce, sealed))

    def _unseal(self, tenant: str, row: _Row) -> str:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        try:
            plain = self._cipher().decrypt(row.nonce, row.sealed, _place(tenant, row.name, row.version))
        except InvalidTag:
            raise Permanent(
                f"Version {row.version} of the secret {row.name} was altered in {self._file}. "
                "Set the secret again, and find out who wrote to that file."
            ) from None
        return plain.decode()

    def _rows(self, tenant: str, name: str, version: str | None = None, limit: int = -1) -> list[_Row]:
        """Newest first; all versions, or the named one."""
        self._cipher()
        with self._database() as database:
            found = database.execute(_SELECT, (tenant, name, version, limit))
            return [_Row(*row) for row in found]

    def _write(self, sql: str, values: tuple[str | bytes, ...]) -> int:
        self._cipher()
        with self._database() as database:
            return database.execute(sql, values).rowcount

    def _cipher(self) -> "AESGCM":
        """The cipher of this vault's master key; makes or checks the whole folder on first use."""
        if self._opened is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

            private_folder(self._root)
            if self._file.exists() and not self._key_file.exists():
                raise Permanent(
                    f"The master key {self._key_file} is missing, and the vault cannot be read without it. "
                    f"Restore it from your copy, or remove {self._file} to begin an empty vault."
                )
            key = keep(self._key_file, lambda: AESGCM.generate_key(bit_length=_KEY_BITS))
            # SQLite gives its journal the mode of the database.
            os.close(os.open(self._file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            if len(key) * 8 != _KEY_BITS or self._sworn(key) != _fingerprint(key):
                raise Permanent(
                    f"The master key {self._key_file} is not the one this vault was made with. "
                    f"Restore the right one from your copy, or remove {self._file} to begin an empty vault."
                )
            self._opened = AESGCM(key)
        return self._opened

    def _sworn(self, key: bytes) -> str:
        """The fingerprint of the key the vault was made with: of `key`, where it is being made just now."""
        with self._database() as database:
            database.executescript(_SCHEMA)
            database.execute(
                "INSERT INTO master_key SELECT ? WHERE NOT EXISTS (SELECT 1 FROM master_key)",
                (_fingerprint(key),),
            )
            [[fingerprint]] = database.execute("SELECT fingerprint FROM master_key")
            return str(fingerprint)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """A connection for one call, each statement its own transaction; nothing stays open in between."""
        try:
            with closing(sqlite3.connect(self._file, timeout=5, autocommit=True)) as database:
                database.execute("PRAGMA synchronous = FULL")
                database.execute("PRAGMA secure_delete = ON")
                yield database
        except sqlite3.OperationalError as error:
            raise Transient(f"The vault {self._file} cannot be used now ({error}); try again.") from error
        except sqlite3.DatabaseError as error:
            raise Permanent(
                f"The vault {self._file} is damaged ({error}); restore it from a copy."
            ) from error


def _place(tenant: str, name: str, version: str) -> bytes:
    """Sealed in with the value, so that a value moved to another tenant, name or version does not open."""
    return json.dumps([tenant, name.lower(), version]).encode()


def _fingerprint(key: bytes) -> str:
    return hashlib.sha256(b"slipway vault master key\0" + key).hexdigest()
