"""What an operation has left behind: every fact that must be the same however often it was tried, and the
rules that hold after any of it."""

import json
import os
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from dulwich.refs import Ref
from dulwich.repo import Repo

from shared.services.audit import first_broken
from shared.services.unit import GENESIS
from tests.faults.crash_points.operations import TOKEN_SECRET, VAULT_SECRET

type Json = Any
type Facts = Mapping[str, frozenset[str]]
"""Lines of canonical text, by what they are about."""

ANSWERS = frozenset({"once", "key"})
_PLUMBING = ANSWERS | {"outbox", "audit", "audit-head", "inbox"}
_FOLLOWING = ("limit:", "view:")
"""Roots that follow from what happens by their own rules: what a caller has used of its rate, and the views
that are projected from the change feed."""
_RANDOM = re.compile(r"(evt|trace|corr)-[0-9a-f-]{32,36}")

# Where trying again may show, and why that is right:
_FREE = {"run": ("attempt", "revision"), "commit": ("recorded_by",), "run-watch": ("log_size",)}
"""A run that a dying worker had begun is begun anew, and says so. A commit whose author's process died is
recorded by the sweep. Lines of a log that arrive while they are sent again are in it twice."""
_BEGUN_AGAIN = "run.attempt-started"
"""So does the audit trail of a run."""
_AWAY = ("MirrorPullRequestAgain", "HostChangedAgain")
"""So does a vendor that was away: a message looks again later, and finds it done."""
_LOOKED_LATER = "inbox:source:"
"""The marker of whoever sent that message."""
_ACTOR = re.compile(r'"actor":"[^"]*"')
"""What the caller died over is finished by a worker, in its own name."""
_KNOWN = 20_000
"""Texts whose reading is kept: almost all that one try leaves, the try before it has left too."""


class Row(NamedTuple):
    tenant: str
    root: str
    id: str
    kind: str
    body: Json


