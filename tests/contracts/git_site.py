"""A git server on a free port with one repository, and the real git client beside it."""

import asyncio
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from local.git_http import Access, GitHttp
from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.domain.kernel.errors import Forbidden, NotFound, Transient
from shared.ports.source_host import Place, RefUpdate, Signature
from shared.ports.tokens import TokenRefused
from tests.support.app import SteppingClock

PLACE = Place("tenant-a", "proj-x", "api")
ADA = Signature("Ada", "ada@example.com", datetime(2026, 6, 11, 9, 0, tzinfo=UTC))


@dataclass
class TokenGate:
    """One writer, one reader; `main` is protected, unless it is one that only grows. Can be told to fail at
    recording."""

    kept: frozenset[str] = frozenset()
    pushes: list[RefUpdate] = field(default_factory=list)
    failing: bool = False

    async def authorise(self, token: str, tenant: str, project: str, name: str, *, write: bool) -> Access:
        if token not in {"writer", "reader"}:
            raise TokenRefused("The token is not known; ask for a new one.")
        if (tenant, project, name) != (PLACE.tenant, PLACE.project, PLACE.name):
            raise NotFound("There is no such repository.")
        if write and token == "reader":
            raise Forbidden("This token may only read.")
        return Access(subject=token, protected=frozenset({"main"}) - self.kept, kept=self.kept)

    async def pushed(self, access: Access, updates: Sequence[RefUpdate]) -> None:
        if self.failing:
            raise Transient("The store is away.")
        self.pushes.extend(updates)


@dataclass
class Site:
    host: EmbeddedGit
    gate: TokenGate
    port: int
    home: Path

    def url(self, token: str = "writer") -> str:
        return f"http://x:{token}@127.0.0.1:{self.port}/git/tenant-a/proj-x/api.git"

    def git(self, *args: str, at: Path | None = None, fails: bool = False) -> str:
        done = subprocess.run(
            ["git", *args],
            cwd=at or self.home,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_AUTHOR_NAME": "Bob",
                "GIT_AUTHOR_EMAIL": "bob@example.com",
                "GIT_COMMITTER_NAME": "Bob",
                "GIT_COMMITTER_EMAIL": "bob@example.com",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done.stdout + done.stderr

    def clone(self, name: str = "work", *args: str) -> Path:
        self.git("clone", "-q", *args, self.url(), name)
        return self.home / name

    def committed(self, work: Path, path: str, content: str | bytes = "x\n", message: str = "m") -> str:
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "-A", at=work)
        self.git("commit", "-q", "-m", message, at=work)
        return self.git("rev-parse", "HEAD", at=work).strip()

    def heads(self) -> dict[str, str]:
        return asyncio.run(self.host.branches(PLACE))

    def pending(self) -> list[RefUpdate]:
        return asyncio.run(self.host.pending(older_than=0))

    def raw(self, head: str, body: bytes = b"") -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(head.replace("\n", "\r\n").encode() + b"Connection: close\r\n\r\n" + body)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return answer


@contextmanager
def serving(tmp_path: Path, *, max_body: int = 2 << 30, kept: frozenset[str] = frozenset()) -> Iterator[Site]:
    host, gate = EmbeddedGit(tmp_path / "git", SteppingClock()), TokenGate(kept)
    asyncio.run(host.create(PLACE, default_branch="main", author=ADA, readme="# api\n"))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(GitHttp(host, gate, max_body=max_body), log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.005)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[init]\n\tdefaultBranch = main\n")
    try:
        yield Site(host, gate, listener.getsockname()[1], home)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
        assert not thread.is_alive()
