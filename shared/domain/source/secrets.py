"""Secrets that must not get into a repository, found by the marks that their issuers give them.

Only what can hardly be anything else is named: a rule that cries wolf is switched off in a week. What is
found is never quoted.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from shared.domain.source.errors import SecretsFound

ALLOWED = b"pragma: allowlist secret"
"""Beside what looks like a secret and is none: the comment that scanners commonly take."""
MOST_BYTES = 1024 * 1024
"""A larger file is data and not something that people write secrets into."""
MOST_SHOWN = 20
_PUBLIC = (b"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1", b"C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEH", b"EXAMPLE")
"""How the keys of Microsoft's emulators of Blob Storage and Cosmos DB begin, and those in AWS's pages end."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`marks` are texts of which any such secret holds one: looking for them is cheaper than the pattern."""

    kind: str
    marks: tuple[bytes, ...]
    pattern: re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Found:
    """What kind of secret begins in which line, from 1."""

    kind: str
    line: int


def _rule(kind: str, marks: tuple[bytes, ...], pattern: bytes) -> Rule:
    return Rule(kind, marks, re.compile(pattern))


RULES: tuple[Rule, ...] = (
    _rule(
        "private key",
        (b"PRIVATE KEY",),
        rb"-----BEGIN (?:RSA |EC |DSA |OPENSSH |PGP )?PRIVATE KEY(?: BLOCK)?-----",
    ),
    _rule(
        "GitHub token",
        (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
        rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{36})",
    ),
    _rule("GitLab token", (b"glpat-",), rb"\bglpat-[A-Za-z0-9_-]{20}"),
    _rule("Azure DevOps token", (b"AZDO",), rb"\b[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}\b"),
    _rule("Azure account key", (b"AccountKey=",), rb"AccountKey=[A-Za-z0-9+/]{86}=="),
    _rule("Azure shared access key", (b"SharedAccessKey=",), rb"SharedAccessKey=[A-Za-z0-9+/]{43}="),
    _rule("Entra ID client secret", (b"Q~",), rb"\b[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}"),
    _rule("AWS access key", (b"AKIA", b"ASIA"), rb"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    _rule("Google API key", (b"AIza",), rb"\bAIza[A-Za-z0-9_-]{35}"),
    _rule("Slack token", (b"xox",), rb"\bxox[abeoprs]-[0-9]{8,}[A-Za-z0-9-]{10}"),
    _rule(
        "Slack webhook",
        (b"hooks.slack.com",),
        rb"hooks\.slack\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{20}",
    ),
    _rule("Stripe key", (b"_live_",), rb"\b[sr]k_live_[A-Za-z0-9]{24}"),
    _rule("npm token", (b"npm_",), rb"\bnpm_[A-Za-z0-9]{36}\b"),
    _rule("PyPI token", (b"pypi-AgE",), rb"\bpypi-AgE[A-Za-z0-9_-]{50}"),
    _rule("NuGet key", (b"oy2",), rb"\boy2[a-z0-9]{43}\b"),
    _rule("OpenAI key", (b"sk-proj-",), rb"\bsk-proj-[A-Za-z0-9_-]{40}"),
    _rule("Anthropic key", (b"sk-ant-",), rb"\bsk-ant-[A-Za-z0-9_-]{40}"),
)


def find_secrets(content: bytes) -> list[Found]:
    """In the order of their lines."""
    if len(content) > MOST_BYTES:
        return []
    return sorted(
        (
            Found(rule.kind, content.count(b"\n", 0, at.start()) + 1)
            for rule in RULES
            if any(mark in content for mark in rule.marks)
            for at in rule.pattern.finditer(content)
            if not _is_allowed(content, at)
        ),
        key=lambda found: found.line,
    )


def require_no_secrets(files: Iterable[tuple[str, bytes]]) -> None:
    """SecretsFound, with every place of every file, by path."""
    found = [(path, each) for path, content in files for each in find_secrets(content)]
    if found:
        raise SecretsFound(
            f"There are secrets in what is committed: {_told(found)}. Take them out and have their issuer"
            f" revoke them; beside what is none, write '{ALLOWED.decode()}' in a comment.",
            secrets=[
                {"path": path, "line": each.line, "kind": each.kind} for path, each in found[:MOST_SHOWN]
            ],
        )


def _told(found: list[tuple[str, Found]]) -> str:
    shown = ", ".join(f"{path}:{each.line} ({each.kind})" for path, each in found[:3])
    return f"{shown} and {len(found) - 3} more" if len(found) > 3 else shown


def _is_allowed(content: bytes, at: re.Match[bytes]) -> bool:
    start = content.rfind(b"\n", 0, at.start()) + 1
    end = content.find(b"\n", at.end())
    line = content[start : end if end >= 0 else len(content)]
    return ALLOWED in line or any(known in at[0] for known in _PUBLIC)
