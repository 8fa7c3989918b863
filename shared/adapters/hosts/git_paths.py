"""Which file and branch names a repository may hold: one rule for commits made here and for pushed trees.

Pure: no repository is opened here.
"""

import re
from collections.abc import Iterable

from dulwich.refs import Ref, check_ref_format

# HFS+ drops these when it compares names, so `.g\u200cit` would land on `.git` on a Mac.
_IGNORED_BY_HFS = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)
_GIT_SHORT_NAME = re.compile(r"git~\d+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_COMPONENT = 255
_MAX_REF = len(b"refs/heads/") + 244
_MAX_PATH = 4096
MAX_DEPTH = 200


def path_problem(path: str) -> str | None:
    """What is wrong with a slash-separated path of a tree, as half a sentence; None when it may be used."""
    if not path:
        return "the path is empty"
    if path.startswith("/"):
        return "the path must be relative to the repository's root"
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        return "the path is not valid Unicode"
    if length > _MAX_PATH:
        return f"the path is longer than {_MAX_PATH} bytes"
    components = path.split("/")
    if len(components) > MAX_DEPTH:
        return f"the path has more than {MAX_DEPTH} folders"
    for component in components:
        if problem := component_problem(component):
            return problem
    return None


def component_problem(name: str) -> str | None:
    """What is wrong with one name of a tree: escapes, git's own folder in any disguise, unprintable names."""
    if not name:
        return "the path has an empty component"
    if name in {".", ".."}:
        return f"the path has a {name!r} component"
    if _CONTROL.search(name):
        return "the path has a control character"
    if "\\" in name:
        return "the path has a backslash; separate folders with '/'"
    if "/" in name:
        return "a name in a tree has a slash"
    if len(name.encode()) > _MAX_COMPONENT:
        return f"a component is longer than {_MAX_COMPONENT} bytes"
    if _is_git_folder(name):
        return "the path has a component that some system reads as '.git'"
    return None


def _is_git_folder(name: str) -> bool:
    # NTFS drops trailing dots and spaces, splits off `:stream`, and answers to the 8.3 name `git~1`.
    plain = name.translate(_IGNORED_BY_HFS).split(":", 1)[0].rstrip(" .").casefold()
    return plain == ".git" or _GIT_SHORT_NAME.fullmatch(plain) is not None


def branch_ref(name: str) -> Ref | None:
    """The full ref of a short branch name; None where git would not take the name."""
    try:
        ref = Ref(b"refs/heads/" + name.encode())
    except UnicodeEncodeError:
        return None
    # `git branch` refuses these two although they are well-formed refs.
    if name == "HEAD" or name.startswith("-"):
        return None
    # A ref is a file: a longer one could be judged and journaled, and then not be written.
    if len(ref) > _MAX_REF:
        return None
    return ref if check_ref_format(ref) else None


def ref_in_the_way(ref: Ref, existing: Iterable[Ref]) -> Ref | None:
    """An existing ref whose file or folder the new one would need, as of `a` and `a/b`, or of `Fix` and `fix`
    where a clone lies on a disk that ignores case."""
    wanted = _folded(ref)
    for other in existing:
        taken = _folded(other)
        if wanted == taken or wanted.startswith(taken + "/") or taken.startswith(wanted + "/"):
            return other
    return None


def _folded(ref: Ref) -> str:
    return ref.decode("utf-8", "replace").casefold()
