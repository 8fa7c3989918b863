"""Entra ID behind the TokenVerifier port: people and applications, directories and tenants, both versions,
and keys that change or cannot be had.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from functions.http.caller import actor_from
from shared.adapters.azure.entra import EntraTokens
from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.kernel.errors import Permanent, Transient
from shared.ports.tokens import TokenRefused
from tests.standins.entra import CLIENT, DIRECTORY, OBJECT, EntraIssuer, EntraStandIn
from tests.support.app import SteppingClock
from tests.support.tokens import AUDIENCE

OTHER = "72f988bf-86f1-41af-91ab-2d7cd011db47"
URI = "api://slipway"


@pytest.fixture
async def service() -> AsyncIterator[EntraStandIn]:
    async with EntraStandIn() as running:
        yield running


@pytest.fixture
def issuer(service: EntraStandIn, clock: SteppingClock) -> EntraIssuer:
    return EntraIssuer(clock, authority=service.url)


def _verifier(
    service: EntraStandIn, clock: SteppingClock, directories: dict[str, str] | None = None, **options: Any
) -> EntraTokens:
    return EntraTokens(
        directories or {DIRECTORY: "acme"},
        AUDIENCE,
        clock,
        authority=service.url,
        v1_authority=service.url,
        **options,
    )


@pytest.fixture
def verifier(service: EntraStandIn, clock: SteppingClock) -> EntraTokens:
    return _verifier(service, clock)


async def _actor(verifier: EntraTokens, token: str, tenant_claim: str = "") -> Actor:
    return actor_from(await verifier.verify(token), tenant_claim)


async def test_a_person_acts_with_what_they_consented_to(verifier: EntraTokens, issuer: EntraIssuer) -> None:
    token = issuer.access_token(scp="devops.releases.read devops.releases.plan", roles=["approver", "x.y"])
    actor = await _actor(verifier, token)
    assert (actor.subject, actor.kind, actor.tenant) == (OBJECT, ActorKind.HUMAN, "acme")
    assert actor.roles == ("approver", "x.y")
    assert actor.grants == {
        "devops.releases.read",
        "devops.releases.plan",
        "*.read",
        "devops.releases.approve",
        "devops.images.release",
        "devops.iac.approve",
        "devops.pullrequests.review",
    }


@pytest.mark.parametrize("marks", [{"scp": None}, {"scp": None, "idtyp": "app"}, {"idtyp": "app"}])
async def test_an_application_acts_with_the_permissions_it_was_granted(
    verifier: EntraTokens, issuer: EntraIssuer, marks: dict[str, Any]
) -> None:
    token = issuer.access_token(roles=["devops.releases.plan", "devops.releases.read"], sub=OBJECT, **marks)
    actor = await _actor(verifier, token)
    assert (actor.subject, actor.kind) == (OBJECT, ActorKind.SERVICE)
    assert actor.grants == {"devops.releases.plan", "devops.releases.read"}
    assert not actor.is_human


async def test_what_is_neither_a_person_nor_an_application_is_no_human(
    verifier: EntraTokens, issuer: EntraIssuer
) -> None:
    actor = await _actor(verifier, issuer.access_token(idtyp="device"))
    assert actor.kind is ActorKind.SERVICE
    assert actor.grants == frozenset()
    person = await _actor(verifier, issuer.access_token(idtyp="user", scp=None))
    assert (person.kind, person.grants) == (ActorKind.HUMAN, frozenset())


async def test_claims_that_only_we_understand_are_not_taken_from_a_directory(
    verifier: EntraTokens, issuer: EntraIssuer
) -> None:
    token = issuer.access_token(
        tenantId="other",
        tenant_id="other",
        kind="agent",
        actor_kind="human",
        scope="*",
        permissions=["*"],
        act={"sub": "somebody"},
        tier="unmetered",
        user_id="somebody",
    )
    actor = await _actor(verifier, token)
    assert (actor.tenant, actor.subject, actor.kind) == ("acme", OBJECT, ActorKind.HUMAN)
    assert actor.grants == {"devops.releases.read"}
    assert (actor.on_behalf_of, actor.tier) == (None, None)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"oid": None}, "oid"),
        ({"oid": " "}, "oid"),
        ({"oid": 7}, "oid"),
        ({"azp": None}, "ID token"),
        ({"azp": ["x"]}, "ID token"),
        ({"tid": OTHER}, "directory"),
        ({"tid": None}, "directory"),
        ({"aud": "another-api"}, "audience"),
        ({"aud": "00000003-0000-0000-c000-000000000000"}, "audience"),
    ],
)
async def test_a_token_that_is_not_for_us_is_refused(
    verifier: EntraTokens, issuer: EntraIssuer, claims: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TokenRefused, match=reason):
        await verifier.verify(issuer.access_token(**claims))


async def test_each_directory_is_a_tenant(service: EntraStandIn, clock: SteppingClock) -> None:
    verifier = _verifier(service, clock, {DIRECTORY: "acme", OTHER.upper(): "globex"})
    for directory, tenant in ((DIRECTORY, "acme"), (OTHER, "globex")):
        issuer = EntraIssuer(clock, authority=service.url, directory=directory)
        assert (await _actor(verifier, issuer.access_token())).tenant == tenant
    stranger = EntraIssuer(clock, authority=service.url, directory="11111111-1111-1111-1111-111111111111")
    with pytest.raises(TokenRefused, match="issuer"):
        await verifier.verify(stranger.access_token())
    # One directory's issuer may not speak for another.
    crossed = EntraIssuer(clock, authority=service.url).access_token(tid=OTHER)
    assert (await _actor(verifier, EntraIssuer(clock, authority=service.url).access_token())).tenant == "acme"
    with pytest.raises(TokenRefused, match="directory"):
        await verifier.verify(crossed)


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "é.é.é", "x" * 20_000, "[" * 3000])
async def test_what_is_no_token_is_refused_by_any_number_of_directories(
    service: EntraStandIn, clock: SteppingClock, token: str
) -> None:
    for directories in ({DIRECTORY: "acme"}, {DIRECTORY: "acme", OTHER: "globex"}):
        with pytest.raises(TokenRefused):
            await _verifier(service, clock, directories).verify(token)
    assert service.asked == []


async def test_one_directory_may_hold_many_tenants_by_a_claim(
    service: EntraStandIn, issuer: EntraIssuer, clock: SteppingClock
) -> None:
    claim = "extn.slipwayTenant"
    verifier = _verifier(service, clock, {DIRECTORY: ""}, tenant_claim=claim)
    one: dict[str, Any] = {claim: "globex"}
    actor = await _actor(verifier, issuer.access_token(**one), claim)
    assert actor.tenant == "globex"
    with pytest.raises(TokenRefused, match="names no tenant"):
        await _actor(verifier, issuer.access_token(), claim)
    two: dict[str, Any] = {claim: ["globex", "acme"]}
    with pytest.raises(TokenRefused, match="one tenant"):
        await _actor(verifier, issuer.access_token(**two), claim)


async def test_a_v1_token_is_taken_only_where_that_is_configured(
    service: EntraStandIn, issuer: EntraIssuer, verifier: EntraTokens, clock: SteppingClock
) -> None:
    old: dict[str, Any] = {
        "iss": f"{service.url}/{DIRECTORY}/",
        "aud": URI,
        "ver": "1.0",
        "azp": None,
        "appid": CLIENT,
    }
    token = issuer.access_token(**old)
    with pytest.raises(TokenRefused, match="issuer"):
        await verifier.verify(token)
    both = _verifier(service, clock, v1_audience=URI)
    actor = await _actor(both, token)
    assert (actor.subject, actor.tenant, actor.kind) == (OBJECT, "acme", ActorKind.HUMAN)
    assert (await _actor(both, issuer.access_token())).tenant == "acme"
    wrong: tuple[dict[str, Any], ...] = ({**old, "aud": AUDIENCE}, {"aud": URI})
    for crossed in wrong:  # each version has its own audience
        with pytest.raises(TokenRefused, match="audience"):
            await both.verify(issuer.access_token(**crossed))


async def test_a_key_rollover_is_followed(
    service: EntraStandIn, issuer: EntraIssuer, verifier: EntraTokens, clock: SteppingClock
) -> None:
    await verifier.verify(issuer.access_token())
    service.keys = ["main", "next"]  # published before it signs
    clock.advance(seconds=31)
    await verifier.verify(issuer.access_token(key="next"))
    service.keys = ["next"]
    clock.advance(minutes=30)
    await verifier.verify(issuer.access_token(key="next"))
    assert sum(path.endswith("/keys") for path in service.asked) == 2


async def test_old_keys_serve_while_entra_is_down(
    service: EntraStandIn, issuer: EntraIssuer, verifier: EntraTokens, clock: SteppingClock
) -> None:
    service.down = True
    with pytest.raises(Transient, match="503"):
        await verifier.verify(issuer.access_token())
    service.down = False
    clock.advance(seconds=2)
    await verifier.verify(issuer.access_token())
    service.down = True
    clock.advance(hours=20)
    await verifier.verify(issuer.access_token())


async def test_a_remembered_token_gives_the_same_claims(verifier: EntraTokens, issuer: EntraIssuer) -> None:
    token = issuer.access_token()
    first = await verifier.verify(token)
    assert await verifier.verify(token) is first
    assert await verifier.verify(issuer.access_token(oid="another")) is not first


def test_an_installation_has_a_directory(clock: SteppingClock) -> None:
    with pytest.raises(Permanent, match="at least one"):
        EntraTokens({}, AUDIENCE, clock)
