"""A remote registry by the OCI distribution protocol: any that Docker can push to.

Sends credentials to the registry and to the token service it names, and nowhere else; keeps none of them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import aiohttp

from shared.adapters.registries.oci_auth import Credentials, OciAuth, scope_of
from shared.domain.images.errors import DigestMismatch
from shared.domain.images.oci import INDEXES, MANIFESTS, MAX_MANIFEST, Manifest, digest_of
from shared.domain.kernel.errors import Forbidden, Invalid, NotFound, Permanent, Transient

CHUNK = 8 * 1024 * 1024
"""A blob above this is uploaded in pieces of this many bytes."""
ATTEMPTS = 4
_BACKOFF = 0.2
_MAX_WAIT = 10.0
_TIMEOUT = aiohttp.ClientTimeout(total=300, connect=10, sock_read=60)
_MAX_BLOB = 1 << 30
_PIECE = 1 << 20
_PAGE = 500
_MAX_PAGES = 200
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class OciRegistry:
    """The Registry port over HTTP. `url` is the registry's own, without `/v2/`. One session per client."""

    def __init__(
        self, url: str, credentials: Credentials, *, chunk: int = CHUNK, backoff: float = _BACKOFF
    ) -> None:
        self._url = url.rstrip("/")
        self._auth = OciAuth(self._url, credentials)
        self._chunk = chunk
        self._backoff = backoff
        self._session: aiohttp.ClientSession | None = None

    async def has_blob(self, tenant: str, repository: str, digest: str) -> bool:
        answer = await self._ask(tenant, "HEAD", repository, f"blobs/{digest}", good=(200, 404))
        return answer.status == HTTPStatus.OK

    async def put_blob(self, tenant: str, repository: str, digest: str, data: bytes) -> None:
        if (found := digest_of(data)) != digest:
            raise DigestMismatch(f"The content is {found} and not {digest}.")
        for attempt in range(ATTEMPTS):
            try:
                await self._upload(tenant, repository, digest, data)
                return
            except _UploadLost as lost:
                # The session of a broken upload is of no more use: a new one begins from the first byte.
                if attempt == ATTEMPTS - 1:
                    raise Transient(f"The registry loses the upload of {digest}; try again.") from lost
                await asyncio.sleep(self._backoff * 2**attempt)

    async def mount_blob(self, tenant: str, repository: str, digest: str, source: str) -> bool:
        query = urlencode({"mount": digest, "from": source})
        answer = await self._ask(
            tenant, "POST", repository, f"blobs/uploads/?{query}", good=(201, 202), also=source
        )
        if answer.status == HTTPStatus.CREATED:
            return True
        # The registry began an upload instead; it is ours to end.
        await self._send(tenant, "DELETE", self._location(answer), repository, good=(204, 404, 405))
        return False

    async def read_blob(self, tenant: str, repository: str, digest: str) -> bytes:
        answer = await self._ask(tenant, "GET", repository, f"blobs/{digest}", good=(200, 404))
        if answer.status == HTTPStatus.NOT_FOUND:
            raise NotFound(f"{repository} has no blob {digest}.")
        if digest_of(answer.body) != digest:
            raise DigestMismatch(f"The registry answers {digest} with other content.")
        return answer.body

    async def find_manifest(self, tenant: str, repository: str, reference: str) -> Manifest | None:
        accept = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
        path = f"manifests/{reference}"
        answer = await self._ask(tenant, "GET", repository, path, good=(200, 404), headers=accept)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        manifest = Manifest(media_type, answer.body)
        told = answer.headers.get("Docker-Content-Digest", manifest.digest)
        is_other = reference.startswith("sha256:") and reference != manifest.digest
        if is_other or (told.startswith("sha256:") and told != manifest.digest):
            raise DigestMismatch(f"The registry answers {reference} with the manifest {manifest.digest}.")
        return manifest

    async def put_manifest(self, tenant: str, repository: str, reference: str, manifest: Manifest) -> str:
        if len(manifest.content) > MAX_MANIFEST:
            raise Invalid(f"A manifest may have {MAX_MANIFEST} bytes at most.")
        if reference.startswith("sha256:") and reference != manifest.digest:
            raise DigestMismatch(f"The manifest is {manifest.digest} and was to be put as {reference}.")
        answer = await self._ask(
            tenant,
            "PUT",
            repository,
            f"manifests/{reference}",
            good=(201,),
            headers={"Content-Type": manifest.media_type},
            data=manifest.content,
        )
        told = answer.headers.get("Docker-Content-Digest", manifest.digest)
        if told != manifest.digest:
            raise DigestMismatch(f"The registry keeps the manifest as {told} and it is {manifest.digest}.")
        return manifest.digest

    async def tags(self, tenant: str, repository: str) -> Sequence[str]:
        found: list[str] = []
        last = ""
        for _ in range(_MAX_PAGES):
            query = urlencode({"n": _PAGE} | ({"last": last} if last else {}))
            answer = await self._ask(tenant, "GET", repository, f"tags/list?{query}", good=(200, 404))
            page = self._auth.object_in(answer.body).get("tags") if answer.status == HTTPStatus.OK else None
            if not isinstance(page, list) or not page:
                break
            found.extend(str(tag) for tag in page)
            if "Link" not in answer.headers or last == found[-1]:
                break
            last = found[-1]
        return sorted(found)

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _upload(self, tenant: str, repository: str, digest: str, data: bytes) -> None:
        begun = await self._ask(tenant, "POST", repository, "blobs/uploads/", good=(202,))
        place = self._location(begun)
        kind = {"Content-Type": "application/octet-stream"}
        rest = data
        if len(data) > self._chunk:
            for start in range(0, len(data), self._chunk):
                piece = data[start : start + self._chunk]
                told = kind | {"Content-Range": f"{start}-{start + len(piece) - 1}"}
                answer = await self._once(tenant, "PATCH", place, repository, headers=told, data=piece)
                self._require_upload(answer, HTTPStatus.ACCEPTED)
                place = self._location(answer)
            rest = b""
        joint = "&" if urlsplit(place).query else "?"
        last = f"{place}{joint}{urlencode({'digest': digest})}"
        answer = await self._once(tenant, "PUT", last, repository, headers=kind, data=rest)
        self._require_upload(answer, HTTPStatus.CREATED)

    def _require_upload(self, answer: _Answer, good: HTTPStatus) -> None:
        if answer.status == good:
            return
        if answer.status in _BUSY or answer.status in (404, 416):
            raise _UploadLost(str(answer.status))
        raise self._refusal(answer)

    async def _ask(
        self,
        tenant: str,
        method: str,
        repository: str,
        path: str,
        *,
        good: Sequence[int],
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        also: str | None = None,
    ) -> _Answer:
        url = f"{self._url}/v2/{repository}/{path}"
        return await self._send(
            tenant, method, url, repository, good=good, headers=headers, data=data, also=also
        )

    async def _send(
        self,
        tenant: str,
        method: str,
        url: str,
        repository: str,
        *,
        good: Sequence[int],
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        also: str | None = None,
    ) -> _Answer:
        """One request, tried again while the registry is busy or away. Everything sent so can be repeated."""
        wait = 0.0
        for attempt in range(ATTEMPTS):
            await asyncio.sleep(wait)
            wait = self._backoff * 2**attempt
            try:
                answer = await self._once(
                    tenant, method, url, repository, headers=headers, data=data, also=also
                )
            except _UploadLost:
                continue
            if answer.status in good:
                return answer
            if answer.status not in _BUSY:
                raise self._refusal(answer)
            wait = max(wait, _retry_after(answer))
        raise Transient("The registry is busy or away; the image goes on later.")

    async def _once(
        self,
        tenant: str,
        method: str,
        url: str,
        repository: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        also: str | None = None,
    ) -> _Answer:
        """One request; once more with a token where the registry asks for one. _UploadLost when cut off."""
        scopes = [scope_of(repository, method), *([scope_of(also, "GET")] if also else [])]
        try:
            authorization = await self._auth.known(tenant, url, scopes)
            answer = await self._exchange(method, url, {**(headers or {}), **authorization}, data)
            if answer.status == HTTPStatus.UNAUTHORIZED and self._auth.is_ours(url):
                challenge = answer.headers.get("WWW-Authenticate", "")
                fresh = await self._auth.answer(self._open(), tenant, challenge, scopes)
                answer = await self._exchange(method, url, {**(headers or {}), **fresh}, data)
            return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _UploadLost(type(error).__name__) from error

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | None
    ) -> _Answer:
        session = self._open()
        async with session.request(
            method, url, headers=headers, data=data, allow_redirects=method in ("GET", "HEAD")
        ) as response:
            body = bytearray()
            async for piece in response.content.iter_chunked(_PIECE):
                body += piece
                if len(body) > _MAX_BLOB:
                    raise Permanent(f"The registry answers with more than {_MAX_BLOB} bytes.")
            return _Answer(response.status, response.headers.copy(), bytes(body))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        return self._session

    def _location(self, answer: _Answer) -> str:
        found = answer.headers.get("Location", "")
        if found.startswith("/"):
            return self._url + found
        if not self._auth.is_safe(found):
            raise Permanent("The registry says no place to upload to.")
        return found

    def _refusal(self, answer: _Answer) -> Exception:
        """What a refusal means, in the registry's own words as far as it has any."""
        rows = self._auth.object_in(answer.body).get("errors")
        first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
        said = f"{first.get('code', answer.status)}: {first.get('message', 'no reason given')}"[:300]
        match answer.status:
            case 401 | 403:
                return Forbidden(f"The registry refuses this: {said}. Look at its credentials in the vault.")
            case 404:
                return NotFound(f"The registry does not have it: {said}.")
            case 400 | 413 | 416 if "DIGEST" in str(first.get("code", "")):
                return DigestMismatch(f"The registry got other content than was sent: {said}.")
            case _:
                return Permanent(f"The registry refuses this: {said}.")


class _UploadLost(Exception):
    """A connection broke, or an upload's session is gone."""


def _retry_after(answer: _Answer) -> float:
    told = answer.headers.get("Retry-After", "")
    return min(float(told), _MAX_WAIT) if told.isdigit() else 0.0
