"""A deployment site and an identity endpoint on loopback, and a publisher that knows both."""

import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.archive import write_archive
from deploy.one_deploy import OneDeploy
from deploy.packages import Packages
from deploy.publish import Publisher
from shared.adapters.azure.identity import credential
from shared.adapters.embedded.blobs import FileBlobs
from tests.deploy.scm import ScmStandIn
from tests.standins.identity import IdentityStandIn
from tests.support.app import SteppingClock


@pytest.fixture
async def identity(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[IdentityStandIn]:
    async with IdentityStandIn() as standin:
        for name, value in standin.environment.items():
            monkeypatch.setenv(name, value)
        yield standin


@pytest.fixture
async def scm(identity: IdentityStandIn) -> AsyncIterator[ScmStandIn]:
    async with ScmStandIn(identity.issuer).serving() as standin:
        yield standin


@pytest.fixture
async def site(scm: ScmStandIn) -> AsyncIterator[OneDeploy]:
    async with credential() as signed_in:
        yield OneDeploy(scm.url, signed_in, time_limit=5, pause=0.01)


@pytest.fixture
def publisher(site: OneDeploy, tmp_path: Path) -> Publisher:
    return a_publisher(site, tmp_path, "func-slipway-dev")


def a_publisher(site: OneDeploy, folder: Path, app: str) -> Publisher:
    clock = SteppingClock()
    blobs = FileBlobs(folder / "blobs", base_url="http://127.0.0.1", clock=clock)
    return Publisher(site, Packages(blobs, app), clock)


def a_package(text: str = "one") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("function_app.py"), text)
    return packed.getvalue()


def packed(path: Path, **files: str) -> Path:
    """A package of these texts; `__` in a name stands for a dot."""
    write_archive(path, {name.replace("__", "."): text.encode() for name, text in files.items()})
    return path
