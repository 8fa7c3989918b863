"""What this installation serves beside its functions: git over HTTP, signed blobs, the development issuer."""

from local.git_gate import GitGate
from local.git_http import GitHttp
from local.host import Platform
from local.http import Asgi
from local.issuer import Issuer
from local.issuer_app import Clients, IssuerApp
from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.signed_blobs import SignedBlobs
from shared.app import App


def mounts(platform: Platform) -> list[tuple[str, Asgi]]:
    """Path prefixes and what answers below them, in the order they are asked."""
    settings = platform.settings
    mounted: list[tuple[str, Asgi]] = []
    if isinstance(platform, App):
        mounted.append(("/git/", GitHttp(platform.source_host, GitGate(platform))))
        if isinstance(platform.blobs, FileBlobs):
            mounted.append(("/blobs/", SignedBlobs(platform.blobs)))
    if settings.token_issuer == settings.base_url and not settings.entra_directories:
        issuer = Issuer(settings.data_dir, settings.token_issuer, settings.audience)
        tokens = IssuerApp(issuer, Clients(settings.data_dir))
        mounted += [("/oauth2/", tokens), ("/.well-known/", tokens)]
    return mounted
