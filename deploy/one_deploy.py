"""One Deploy: hands a package to a Flex Consumption app's deployment site and waits for the outcome.

The only way to publish there: zipdeploy and run-from-package are for the other plans.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

import aiohttp

SCOPE: Final = "https://management.azure.com/.default"
_FAILED, _SUCCEEDED, _CANCELLED, _PARTLY = 3, 4, 5, 6
_ENDINGS: Final[Mapping[int, str]] = {
    _FAILED: "failed",
    _CANCELLED: "was cancelled, because another one began",
    _PARTLY: "succeeded in part: some instances kept the package before",
}

log = logging.getLogger("slipway.deploy")


class AccessToken(Protocol):
    @property
    def token(self) -> str: ...


class Credential(Protocol):
    """What azure-identity's credentials have in common."""

    async def get_token(self, *scopes: str) -> AccessToken: ...


class PublishFailed(Exception):
    """The app does not run the package; the message says why and what to do. It runs the one before."""


@dataclass(frozen=True, slots=True)
class OneDeploy:
    """The deployment site of one app, `https://<app>.scm.azurewebsites.net`. `time_limit` and `pause` in
    seconds; `pause` is between two looks, and between two tries."""

    site: str
    credential: Credential
    time_limit: float = 900.0
    pause: float = 5.0

    async def publish(self, package: bytes, *, remote_build: bool) -> str:
        """Publish and wait; the deployment's id. Raises PublishFailed."""
        refusals: list[str] = []
        try:
            async with asyncio.timeout(self.time_limit), aiohttp.ClientSession() as client:
                deployment = await self._send(client, package, remote_build, refusals)
                refusals.clear()
                await self._wait(client, deployment)
                return deployment
        except TimeoutError:
            if refusals:
                raise PublishFailed(
                    f"{self.site} did not take the package in time: {refusals[-1]}."
                ) from None
            raise PublishFailed(
                f"{self.site} did not finish within {self.time_limit:.0f} seconds; look at its deployments in"
                " the portal, and publish again."
            ) from None

    async def _send(
        self, client: aiohttp.ClientSession, package: bytes, remote_build: bool, refusals: list[str]
    ) -> str:
        """Hand the package over. Sent again while roles propagate, while the site restarts, and while another
        deployment runs: the same package twice is one state. `refusals` gets what spoke against it."""
        url = f"{self.site}/api/publish"
        query = {"RemoteBuild": str(remote_build).lower(), "Deployer": "slipway"}
        while True:
            headers = {**await self._authorization(), "Content-Type": "application/zip"}
            try:
                async with client.post(url, params=query, data=package, headers=headers) as answer:
                    if answer.status == HTTPStatus.ACCEPTED:
                        return _deployment_id(await answer.text())
                    refusals.append(await self._refusal(answer))
            except aiohttp.ClientConnectionError as error:
                refusals.append(f"it cannot be reached ({error})")
            log.warning("%s did not take the package: %s; trying again", self.site, refusals[-1])
            await asyncio.sleep(self.pause)

    async def _refusal(self, answer: aiohttp.ClientResponse) -> str:
        """What may pass by itself; raises for what does not."""
        status = answer.status
        if status == HTTPStatus.FORBIDDEN:
            return "403; this identity needs Website Contributor on the app, and a new role takes minutes"
        if status == HTTPStatus.CONFLICT:
            return "409, another deployment is under way"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return f"{status}"
        said = (await answer.text())[:500].strip()
        raise PublishFailed(
            f"{self.site} refused the package with {status}. {_advice(status)} {said}".strip()
        )

    async def _wait(self, client: aiohttp.ClientSession, deployment: str) -> None:
        while True:
            told = await self._look(client, f"{self.site}/api/deployments/{deployment}")
            status = int(told.get("status", 0)) if isinstance(told, dict) else 0
            if status == _SUCCEEDED:
                return
            if status in _ENDINGS:
                words = await self._last_words(client, deployment)
                raise PublishFailed(f"Deployment {deployment} {_ENDINGS[status]}. {words}".strip())
            await asyncio.sleep(self.pause)

    async def _look(self, client: aiohttp.ClientSession, url: str) -> Any:
        """The answer, or None where there is none yet: the site restarts while it deploys."""
        try:
            async with client.get(url, headers=await self._authorization()) as answer:
                if answer.status in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
                    return json.loads(await answer.text())
                if answer.status == HTTPStatus.UNAUTHORIZED:
                    raise PublishFailed(f"{self.site} refused the token. {_advice(answer.status)}")
                return None
        except (aiohttp.ClientConnectionError, json.JSONDecodeError):
            return None

    async def _last_words(self, client: aiohttp.ClientSession, deployment: str) -> str:
        """The end of the deployment's log, which is where a build says what is wrong."""
        told = await self._look(client, f"{self.site}/api/deployments/{deployment}/log")
        lines = [str(entry.get("message", "")) for entry in told or ()]
        return "Its log ends: " + " | ".join(lines[-5:]) if lines else "It has no log."

    async def _authorization(self) -> dict[str, str]:
        token = await self.credential.get_token(SCOPE)
        return {"Authorization": f"Bearer {token.token}"}


def _deployment_id(text: str) -> str:
    """The answer's body is the id, as a JSON text."""
    found = text.strip().strip('"')
    if not found:
        raise PublishFailed("The deployment site took the package and named no deployment; publish again.")
    return found


def _advice(status: int) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return (
                "The token was not accepted; see that the identity is of the app's Entra tenant (az login)."
            )
        case HTTPStatus.NOT_FOUND:
            return "This app has no One Deploy; see that its plan is Flex Consumption and its name right."
        case HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            return "It takes application/zip only."
    return "Sending it again would not help."
