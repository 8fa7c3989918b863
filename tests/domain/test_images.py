"""What the images of a build mean for the release that is made of it."""

from dataclasses import replace

import pytest

from shared.domain.images.errors import ImageQuarantined
from shared.domain.images.lifecycle import ScanPolicy, awaited, objections, require_no_objection
from shared.domain.images.model import BuildImages, Findings, HeldImage, ImageStatus
from shared.domain.promotions.gates import Deny, Pass, Wait, images
from tests.support.app import START
from tests.support.promotions import a_promotion, some_facts

REFERENCE = "shop/orders@sha256:" + "a" * 64
BLOCKING = {ImageStatus.QUARANTINED, ImageStatus.FAILED}
WAITING = {ImageStatus.PENDING, ImageStatus.PUSHING, ImageStatus.PUSHED, ImageStatus.SCANNING}


def held(*statuses: ImageStatus) -> BuildImages:
    rows = tuple(
        HeldImage(image=str(at), reference=REFERENCE, status=status, reason="Because.")
        for at, status in enumerate(statuses)
    )
    return BuildImages(id="1", tenant="acme", build_result="2", images=rows)


@pytest.mark.parametrize("status", list(ImageStatus))
def test_an_image_holds_its_release_back_until_it_is_clean(status: ImageStatus) -> None:
    build = held(ImageStatus.CLEAN, status)
    promotion = a_promotion()
    facts = replace(some_facts(promotion), image_objections=objections(build), images_awaited=awaited(build))
    said = images(promotion, facts, START)
    wanted = Deny if status in BLOCKING else Wait if status in WAITING else Pass
    assert isinstance(said, wanted)
    if isinstance(said, Deny | Wait):
        assert REFERENCE in said.reason


@pytest.mark.parametrize("status", list(ImageStatus))
def test_a_release_is_planned_while_its_images_are_looked_at(status: ImageStatus) -> None:
    if status in BLOCKING:
        with pytest.raises(ImageQuarantined):
            require_no_objection(held(status))
    else:
        require_no_objection(held(status))


def test_a_build_without_images_is_held_back_by_none() -> None:
    require_no_objection(None)
    assert (objections(None), awaited(None)) == ((), ())


@pytest.mark.parametrize(
    ("allowed", "findings", "objects"),
    [
        ({"critical": 0}, Findings(), False),
        ({"critical": 0}, Findings(critical=1), True),
        ({"critical": 0}, Findings(high=100), False),
        ({"critical": 0, "high": 5}, Findings(high=5), False),
        ({"critical": 0, "high": 5}, Findings(high=6), True),
        ({}, Findings(critical=100), False),
    ],
)
def test_the_policy_counts_by_severity(allowed: dict[str, int], findings: Findings, *, objects: bool) -> None:
    assert bool(ScanPolicy(allowed).objection(findings)) is objects
