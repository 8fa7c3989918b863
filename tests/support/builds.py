"""Builds as a CI system reports them, of a pipeline that is only a record, and what they leave: archives."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.kernel.change import Change
from shared.domain.kernel.ids import root_id
from shared.domain.pipelines.model import ModuleType, PipelineDefinition, PipelineStatus, pipeline_id
from shared.services.unit import Unit, Units
from tests.support.api import Api

MODULE = "module-x"
COMMIT = "9f1c2b7d3a5e8f60718293a4b5c6d7e8f9012345"
CI = "acme/service+ci/service-account"
_AT = datetime(2026, 6, 11, 9, 0, tzinfo=UTC)
_ANN = Actor(subject="user:ann", kind=ActorKind.HUMAN, tenant="acme")


async def a_pipeline(units: Units, actor: Actor = _ANN) -> PipelineDefinition:
    """A pipeline that was registered, and whose runs are done elsewhere."""
    repository = root_id("repository", actor.tenant, "proj-x/api")
    pipeline = PipelineDefinition(
        id=pipeline_id(repository, MODULE),
        tenant=actor.tenant,
        project="proj-x",
        repository=repository,
        module=MODULE,
        module_type=ModuleType.MICROSERVICE,
        target_feed=None,
        definition_path="ci.yml",
        branch="main",
        commit_sha=None,
        status=PipelineStatus.GENERATED,
        template_version=1,
        content_hash="sha256:" + "0" * 64,
        version=1,
        committed=False,
        created_by="user:ann",
        created_at=_AT,
        updated_at=_AT,
    )

    async def turn(unit: Unit) -> PipelineDefinition:
        known = await unit.find(PipelineDefinition, pipeline.id)
        return known or unit.apply(Change(pipeline, "pipeline.generated"))

    return await units.run(actor, PipelineDefinition.__record__.root_of(pipeline.id), turn)


def a_report(pipeline: str, **changes: Any) -> dict[str, Any]:
    """A green build of a CI system; `pipeline` is the hex id."""
    report: dict[str, Any] = {
        "pipelineId": f"pipe-{pipeline}",
        "commitSha": COMMIT,
        "branch": "main",
        "buildNumber": "4711.1",
        "moduleId": MODULE,
        "status": "Succeeded",
        "tests": {"total": 3, "passed": 2, "failed": 0, "skipped": 1},
        "coverage": 0.5,
        "artifacts": [],
        "logsUri": "https://ci.example.com/4711",
    }
    return {name: value for name, value in (report | changes).items() if value is not None}


async def a_build(api: Api, **changes: Any) -> dict[str, Any]:
    """A reported build, as it is answered."""
    pipeline = await a_pipeline(api.app.units)
    built: dict[str, Any] = await api.expect(
        201, "POST", "/build-results", a_report(pipeline.id, **changes), token=CI
    )
    return built


async def upload(api: Api, name: str, archive: bytes, token: str = CI) -> str:
    """Upload an archive under that id; its digest."""
    sent = {"content_type": "application/gzip" if archive[:2] == b"\x1f\x8b" else "application/zip"}
    answer = await api.expect(201, "PUT", f"/artifacts/{name}", archive, token=token, **sent)
    return str(answer["digest"])


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def a_tarball(files: Mapping[str, bytes]) -> bytes:
    """Equal files, equal bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def a_layout(text: str = "hello", *, platforms: int = 1, name: str | None = None) -> dict[str, bytes]:
    """The files of an OCI image layout with one image; more than one platform makes it an index."""
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def keep(content: bytes, media_type: str) -> dict[str, Any]:
        digest = digest_of(content)
        files[f"blobs/sha256/{digest[7:]}"] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def manifest(number: int) -> dict[str, Any]:
        layer = keep(a_tarball({"app.txt": f"{text} {number}".encode()}), f"{_OCI}.layer.v1.tar+gzip")
        shared = keep(a_tarball({"base.txt": b"base"}), f"{_OCI}.layer.v1.tar+gzip")
        config = keep(_json({"architecture": f"arch-{number}", "os": "linux"}), f"{_OCI}.config.v1+json")
        kind = f"{_OCI}.manifest.v1+json"
        body = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [shared, layer]}
        return keep(_json(body), kind)

    manifests = [manifest(number) for number in range(platforms)]
    top = manifests[0]
    if platforms > 1:
        kind = f"{_OCI}.index.v1+json"
        top = keep(_json({"schemaVersion": 2, "mediaType": kind, "manifests": manifests}), kind)
    if name is not None:
        top = {**top, "annotations": {"org.opencontainers.image.ref.name": name}}
    files["index.json"] = _json({"schemaVersion": 2, "manifests": [top]})
    return files


def image_digest(layout: Mapping[str, bytes]) -> str:
    return str(json.loads(layout["index.json"])["manifests"][0]["digest"])


def trivy(*severities: str, digest: str | None = None) -> dict[str, Any]:
    """A Trivy report with one vulnerability of each."""
    report: dict[str, Any] = {
        "SchemaVersion": 2,
        "Results": [{"Vulnerabilities": [{"Severity": severity} for severity in severities]}],
    }
    return report | ({"Metadata": {"RepoDigests": [f"shop/orders@{digest}"]}} if digest else {})


_OCI = "application/vnd.oci.image"


def _json(body: object) -> bytes:
    return json.dumps(body, sort_keys=True).encode()
