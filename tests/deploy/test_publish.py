"""Publishing keeps what a rollback needs, whatever dies in between."""

import dataclasses
from pathlib import Path

import pytest

from deploy.one_deploy import PublishFailed
from deploy.packages import NothingToGoBackTo
from deploy.publish import Publisher, publish_everywhere
from shared.domain.kernel.errors import NotFound
from tests.deploy.conftest import a_package, a_publisher
from tests.deploy.scm import FAILED, ScmStandIn

ONE, TWO, THREE = (a_package(name) for name in ("one", "two", "three"))


async def test_the_first_publish_has_nothing_to_go_back_to(publisher: Publisher) -> None:
    with pytest.raises(NothingToGoBackTo):
        await publisher.roll_back()
    await publisher.publish(ONE, remote_build=True)
    with pytest.raises(NothingToGoBackTo):
        await publisher.roll_back()


async def test_a_rollback_publishes_the_package_before(publisher: Publisher, scm: ScmStandIn) -> None:
    first = await publisher.publish(ONE, remote_build=False)
    await publisher.publish(TWO, remote_build=True)
    assert scm.live == TWO
    assert await publisher.roll_back() == first
    assert scm.live == ONE
    assert not list(scm.deployments.values())[-1].remote_build


async def test_a_second_rollback_goes_further_back_and_never_forth(
    publisher: Publisher, scm: ScmStandIn
) -> None:
    for package in (ONE, TWO, THREE):
        await publisher.publish(package, remote_build=True)
    await publisher.roll_back()
    assert scm.live == TWO
    await publisher.roll_back()
    assert scm.live == ONE
    with pytest.raises(NothingToGoBackTo):
        await publisher.roll_back()


async def test_a_mended_package_may_be_published_again_after_it_was_rolled_back(
    publisher: Publisher, scm: ScmStandIn
) -> None:
    await publisher.publish(ONE, remote_build=True)
    await publisher.publish(TWO, remote_build=True)
    await publisher.roll_back()
    await publisher.publish(TWO, remote_build=True)
    await publisher.roll_back()
    assert scm.live == ONE


async def test_a_failed_publish_is_not_what_a_rollback_goes_back_from(
    publisher: Publisher, scm: ScmStandIn
) -> None:
    for package in (ONE, TWO):
        await publisher.publish(package, remote_build=True)
    scm.outcome = FAILED
    with pytest.raises(PublishFailed):
        await publisher.publish(THREE, remote_build=True)
    scm.outcome = 4
    await publisher.roll_back()
    assert scm.live == ONE


async def test_the_same_package_twice_is_one_to_go_back_from(publisher: Publisher, scm: ScmStandIn) -> None:
    for package in (ONE, TWO, TWO):
        await publisher.publish(package, remote_build=True)
    await publisher.roll_back()
    assert scm.live == ONE


async def test_a_rollback_that_died_before_it_was_recorded_is_done_again(
    publisher: Publisher, scm: ScmStandIn
) -> None:
    for package in (ONE, TWO):
        digest = await publisher.publish(package, remote_build=True)
    await publisher.packages.withdraw(digest)  # and then the process died
    await publisher.roll_back()
    assert scm.live == ONE


async def test_a_damaged_package_is_never_published(publisher: Publisher, scm: ScmStandIn) -> None:
    first = await publisher.publish(ONE, remote_build=True)
    await publisher.publish(TWO, remote_build=True)
    await publisher.packages.blobs.put("deploy", f"packages/{first}.zip", b"something else")
    with pytest.raises(NotFound, match="damaged"):
        await publisher.roll_back()
    assert scm.live == TWO


async def test_when_one_app_fails_those_before_it_go_back(
    publisher: Publisher, scm: ScmStandIn, tmp_path: Path
) -> None:
    gone = dataclasses.replace(publisher.site, site="http://127.0.0.1:1", time_limit=0.1)
    broken = a_publisher(gone, tmp_path, "func-slipway-api")
    await publish_everywhere([publisher], ONE, remote_build=True)
    with pytest.raises(PublishFailed, match="cannot be reached"):
        await publish_everywhere([publisher, broken], TWO, remote_build=True)
    assert scm.live == ONE
    assert [each.withdrawn for each in await publisher.packages.history()] == [False, True, False]


async def test_every_app_gets_the_same_package(publisher: Publisher, scm: ScmStandIn, tmp_path: Path) -> None:
    other = a_publisher(publisher.site, tmp_path, "func-slipway-api")
    digest = await publish_everywhere([publisher, other], ONE, remote_build=True)
    assert [each.package for each in scm.deployments.values()] == [ONE, ONE]
    assert [(await app.packages.history())[-1].digest for app in (publisher, other)] == [digest] * 2
