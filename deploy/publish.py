"""Publishes a package to the apps of an installation, and goes back to the one before."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.one_deploy import OneDeploy, PublishFailed
from deploy.packages import NothingToGoBackTo, Packages
from shared.ports.clock import Clock

log = logging.getLogger("slipway.deploy")


@dataclass(frozen=True, slots=True)
class Publisher:
    """One app. The bytes are kept before they are published and recorded after: whatever dies in between,
    the history names nothing that cannot be had, and publishing again mends it."""

    site: OneDeploy
    packages: Packages
    clock: Clock

    async def publish(self, package: bytes, *, remote_build: bool) -> str:
        """Returns the package's digest. Raises PublishFailed; then the package before runs on."""
        digest = await self.packages.keep(package)
        await self.site.publish(package, remote_build=remote_build)
        await self.packages.record(digest, self.clock.now(), remote_build=remote_build)
        return digest

    async def roll_back(self) -> str:
        """Publish the last package before the current one that nobody rolled back; its digest. Raises
        NothingToGoBackTo or PublishFailed."""
        current, before = await self.packages.before()
        package = await self.packages.read(before.digest)
        await self.site.publish(package, remote_build=before.remote_build)
        await self.packages.withdraw(current.digest)
        await self.packages.record(before.digest, self.clock.now(), remote_build=before.remote_build)
        return before.digest


async def publish_everywhere(apps: Sequence[Publisher], package: bytes, *, remote_build: bool) -> str:
    """Publish to each app in turn; the package's digest. When one fails, those before it go back: an
    installation is not to run two packages for longer than a deployment takes. Raises PublishFailed."""
    done: list[Publisher] = []
    digest = ""
    for app in apps:
        try:
            digest = await app.publish(package, remote_build=remote_build)
        except PublishFailed:
            for earlier in reversed(done):
                await _undo(earlier)
            raise
        done.append(app)
    return digest


async def _undo(app: Publisher) -> None:
    try:
        await app.roll_back()
    except (PublishFailed, NothingToGoBackTo) as error:
        # The failure that brought us here is the one to raise.
        log.error("%s could not go back: %s", app.packages.app, error)
