"""Every generated pipeline as a committed file. `python -m tests.support.golden_pipelines` writes them anew:
raise TEMPLATE_VERSION with whatever changes them."""

from collections.abc import Iterator
from pathlib import Path

from shared.adapters.definitions import YamlDefinitions
from shared.domain.pipelines.generators.hosts import generate
from shared.domain.pipelines.generators.inputs import Inputs
from shared.domain.pipelines.model import ModuleType, Toolchain
from shared.domain.pipelines.templates import template
from shared.domain.source.model import Provider

FOLDER = Path(__file__).parents[1] / "domain" / "golden_pipelines"
FEED = "connectsoft-internal"
MODULE = "module-reservations-api"


def text_of(
    provider: Provider,
    module_type: ModuleType,
    toolchain: Toolchain | None = None,
    *,
    module: str = MODULE,
    feed: str | None = FEED,
    branch: str = "main",
) -> bytes:
    """The text that a request with these inputs would commit."""
    if provider is Provider.EMBEDDED:
        return YamlDefinitions().render(template(module, module_type, feed, toolchain))
    inputs = Inputs(module=module, module_type=module_type, branch=branch, feed=feed, toolchain=toolchain)
    return generate(provider, inputs)[0]


def golden() -> Iterator[tuple[Path, bytes]]:
    """Every type on every host, and on the hosts that build with anything also the other toolchains."""
    for provider in Provider:
        folder = FOLDER / provider.lower()
        for module_type in ModuleType:
            yield folder / f"{module_type}.yml", text_of(provider, module_type)
        for toolchain in Toolchain:
            microservice = text_of(provider, ModuleType.MICROSERVICE, toolchain, feed="shop/internal")
            yield folder / f"Microservice.{toolchain}.yml", microservice
        yield folder / "Library.no-feed.yml", text_of(provider, ModuleType.LIBRARY, feed=None)


if __name__ == "__main__":
    for path, text in golden():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
