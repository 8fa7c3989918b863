"""Conventions worth having, as tests. Each says which failure it prevents, and names file and line."""

import ast
import re
from collections.abc import Iterator

from tests.architecture.tree import PRODUCT, Source, dotted, sources, tracked
from tests.support.host import ROOT

AMBIENT_CALLS = re.compile(
    r"(datetime\.)?(datetime\.(now|utcnow|today)|date\.today)|time\.(time|time_ns)|(uuid\.)?uuid[14]"
    r"|(os\.)?(environ|getenv|urandom)"
)
AMBIENT_MODULES = frozenset({"random", "secrets"})
AMBIENT_ALLOWED = {
    "shared/adapters/embedded/system.py": "the clock and the ids that everybody else is handed",
    "shared/settings.py": "the one reader of the environment",
    "shared/services/trace.py": "trace ids, which no decision depends on",
    "shared/adapters/embedded/blobs.py": "the key that signs URLs",
    "shared/adapters/embedded/signer.py": "the key that signs cursors",
    "shared/adapters/embedded/vault.py": "nonces of the encryption",
    "local/issuer.py": "token ids of the development issuer",
    "local/issuer_app.py": "client secrets and salts of the development issuer",
    "local/demo.py": "a caller: git gets the environment it runs in",
    "local/demo_client.py": "a caller: its Idempotency-Keys",
    "local/host.py": "hands the app its settings as the real platform does, by the environment",
}
BROAD_EXCEPT_ALLOWED = frozenset({"functions/http/serve.py", "functions/workers/consumer.py"})

MAX_LINES, MAX_WIDTH, MAX_FUNCTION_LINES = 400, 110, 60
PRAGMA = re.compile(r"  # (noqa|type:).*")
EMPTY_NAMES = frozenset({"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"})


def test_time_randomness_and_the_environment_come_through_ports() -> None:
    """A decision that looks at the clock by itself cannot be tested to the second nor replayed; a second
    reader of the environment is a setting that nobody finds. The exceptions are named above, with why."""
    wrong = [
        found
        for source in sources(*PRODUCT)
        if source.path not in AMBIENT_ALLOWED
        for found in _ambient(source)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_exception_to_the_ports_is_still_needed() -> None:
    """An exception that outlives its reason hides the next violation in that file."""
    needed = {source.path for source in sources(*PRODUCT) if any(True for _ in _ambient(source))}
    assert sorted(AMBIENT_ALLOWED.keys() - needed) == []


def _ambient(source: Source) -> Iterator[str]:
    for statement, module in source.imports():
        if module in AMBIENT_MODULES:
            yield source.at(statement, f"imports {module}")
    for node in source.nodes:
        if isinstance(node, ast.Attribute | ast.Name) and AMBIENT_CALLS.fullmatch(dotted(node)):
            yield source.at(node, dotted(node))


def test_nothing_is_caught_broadly_but_at_the_two_edges() -> None:
    """A broad `except` swallows the bug it was not written for. The two edges log what they catch. Catching
    BaseException to clean up is fine where it is raised again."""
    wrong = [
        source.at(node, "catches too much")
        for source in sources(*PRODUCT)
        if source.path not in BROAD_EXCEPT_ALLOWED
        for node in source.nodes
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _raises_again(node)
    ]
    assert not wrong, "\n".join(wrong)


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(dotted(kind) in {"Exception", "BaseException"} for kind in caught)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    is_base = handler.type is not None and dotted(handler.type) == "BaseException"
    return is_base and isinstance(last, ast.Raise) and last.exc is None


def test_no_test_patches_our_modules() -> None:
    """A patched module tests the patch: rename the function and the test still passes. Environment variables
    may be set; everything else is handed in as a port or written as a fake."""
    wrong = []
    for source in sources("tests/"):
        wrong += [
            source.at(node, f"imports {alias.name}")
            for node in source.nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
            if "mock" in f"{getattr(node, 'module', None)}.{alias.name}".split(".")
        ]
        wrong += [
            source.at(node, dotted(node))
            for node in source.nodes
            if isinstance(node, ast.Attribute)
            and dotted(node) in {"monkeypatch.setattr", "monkeypatch.setitem", "monkeypatch.delattr"}
        ]
    assert not wrong, "\n".join(wrong)


def test_files_are_short() -> None:
    """What does not fit in a head is split by somebody in a hurry, along the wrong line."""
    long = [
        f"{source.path}:1: {len(source.text.splitlines())} lines"
        for source in sources()
        if len(source.text.splitlines()) > MAX_LINES
    ]
    assert not long, "\n".join(long)


def test_lines_are_short() -> None:
    """Two files have to fit beside each other in a review. What a checker is told at the end of a line does
    not count, and one word cannot be broken."""
    wide = [
        f"{source.path}:{number}: {len(line)} characters"
        for source in sources()
        for number, line in enumerate(source.text.splitlines(), 1)
        if len(PRAGMA.sub("", line)) > MAX_WIDTH and len(line.split()) > 1
    ]
    assert not wide, "\n".join(wide)


def test_functions_are_short() -> None:
    """A function that needs scrolling has a part that nobody tests alone."""
    long = [
        source.at(node, f"{node.name} has {_length(node)} lines")
        for source in sources()
        for node in source.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _length(node) > MAX_FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    # A docstring is read once, not scrolled past.
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_every_module_is_named_after_what_it_is_about() -> None:
    """`utils` says nothing, so everything goes there, and everything then depends on everything."""
    wrong = [
        f"{source.path}:1: name it after its subject"
        for source in sources()
        if EMPTY_NAMES & set(re.split(r"[/_.]", source.path))
    ]
    assert not wrong, "\n".join(wrong)


def test_every_module_says_what_it_is_for() -> None:
    """Without a first sentence a reader has to read all of it to know that it is not what they look for."""
    silent = [
        f"{source.path}:1: no docstring"
        for source in sources()
        if source.text.strip() and not ast.get_docstring(source.tree)
    ]
    assert not silent, "\n".join(silent)


def test_nothing_served_prints() -> None:
    """A print in a worker goes nowhere on the real platform, and may say what a log filter would not."""
    wrong = [
        source.at(node, "prints")
        for source in sources("function_app.py", "functions/", "shared/")
        for node in source.nodes
        if isinstance(node, ast.Call) and dotted(node.func) in {"print", "pprint", "breakpoint"}
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_is_left_for_later_in_the_source() -> None:
    """A note to oneself is a promise that nobody reads; do it, or leave it out."""
    later = re.compile(r"#.*\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
    wrong = [
        f"{source.path}:{number}: {line.strip()}"
        for source in sources()
        for number, line in enumerate(source.text.splitlines(), 1)
        if later.search(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_points_outside_the_repository() -> None:
    """A path of one machine is dead on every other."""
    outside = re.compile(
        "|".join((r"\.\./" + "shared", r"(?<![\w.])/" + "work/", "/" + "home/", "/" + "Users/"))
    )
    wrong = []
    for path in tracked():
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        wrong += [
            f"{path}:{number}: {line.strip()[:80]}"
            for number, line in enumerate(text.splitlines(), 1)
            if outside.search(line)
        ]
    assert not wrong, "\n".join(wrong)
