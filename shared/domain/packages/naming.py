"""What a package may be called and how its versions are written, per ecosystem. Equal names are one package.

PyPI: PEP 503 and PEP 440. npm: its naming rules and SemVer 2.0. NuGet: ids ignore case, versions drop zeros.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.kernel.errors import Invalid, Problem


class PackageType(StrEnum):
    """The words are the contract's."""

    NUGET = "NuGet"
    PYPI = "PyPI"
    NPM = "npm"
    GENERIC = "Generic"


@dataclass(frozen=True, slots=True)
class Coordinates:
    """A package and its version as they were written, and as they are compared."""

    package_type: PackageType
    package_id: str
    version: str
    name: str
    normalized_version: str


@dataclass(frozen=True, slots=True)
class _Rules:
    name: re.Pattern[str]
    name_hint: str
    normalize: Callable[[str], str]
    version: Callable[[str], str | None]
    version_hint: str


def coordinates(package_type: PackageType, package_id: str, version: str) -> Coordinates:
    """Invalid with a sentence for a name or a version that the ecosystem does not take."""
    rules = _RULES[package_type]
    problems = []
    if rules.name.fullmatch(package_id) is None:
        problems.append(Problem("packageId", f"Is no {package_type} name: {rules.name_hint}."))
    canonical = rules.version(version)
    if canonical is None:
        problems.append(Problem("version", f"Is no {package_type} version: {rules.version_hint}."))
    if problems or canonical is None:
        raise Invalid("The package cannot be published under this name and version.", *problems)
    return Coordinates(package_type, package_id, version, rules.normalize(package_id), canonical)


def normalized_name(package_type: PackageType, package_id: str) -> str | None:
    """The name that the feed knows a package by; None for what can be no name."""
    rules = _RULES[package_type]
    return rules.normalize(package_id) if rules.name.fullmatch(package_id) else None


def normalized_version(package_type: PackageType, version: str) -> str | None:
    return _RULES[package_type].version(version)


def _pep503(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


_PEP440 = re.compile(
    r"""v?(?:(?P<epoch>[0-9]{1,9})!)?(?P<release>[0-9]{1,18}(?:\.[0-9]{1,18}){0,9})
    (?:[-_.]?(?P<pre_l>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_n>[0-9]{0,9}))?
    (?P<post>-(?P<post_n1>[0-9]{1,9})|[-_.]?(?P<post_l>post|rev|r)[-_.]?(?P<post_n2>[0-9]{0,9}))?
    (?:[-_.]?(?P<dev_l>dev)[-_.]?(?P<dev_n>[0-9]{0,9}))?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?""",
    re.VERBOSE | re.IGNORECASE,
)
_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


def _pep440(version: str) -> str | None:
    found = _PEP440.fullmatch(version) if len(version) <= 128 else None
    if found is None:
        return None
    epoch = int(found["epoch"] or 0)
    text = f"{epoch}!" if epoch else ""
    text += ".".join(str(int(part)) for part in found["release"].split("."))
    if letter := found["pre_l"]:
        text += f"{_PRE.get(letter.lower(), letter.lower())}{int(found['pre_n'] or 0)}"
    if found["post"]:
        text += f".post{int(found['post_n1'] or found['post_n2'] or 0)}"
    if found["dev_l"]:
        text += f".dev{int(found['dev_n'] or 0)}"
    if local := found["local"]:
        parts = re.split(r"[-_.]", local.lower())
        text += "+" + ".".join(str(int(part)) if part.isdigit() else part for part in parts)
    return text


_NUMBER = r"(?:0|[1-9][0-9]{0,17})"
_LABEL = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(
    rf"({_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_LABEL}(?:\.{_LABEL})*)?)(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_NUGET = re.compile(
    rf"([0-9]{{1,9}}(?:\.[0-9]{{1,9}}){{0,3}})((?:-{_LABEL}(?:\.{_LABEL})*)?)"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


def _semver(version: str) -> str | None:
    """Build metadata does not tell versions apart."""
    found = _SEMVER.fullmatch(version) if len(version) <= 128 else None
    return found[1] if found else None


def _nuget(version: str) -> str | None:
    found = _NUGET.fullmatch(version) if len(version) <= 128 else None
    if found is None:
        return None
    numbers = [str(int(part)) for part in found[1].split(".")]
    numbers += ["0"] * (3 - len(numbers))
    if numbers[3:] == ["0"]:
        numbers.pop()
    return ".".join(numbers) + found[2].lower()


def nuget_order(version: str) -> tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]:
    """What normalised NuGet versions are sorted by: SemVer 2.0's precedence, with a fourth number."""
    numbers, _, labels = version.partition("-")
    parts = tuple(
        (not label.isdigit(), int(label) if label.isdigit() else 0, label)
        for label in labels.split(".")
        if label
    )
    return tuple(int(number) for number in numbers.split(".")), not parts, parts


def is_semver2(version: str) -> bool:
    """Whether a normalised NuGet version is one that clients of before SemVer 2.0 cannot read."""
    return "." in version.partition("-")[2]


def _plain(version: str) -> str | None:
    return version if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", version) else None


_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")


def check_file_name(file_name: str) -> None:
    """Raises Invalid for what is not to stand in a path or a header."""
    if not _FILE_NAME.fullmatch(file_name):
        raise Invalid(
            "The file cannot be kept under its name.",
            Problem("fileName", "Use letters, digits, `.`, `_`, `+` and `-`."),
        )


_RULES: Mapping[PackageType, _Rules] = {
    PackageType.PYPI: _Rules(
        re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"),
        "use letters, digits, `.`, `_` and `-`, and begin and end with a letter or digit",
        _pep503,
        _pep440,
        "write it as PEP 440 has it, such as 1.4.0, 1.4.0rc1 or 1.4.0.post1",
    ),
    PackageType.NPM: _Rules(
        re.compile(r"(?=.{1,214}\Z)(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*"),
        "use lower-case letters, digits, `.`, `_` and `-`, as in orders or @shop/orders",
        lambda name: name,
        _semver,
        "write three numbers, as in 1.4.0 or 1.4.0-rc.1 (SemVer 2.0)",
    ),
    PackageType.NUGET: _Rules(
        re.compile(r"(?=.{1,100}\Z)[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*"),
        "use letters, digits and `_`, with single `.` or `-` between them",
        str.lower,
        _nuget,
        "write up to four numbers, as in 1.4.0 or 1.4.0-rc.1",
    ),
    PackageType.GENERIC: _Rules(
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"),
        "use letters, digits, `.`, `_` and `-`, and begin with a letter or digit",
        lambda name: name,
        _plain,
        "use letters, digits, `.`, `_`, `+` and `-`, and begin with a letter or digit",
    ),
}
