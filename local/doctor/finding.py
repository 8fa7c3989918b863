"""What a check found, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is what was looked at, `tried` what was done to it, `told` what came of it; `advice` is what
    to set, grant or run, in words to copy, "" where there is nothing to do."""

    subject: str
    tried: str
    result: Result
    told: str = ""
    advice: str = ""


def ok(subject: str, tried: str, told: str = "") -> Finding:
    return Finding(subject, tried, Result.OK, told)


def warn(subject: str, tried: str, told: str, advice: str) -> Finding:
    return Finding(subject, tried, Result.WARN, told, advice)


def fail(subject: str, tried: str, told: str, advice: str) -> Finding:
    return Finding(subject, tried, Result.FAIL, told, advice)
