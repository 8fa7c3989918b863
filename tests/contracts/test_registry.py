"""Registries, embedded and remote: what every adapter promises, and what only one over HTTP can meet."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.adapters.embedded.vault import FileVault
from shared.adapters.registries.oci_auth import Credentials
from shared.adapters.registries.oci_client import OciRegistry
from shared.adapters.registries.oci_layout import LayoutRegistry
from shared.domain.images.errors import DigestMismatch
from shared.domain.images.oci import MANIFEST, Manifest, blob_path, digest_of
from shared.domain.kernel.errors import DeliveryError, Forbidden, NotFound, Transient
from shared.ports.registry import Registry
from tests.standins.registry.server import Fault, RegistryStandin
from tests.support.app import CountingIds, SteppingClock
from tests.support.builds import a_layout, image_digest

START = datetime(2026, 6, 11, 9, 0, tzinfo=UTC)
T, R = "acme", "shop/orders"


@dataclass
class Site:
    standin: RegistryStandin
    registry: OciRegistry
    vault: FileVault


async def a_site(folder: Path, auth: str) -> AsyncIterator[Site]:
    vault = FileVault(folder / "vault", SteppingClock(), CountingIds())
    await vault.set(T, "registry-hub", "robot:secret")
    standin = RegistryStandin({"robot": "secret"}, auth=auth)
    url = await standin.start()
    registry = OciRegistry(url, Credentials(vault, "kv://registry-hub"), chunk=1000, backoff=0.001)
    yield Site(standin, registry, vault)
    await registry.aclose()
    await standin.aclose()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async for made in a_site(tmp_path, "bearer"):
        yield made


@pytest.fixture(params=["layout", "bearer", "basic", "none"])
async def registry(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Registry]:
    if request.param == "layout":
        yield LayoutRegistry(tmp_path / "registry")
        return
    async for made in a_site(tmp_path, request.param):
        yield made.registry


async def put_image(registry: Registry, text: str = "hello", tag: str = "1", repository: str = R) -> Manifest:
    files = a_layout(text)
    manifest = Manifest(MANIFEST, files[blob_path(image_digest(files))])
    for path, content in files.items():
        if path.startswith("blobs/") and content != manifest.content:
            await registry.put_blob(T, repository, digest_of(content), content)
    assert await registry.put_manifest(T, repository, manifest.digest, manifest) == manifest.digest
    assert await registry.put_manifest(T, repository, tag, manifest) == manifest.digest
    return manifest


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 5000])
async def test_a_blob_comes_back_as_it_was_put(registry: Registry, size: int) -> None:
    content = b"x" * size
    digest = digest_of(content)
    assert not await registry.has_blob(T, R, digest)
    await registry.put_blob(T, R, digest, content)
    await registry.put_blob(T, R, digest, content)
    assert await registry.has_blob(T, R, digest)
    assert await registry.read_blob(T, R, digest) == content


async def test_content_that_is_not_of_its_digest_is_refused(registry: Registry) -> None:
    with pytest.raises(DigestMismatch):
        await registry.put_blob(T, R, digest_of(b"one"), b"other")
    assert not await registry.has_blob(T, R, digest_of(b"one"))
    manifest = await put_image(registry)
    with pytest.raises(DigestMismatch):
        await registry.put_manifest(T, R, digest_of(b"one"), manifest)


async def test_what_is_not_there_is_not_found(registry: Registry) -> None:
    with pytest.raises(NotFound):
        await registry.read_blob(T, R, digest_of(b"one"))
    assert await registry.find_manifest(T, R, "none") is None
    assert await registry.tags(T, "shop/unknown") == []


async def test_a_manifest_is_found_by_tag_and_by_digest(registry: Registry) -> None:
    manifest = await put_image(registry)
    assert await registry.find_manifest(T, R, "1") == manifest
    assert await registry.find_manifest(T, R, manifest.digest) == manifest


async def test_a_manifest_goes_nowhere_without_what_it_refers_to(registry: Registry) -> None:
    files = a_layout()
    manifest = Manifest(MANIFEST, files[blob_path(image_digest(files))])
    with pytest.raises(DeliveryError):
        await registry.put_manifest(T, R, manifest.digest, manifest)
    assert await registry.find_manifest(T, R, manifest.digest) is None


async def test_a_tag_moves_and_the_digest_stays(registry: Registry) -> None:
    first, second = await put_image(registry, "one"), await put_image(registry, "two")
    assert await registry.find_manifest(T, R, "1") == second
    assert await registry.find_manifest(T, R, first.digest) == first
    for tag in ("3", "2", "v1.0", "latest"):
        await registry.put_manifest(T, R, tag, first)
    assert await registry.tags(T, R) == ["1", "2", "3", "latest", "v1.0"]


async def test_a_blob_is_mounted_from_a_neighbour(registry: Registry) -> None:
    digest = digest_of(b"shared")
    await registry.put_blob(T, R, digest, b"shared")
    assert await registry.mount_blob(T, "shop/other", digest, R)
    assert await registry.read_blob(T, "shop/other", digest) == b"shared"
    assert not await registry.mount_blob(T, "shop/other", digest_of(b"none"), R)


async def test_many_at_once_lose_no_tag(registry: Registry) -> None:
    manifest = await put_image(registry)
    await asyncio.gather(*(registry.put_manifest(T, R, f"t{number:02}", manifest) for number in range(12)))
    assert await registry.tags(T, R) == ["1", *(f"t{number:02}" for number in range(12))]


async def test_the_embedded_registry_is_a_layout_that_tools_read(tmp_path: Path) -> None:
    registry = LayoutRegistry(tmp_path)
    manifest = await put_image(registry)
    folder = tmp_path / T / "shop~orders"
    assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (row,) = json.loads((folder / "index.json").read_text())["manifests"]
    assert row["digest"] == manifest.digest
    assert row["annotations"] == {"org.opencontainers.image.ref.name": "1"}
    assert (folder / "blobs" / "sha256" / manifest.digest[7:]).read_bytes() == manifest.content


@pytest.mark.parametrize("name", ["../x", "A", "a//b", "a/../b", "", "a~b", "/a"])
async def test_no_name_leads_out_of_the_embedded_registry(tmp_path: Path, name: str) -> None:
    registry = LayoutRegistry(tmp_path)
    with pytest.raises(DeliveryError):
        await registry.put_blob(T, name, digest_of(b"x"), b"x")
    with pytest.raises(DeliveryError):
        await registry.has_blob(T, R, "sha256:../../x")
    assert await registry.tags("rival", R) == []


async def test_damage_on_disk_is_noticed(tmp_path: Path) -> None:
    registry, digest = LayoutRegistry(tmp_path), digest_of(b"good")
    await registry.put_blob(T, R, digest, b"good")
    next(tmp_path.rglob(digest[7:])).write_bytes(b"evil")
    with pytest.raises(DigestMismatch):
        await registry.read_blob(T, R, digest)


async def test_small_blobs_go_in_one_piece_and_large_ones_in_several(site: Site) -> None:
    await site.registry.put_blob(T, R, digest_of(b"s" * 1000), b"s" * 1000)
    assert [method for method, _ in site.standin.requests if method != "HEAD"].count("PATCH") == 0
    await site.registry.put_blob(T, R, digest_of(b"l" * 2500), b"l" * 2500)
    assert [method for method, _ in site.standin.requests].count("PATCH") == 3


async def test_one_token_serves_many_requests_until_it_is_revoked(site: Site) -> None:
    for number in range(5):
        await site.registry.has_blob(T, R, digest_of(bytes([number])))
    assert site.standin.token_requests == 1
    site.standin.revoke_tokens()
    assert not await site.registry.has_blob(T, R, digest_of(b"x"))
    assert site.standin.token_requests == 2


async def test_wrong_credentials_are_told_without_being_shown(site: Site) -> None:
    await site.vault.set(T, "registry-hub", "robot:hunter2")
    with pytest.raises(Forbidden) as refused:
        await site.registry.put_blob(T, R, digest_of(b"x"), b"x")
    assert "hunter2" not in str(refused.value)


async def test_who_has_no_credentials_asks_as_nobody(site: Site) -> None:
    assert not await site.registry.has_blob("rival", "public/app", digest_of(b"x"))
    with pytest.raises(Forbidden):
        await site.registry.put_blob("rival", "public/app", digest_of(b"x"), b"x")


@pytest.mark.parametrize("kind", ["503", "429", "500", "drop", "lost"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "uploads"), ("PATCH", "uploads"), ("PUT", "uploads"), ("PUT", "manifests")]
)
async def test_a_registry_that_stumbles_gets_the_image_all_the_same(
    site: Site, method: str, path: str, kind: str
) -> None:
    site.standin.faults.append(Fault(method, path, kind, times=2))
    large = b"z" * 2500
    await site.registry.put_blob(T, R, digest_of(large), large)
    manifest = await put_image(site.registry)
    assert await site.registry.find_manifest(T, R, "1") == manifest
    assert await site.registry.read_blob(T, R, digest_of(large)) == large


@pytest.mark.parametrize("method", ["HEAD", "POST"])
async def test_a_registry_that_stays_away_is_asked_again_later(site: Site, method: str) -> None:
    site.standin.faults.append(Fault(method, "", "503", times=100))
    ask: Callable[[], object] = {
        "HEAD": lambda: site.registry.has_blob(T, R, digest_of(b"x")),
        "POST": lambda: site.registry.put_blob(T, R, digest_of(b"x"), b"x"),
    }[method]
    with pytest.raises(Transient):
        await ask()  # type: ignore[misc]


async def test_a_registry_that_answers_with_other_content_is_not_believed(site: Site) -> None:
    manifest = await put_image(site.registry)
    held = site.standin.repositories[R]
    held.manifests[manifest.digest] = (MANIFEST, b"{}")
    digest = digest_of(b"good")
    await site.registry.put_blob(T, R, digest, b"good")
    held.blobs[digest] = b"evil"
    with pytest.raises(DigestMismatch):
        await site.registry.find_manifest(T, R, manifest.digest)
    with pytest.raises(DigestMismatch):
        await site.registry.read_blob(T, R, digest)


async def test_an_upload_that_was_begun_in_vain_is_given_up(site: Site) -> None:
    site.standin.mounts = False
    await site.registry.put_blob(T, R, digest_of(b"x"), b"x")
    assert not await site.registry.mount_blob(T, "shop/other", digest_of(b"x"), R)
    assert site.standin._uploads == {}
