"""Makes the deployment package of a checkout: one zip, and its bill of materials inside and beside it."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from deploy.archive import Archive, write_archive
from deploy.closure import closure, installed, locked, pinned
from deploy.imports import check_imports
from deploy.sbom import NAME as BILL
from deploy.sbom import bill_of_materials
from deploy.tree import package_files
from deploy.vendor import SITE_PACKAGES, vendored

REQUIREMENTS = "requirements.txt"


def make_package(
    checkout: Path, out: Path, *, with_wheels: bool = False, pip_options: Sequence[str] = ()
) -> Archive:
    """Write the zip to `out`, its bill of materials beside it.

    The package's requirements name the whole closure, as installed here: a remote build installs what the
    tests ran against. `with_wheels` puts it in instead, for a publish without one. Raises NotInstalled,
    NotInPackage, UnpackableFile or CannotVendor; then nothing is written.
    """
    files = package_files(checkout)
    asked = pinned(checkout / REQUIREMENTS)
    components = closure(asked, installed())
    check_imports(files, components)
    files[REQUIREMENTS] = locked(components).encode()
    digests: dict[str, str] = {}
    if with_wheels:
        wheels, digests = vendored(locked(components), pip_options)
        files |= {f"{SITE_PACKAGES}/{path}": content for path, content in wheels.items()}
    version = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["version"]
    direct = sorted(canonicalize_name(each.name) for each in asked)
    files[BILL] = bill_of_materials(version, direct, components, digests)
    archive = write_archive(out, files)
    out.with_suffix(".cdx.json").write_bytes(files[BILL])
    return archive