@dataclass(frozen=True)
class Remains:
    """Everything that a data folder holds, read without the app."""

    folder: Path
    rows: tuple[Row, ...]
    messages: tuple[tuple[str, str, str], ...]
    """Queue, state and event type."""

    @classmethod
    def of(cls, folder: Path) -> "Remains":
        found = _select(
            folder / "store.db", "SELECT tenant, root, id, kind, body FROM documents ORDER BY sequence"
        )
        rows = tuple(Row(tenant, root, name, kind, _parsed(body)) for tenant, root, name, kind, body in found)
        select = "SELECT queue, state, subject FROM messages ORDER BY sequence"
        return cls(folder, rows, tuple(_select(folder / "bus.db", select)))

    def bodies(self, kind: str) -> list[Json]:
        return [row.body for row in self.rows if row.kind == kind]

    def facts(self, repeatable: str = "") -> Facts:
        """What is compared with the undisturbed operation: ids, times and commits included. Events of the
        type `repeatable` are those that a reminder sends again."""
        named = self._results()
        lines: dict[str, list[str]] = defaultdict(list)
        for row in self.rows:
            if row.root.startswith(_FOLLOWING):
                continue
            if row.kind not in _PLUMBING:
                body = {
                    name: value for name, value in row.body.items() if name not in _FREE.get(row.kind, ())
                }
                lines["documents"].append(f"{row.tenant} {row.root} {row.id} {_text(body)}")
            elif row.kind == "outbox" and row.body["eventType"] not in _AWAY:
                told = {
                    key: row.body[key]
                    for key in ("eventType", "payload", "session", "notBefore", "occurredAt")
                }
                lines["events"].append(f"{row.tenant} {row.root} {_text(told)}")
            elif row.kind in ANSWERS and not row.id.startswith(_LOOKED_LATER):
                lines["answers"].append(f"{row.tenant} {row.root} {row.id} {_text(row.body)}")
        lines["events"] = [
            line
            for at, line in enumerate(lines["events"])
            if not repeatable or f'"{repeatable}"' not in line or line not in lines["events"][:at]
        ]
        lines["audit"] = list(self._audit())
        lines["git"] = [f"{place} {branch} {shas}" for place, branch, shas in self.branches]
        lines["blobs"] = [str(path.relative_to(self.folder)) for path in _files(self.folder / "blobs")]
        lines["images"] = [f"{path} {path.read_bytes()!r}" for path in _files(self.folder / "registry")]
        lines["targets"] = [_text(json.loads(path.read_bytes())) for path in self._states()]
        lines["stacks"] = [path.read_text() for path in _files(self.folder / "infrastructure")]
        lines["vendor"] = [path.read_text() for path in (self.folder / "vendor").glob("*.json")]
        lines["messages"] = [" ".join(message) for message in self.messages if message[2] not in _AWAY]
        return {about: _counted(_renamed(each, named) for each in found) for about, found in lines.items()}

    def broken_rules(self) -> Iterator[str]:
        """What does not hold, after any operation and any fault, once nothing moves any more."""
        yield from self._chains()
        yield from self.unrecorded(settled=True)
        yield from self._numbers()
        yield from self._indexes()
        yield from self._leftovers()

    @cached_property
    def branches(self) -> tuple[tuple[str, str, list[str]], ...]:
        """Every branch of every repository with its commits and their trees, newest first."""
        return tuple(self._branches())

    def _branches(self) -> Iterator[tuple[str, str, list[str]]]:
        for folder in sorted((self.folder / "git").glob("*/*/*.git")):
            with closing(Repo(str(folder))) as repository:
                heads = repository.refs.as_dict(Ref(b"refs/heads"))
                for name, sha in sorted(heads.items()):
                    walk = [entry.commit for entry in repository.get_walker(include=[sha])]
                    shas = [f"{commit.id.decode()}:{commit.tree.decode()}" for commit in walk]
                    yield "/".join(folder.parts[-3:]).removesuffix(".git"), name.decode(), shas

    def _results(self) -> dict[str, str]:
        """Build results by the run that they are of: the result of a later attempt has another id."""
        return {
            row.body["id"]: f"result-of-{row.body['pipeline_run']}"
            for row in self.rows
            if row.kind == "build-result"
        }

    def _audit(self) -> Iterator[str]:
        seen: set[str] = set()
        for row in self.rows:
            if row.kind == "audit":
                line = f"{row.root} {row.body['action']} {_text(row.body['resource'])}"
                if row.body["action"] != _BEGUN_AGAIN or line not in seen:
                    seen.add(line)
                    yield line

    def _states(self) -> list[Path]:
        return sorted((self.folder / "environments").glob("*/*/*/state.json"))

    def _chains(self) -> Iterator[str]:
        entries: dict[tuple[str, str], list[Json]] = defaultdict(list)
        heads = {(row.tenant, row.root): row.body for row in self.rows if row.kind == "audit-head"}
        for row in self.rows:
            if row.kind == "audit":
                entries[row.tenant, row.root].append(row.body)
        for place in heads.keys() | entries.keys():
            chain = sorted(entries[place], key=lambda entry: int(entry["sequence"]))
            head = heads.get(place, {"sequence": 0, "hash": GENESIS})
            if first_broken(tuple(chain), 0, GENESIS) is not None:
                yield f"the audit chain of {place} is broken"
            if not chain or (chain[-1]["sequence"], chain[-1]["hash"]) != (head["sequence"], head["hash"]):
                yield f"the audit head of {place} is not its last entry"

    def unrecorded(self, *, settled: bool) -> Iterator[str]:
        """Every branch is recorded at its head, and every commit on it, once."""
        known = {body["id"]: body for body in self.bodies("repository")}
        recorded = {
            (self._place(known[body["repository"]]), body["name"]): body["head"]
            for body in self.bodies("branch")
        }
        commits = Counter(
            (self._place(known[body["repository"]]), body["sha"]) for body in self.bodies("commit")
        )
        for place, branch, shas in self.branches:
            if place.endswith("gitops/environments") and not settled:
                continue  # nobody waits for the records of the platform's own commits: the sweep makes them
            if recorded.get((place, branch)) != shas[0].partition(":")[0]:
                yield f"{place} {branch} is recorded at another commit than its head"
            for sha in shas:
                if commits[place, sha.partition(":")[0]] != 1:
                    yield f"{place} {branch} has a commit that is not recorded once"

    def _place(self, repository: Json) -> str:
        return f"{repository['tenant']}/{repository['project']}/{repository['name']}"

    def _numbers(self) -> Iterator[str]:
        requests, runs, releases = defaultdict(list), defaultdict(list), defaultdict(list)
        for body in self.bodies("pull-request"):
            requests[body["repository"]].append(body["number"])
        for body in self.bodies("run"):
            day, _, number = body["build_number"].partition(".")
            runs[body["pipeline"], day].append(int(number))
        for body in self.bodies("release"):
            releases[body["component"]].append(body["number"])
        for body in self.bodies("pull-request-index"):
            yield from _gaps("pull request", requests[body["repository"]], body["last_number"])
        for body in self.bodies("build-counter"):
            yield from _gaps("build", runs[body["pipeline"], body["day"]], body["last"])
        for body in self.bodies("release-line"):
            yield from _gaps("release", releases[body["component"]], body["last_number"])

    def _indexes(self) -> Iterator[str]:
        opened = {body["id"] for body in self.bodies("pull-request") if body["status"] in ("open", "blocked")}
        rows = [row["id"] for index in self.bodies("pull-request-index") for row in index["open"]]
        if sorted(rows) != sorted(opened):
            yield "the index of open pull requests is not what is open"
        going = [body["id"] for body in self.bodies("run") if body["finished_at"] is None]
        slots = [slot["run"] for each in self.bodies("run-slots") for slot in each["active"]]
        if sorted(slots) != sorted(going):
            yield "the slots are not those of the runs that go on"
        open_promotions = [
            body["id"]
            for body in self.bodies("promotion")
            if body["status"] in ("pending", "awaiting_approval", "approved", "deploying")
        ]
        entries = [body["promotion"] for body in self.bodies("entry") if body["promotion"] is not None]
        if sorted(entries) != sorted(open_promotions):
            yield "the entries are not of the promotions under way"

    def _leftovers(self) -> Iterator[str]:
        for lane in self.bodies("lane"):
            if lane["lock"] is not None:
                yield f"a lane is locked and nothing is being deployed: {lane['environment']}"
        # A caller that dies while it previews leaves that to a reminder, whose time has not come.
        previewed = {
            body["id"] for body in self.bodies("infrastructure-plan") if body["status"] == "previewing"
        }
        for stack in self.bodies("stack"):
            if stack["lock"] not in {None, *previewed}:
                yield f"a stack is held and nothing is being done: {stack['name']}"
        if list((self.folder / "git" / ".journal").iterdir()):
            yield "the journal has moves that nobody recorded"
        if list((self.folder / "work").glob("*")):
            yield "a workspace is left"
        for queue, state, subject in self.messages:
            if state != "scheduled":
                yield f"a message is {state} on {queue}: {subject}"
        for path in _files(self.folder):
            content = path.read_bytes()
            for secret in (TOKEN_SECRET, VAULT_SECRET):
                if secret.encode() in content:
                    yield f"{path.relative_to(self.folder)} holds a secret"


