"""One Deploy against a site that refuses what Azure's refuses."""

import dataclasses

import aiohttp
import pytest

from deploy.one_deploy import OneDeploy, PublishFailed
from tests.deploy.conftest import a_package
from tests.deploy.scm import CANCELLED, FAILED, ScmStandIn
from tests.standins.identity import IdentityStandIn


async def test_a_package_is_published_with_a_token_of_the_identity(site: OneDeploy, scm: ScmStandIn) -> None:
    deployment = await site.publish(a_package(), remote_build=True)
    assert scm.live == a_package()
    assert scm.deployments[deployment].remote_build


async def test_a_package_with_its_wheels_is_not_built_there(site: OneDeploy, scm: ScmStandIn) -> None:
    deployment = await site.publish(a_package(), remote_build=False)
    assert not scm.deployments[deployment].remote_build


@pytest.mark.parametrize("refusals", [[403, 403, 403], [500, 503], [409]])
async def test_what_passes_by_itself_is_waited_for(
    site: OneDeploy, scm: ScmStandIn, refusals: list[int]
) -> None:
    scm.refusals = refusals
    await site.publish(a_package(), remote_build=True)
    assert scm.live == a_package()
    assert len(scm.deployments) == 1


async def test_a_site_that_restarts_while_it_deploys_is_asked_again(site: OneDeploy, scm: ScmStandIn) -> None:
    scm.drops = 3
    await site.publish(a_package(), remote_build=True)
    assert scm.live == a_package()


async def test_a_role_that_never_comes_ends_with_what_to_grant(site: OneDeploy, scm: ScmStandIn) -> None:
    scm.refusals = [403] * 10_000
    with pytest.raises(PublishFailed, match="Website Contributor"):
        await dataclasses.replace(site, time_limit=0.2).publish(a_package(), remote_build=True)


async def test_a_deployment_that_never_ends_is_left_to_the_portal(site: OneDeploy, scm: ScmStandIn) -> None:
    scm.looks = 1_000_000
    with pytest.raises(PublishFailed, match="look at its deployments"):
        await dataclasses.replace(site, time_limit=0.3).publish(a_package(), remote_build=True)


async def test_a_failed_build_tells_the_end_of_its_log(site: OneDeploy, scm: ScmStandIn) -> None:
    scm.outcome = FAILED
    with pytest.raises(PublishFailed, match="No matching distribution found for no-such-package"):
        await site.publish(a_package(), remote_build=True)
    assert scm.live is None


async def test_a_deployment_that_another_one_replaced_is_no_success(site: OneDeploy, scm: ScmStandIn) -> None:
    scm.outcome = CANCELLED
    with pytest.raises(PublishFailed, match="cancelled"):
        await site.publish(a_package(), remote_build=True)


async def test_what_is_no_zip_is_refused_at_once(site: OneDeploy, scm: ScmStandIn) -> None:
    with pytest.raises(PublishFailed, match="400"):
        await site.publish(b"plain", remote_build=True)
    assert scm.deployments == {}


async def test_a_token_of_another_tenant_is_refused_at_once(
    site: OneDeploy, scm: ScmStandIn, identity: IdentityStandIn
) -> None:
    scm.issuer = type(scm.issuer)()
    with pytest.raises(PublishFailed, match="Entra tenant"):
        await site.publish(a_package(), remote_build=True)


async def test_another_plan_has_no_such_site(site: OneDeploy, scm: ScmStandIn) -> None:
    elsewhere = dataclasses.replace(site, site=f"{scm.url}/nothing")
    with pytest.raises(PublishFailed, match="Flex Consumption"):
        await elsewhere.publish(a_package(), remote_build=True)


async def test_a_site_that_cannot_be_reached_is_named(site: OneDeploy) -> None:
    gone = dataclasses.replace(site, site="http://127.0.0.1:1", time_limit=0.2)
    with pytest.raises(PublishFailed, match="cannot be reached"):
        await gone.publish(a_package(), remote_build=True)


async def test_the_site_takes_zip_files_only_and_nobody_without_a_token(scm: ScmStandIn) -> None:
    """What the stand-in is worth: it refuses what the real site refuses."""
    token = scm.issuer.issue("https://management.azure.com")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    other = {"Authorization": f"Bearer {scm.issuer.issue('https://vault.azure.net')}"}
    async with aiohttp.ClientSession(scm.url) as client:
        for given, status in ((headers, 415), ({}, 401), (other, 401)):
            async with client.post(
                "/api/publish?RemoteBuild=true", data=a_package(), headers=given
            ) as answer:
                assert answer.status == status
