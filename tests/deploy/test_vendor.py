"""Wheels put into a package: as they are, without what tells of the machine that did it."""

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

from deploy.vendor import CannotVendor, vendored


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with one wheel, made by hand."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "tiny_thing-1.0.dist-info"
    files = {
        "tiny_thing/__init__.py": b"WORD = 'tiny'\n",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": b"[console_scripts]\ntiny = tiny_thing:main\n",
    }
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
    with zipfile.ZipFile(folder / "tiny_thing-1.0-py3-none-any.whl", "w") as wheel:
        for name, data in {**files, f"{info}/RECORD": (record + f"{info}/RECORD,,\n").encode()}.items():
            wheel.writestr(name, data)
    return folder


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def offline(wheels: Path) -> tuple[str, ...]:
    return ("--no-index", "--find-links", str(wheels))


def test_the_same_wheels_are_the_same_files(wheels: Path) -> None:
    first, digests = vendored("tiny-thing==1.0\n", offline(wheels))
    second, _ = vendored("tiny-thing==1.0\n", offline(wheels))
    assert first == second
    whole = (wheels / "tiny_thing-1.0-py3-none-any.whl").read_bytes()
    assert digests == {"tiny-thing": hashlib.sha256(whole).hexdigest()}


def test_nothing_of_the_installation_is_kept(wheels: Path) -> None:
    files, _ = vendored("tiny-thing==1.0\n", offline(wheels))
    assert sorted(files) == [
        "tiny_thing-1.0.dist-info/METADATA",
        "tiny_thing-1.0.dist-info/WHEEL",
        "tiny_thing-1.0.dist-info/entry_points.txt",
        "tiny_thing/__init__.py",
    ]


def test_what_there_is_none_of_is_named(wheels: Path) -> None:
    with pytest.raises(CannotVendor, match="no-such-thing"):
        vendored("no-such-thing==1.0\n", offline(wheels))


def test_what_was_compiled_for_another_machine_is_refused(wheels: Path) -> None:
    pure = wheels / "tiny_thing-1.0-py3-none-any.whl"
    told = "Tag: cp313-cp313-linux_x86_64"
    with (
        zipfile.ZipFile(pure) as source,
        zipfile.ZipFile(wheels / "other_thing-1.0-py3-none-any.whl", "w") as wheel,
    ):
        for name in source.namelist():
            text = source.read(name).decode().replace("Tag: py3-none-any", told)
            renamed = text.replace("tiny", "other")
            if not name.endswith("RECORD"):
                wheel.writestr(name.replace("tiny", "other"), renamed)
        wheel.writestr("other_thing-1.0.dist-info/RECORD", "")
    pure.unlink()
    with pytest.raises(CannotVendor, match="other_thing has no wheel for Azure"):
        vendored("other-thing==1.0\n", offline(wheels))