def differences(facts: Facts, wanted: Facts) -> Iterator[str]:
    for about in sorted(facts.keys() | wanted.keys()):
        have, want = facts.get(about, frozenset()), wanted.get(about, frozenset())
        for line in sorted(have - want):
            yield f"{about}: unexpected {line[:400]}"
        for line in sorted(want - have):
            yield f"{about}: missing {line[:400]}"


def _gaps(what: str, numbers: list[int], last: int) -> Iterator[str]:
    if sorted(numbers) != list(range(1, last + 1)):
        yield f"{what} numbers are {sorted(numbers)} and the last one given is {last}"


@lru_cache(maxsize=_KNOWN)
def _parsed(text: str) -> Json:
    return json.loads(text)


def _text(body: Json) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _renamed(line: str, named: Mapping[str, str]) -> str:
    for found, name in named.items():
        line = line.replace(found, name)
    return _blurred(line)


@lru_cache(maxsize=_KNOWN)
def _blurred(line: str) -> str:
    return _ACTOR.sub('"actor":"*"', _RANDOM.sub(r"\1-*", line))


def _counted(lines: Iterator[str]) -> frozenset[str]:
    return frozenset(f"{line} (x{count})" if count > 1 else line for line, count in Counter(lines).items())


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        paths = (Path(place, name) for name in sorted(names))
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _select(database: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()
