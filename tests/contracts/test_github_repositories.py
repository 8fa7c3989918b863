"""Repositories on GitHub, where it is unlike our own: their names, their pages, their contents."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from shared.adapters.embedded.system import RandomIds
from shared.adapters.embedded.vault import FileVault
from shared.adapters.hosts.github import GitHub, github
from shared.adapters.hosts.github_api import repository_name
from shared.adapters.hosts.routed import RoutedHost
from shared.adapters.vendors.throttling import Patience
from shared.domain.kernel.errors import Invalid, Transient
from shared.domain.source.errors import ProviderUnavailable
from shared.domain.source.model import Provider, Visibility
from shared.ports.source_host import (
    FileChange,
    Place,
    RepositoryTaken,
)
from shared.settings import BadSettings, Settings
from tests.contracts.github_site import SITES, Site
from tests.contracts.source_hosts import ADA, PLACE, add, branched, committed, delete, made, modify
from tests.standins.github import Fault
from tests.support.app import SteppingClock


@pytest.fixture
def site() -> Site:
    found = SITES.new()
    found.server.faults.waiting.clear()
    return found


@pytest.fixture
async def host(site: Site) -> AsyncIterator[GitHub]:
    async with aclosing(site.host()) as opened:
        yield opened


NAMES = [
    ("a", "b"),
    ("a.b", "c"),
    ("a", "b.c"),
    ("a.", "b"),
    ("a..b", "c"),
    ("a", "b..c"),
    ("a.b", "c.d"),
    ("a-b", "c"),
    ("a", "b-c"),
    ("a..", "b"),
    ("a.b.c", "d"),
]


def test_no_two_repositories_have_one_name() -> None:
    assert repository_name(PLACE) == "proj-x.api"
    names = [repository_name(Place("t", *each)).casefold() for each in NAMES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["x" * 99, "site.git", "notes.wiki", "feed.Atom"])
def test_a_name_that_github_does_not_keep_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="GitHub"):
        repository_name(Place("t", "proj-x", name))


async def test_the_clone_url_is_the_vendors(site: Site, host: GitHub) -> None:
    assert host.clone_url(PLACE) == f"{site.server.url}/{site.organization}/proj-x.api.git"


async def test_a_tenant_without_organization_is_told_what_to_set(host: GitHub) -> None:
    with pytest.raises(ProviderUnavailable, match="SLIPWAY_GITHUB_ORGANIZATIONS"):
        await host.branches(Place("tenant-b", "proj-x", "api"))


async def test_a_provider_that_is_not_set_up_is_told(host: GitHub) -> None:
    routed = RoutedHost({Provider.GITHUB: host})
    with pytest.raises(ProviderUnavailable, match="AzureDevOps") as caught:
        await routed.branches(replace(PLACE, provider=Provider.AZURE_DEVOPS))
    assert caught.value.facts["available"] == ["GitHub"]
    assert not await routed.exists(replace(PLACE, provider=Provider.GITHUB))


@pytest.mark.parametrize("visibility", [Visibility.PRIVATE, Visibility.PUBLIC])
async def test_a_repository_is_as_visible_as_was_asked(
    site: Site, host: GitHub, visibility: Visibility
) -> None:
    await host.create(PLACE, default_branch="main", author=ADA, readme="", visibility=visibility)
    assert site.repository(PLACE).visibility == str(visibility)


async def test_an_organization_without_enterprise_has_no_internal_repositories(host: GitHub) -> None:
    with pytest.raises(Invalid, match=r"does not make the repository 'proj-x\.api'"):
        await host.create(PLACE, default_branch="main", author=ADA, readme="", visibility=Visibility.INTERNAL)
    assert not await host.exists(PLACE)


async def test_the_default_branch_is_the_one_that_was_asked_for(site: Site, host: GitHub) -> None:
    first = await host.create(PLACE, default_branch="release/trunk", author=ADA, readme="# api\n")
    assert await host.branches(PLACE) == {"release/trunk": first}
    assert site.repository(PLACE).default_branch == "release/trunk"
    info = await host.info(PLACE, first)
    assert (info.author, info.committed_at, info.parents) == ("Ada Lovelace <ada@example.com>", ADA.at, ())


@pytest.mark.parametrize(("method", "path"), [("PUT", "/contents"), ("GET", "/commits"), ("POST", "/rename")])
async def test_a_creation_that_died_at_any_step_is_taken_up(
    site: Site, host: GitHub, method: str, path: str
) -> None:
    site.server.faults.add(Fault("bad-gateway", method, path, times=1000))
    async with aclosing(site.host(Patience(total=0.4))) as dying:
        with pytest.raises(Transient):
            await dying.create(PLACE, default_branch="trunk", author=ADA, readme="")
    site.server.faults.waiting.clear()
    first = await host.create(PLACE, default_branch="trunk", author=ADA, readme="")
    assert await host.branches(PLACE) == {"trunk": first}


async def test_creating_again_after_others_have_worked_in_it_changes_nothing(host: GitHub) -> None:
    first = await made(host)
    second = await committed(host, add("a"))
    assert await made(host) == first
    assert await host.branches(PLACE) == {"main": second}


@pytest.mark.parametrize("has_commits", [True, False])
async def test_a_repository_that_is_somebody_elses_is_not_taken(
    site: Site, host: GitHub, has_commits: bool
) -> None:
    """Its description or its first commit would say so if it were ours."""
    await made(host)
    theirs = site.repository(PLACE)
    theirs.description = None
    if has_commits:
        theirs.move_ref("refs/heads/main", theirs.on_top(None, "Initial commit"), force=True)
    else:
        theirs.empty()
    with pytest.raises(RepositoryTaken, match="did not make"):
        await made(host)


async def test_an_empty_repository_has_no_branches(site: Site, host: GitHub) -> None:
    await made(host)
    site.repository(PLACE).empty()
    assert await host.branches(PLACE) == {}


async def test_branches_come_in_pages(site: Site, host: GitHub) -> None:
    first = await made(host)
    for number in range(230):
        site.repository(PLACE).make_ref(f"refs/heads/b{number:03}", first)
    assert len(await host.branches(PLACE)) == 231


async def test_a_long_log_comes_in_pages(site: Site, host: GitHub) -> None:
    first = await made(host)
    repository = site.repository(PLACE)
    shas = [first]
    for number in range(230):
        shas.append(repository.on_top(shas[-1], f"c{number}"))
    repository.move_ref("refs/heads/main", shas[-1], force=False)
    newest = shas[::-1]
    assert [info.sha for info in await host.log(PLACE, newest[0], limit=200)] == newest[:200]
    assert [info.sha for info in await host.log(PLACE, newest[0], until=first, limit=200)] == newest[:200]
    assert [info.sha for info in await host.log(PLACE, newest[0], until=shas[5], limit=500)] == newest[:225]


async def test_a_tree_that_is_too_long_to_list_is_listed_by_parts(
    site: Site, host: GitHub, tmp_path: Path
) -> None:
    await made(host)
    files = [f"{folder}/{sub}/{name}" for folder in "abc" for sub in "xy" for name in "123"]
    await committed(host, *(add(path, f"{path}\n") for path in files))
    site.repository(PLACE).tree_limit = 5
    sha = await committed(host, delete("a/x/1"), modify("b/y/2", "new\n"))
    assert await host.list_files(PLACE, sha) == ["README.md", *files[1:]]
    await host.checkout(PLACE, sha, str(tmp_path / "out"))
    assert (tmp_path / "out/b/y/2").read_text() == "new\n"


async def test_a_difference_of_very_many_files_is_whole(host: GitHub) -> None:
    base = await made(host)
    head = await committed(host, *(add(f"f{number:03}", f"{number}\n") for number in range(310)))
    assert len(await host.diff(PLACE, base, head)) == 310


async def test_a_difference_of_branches_that_went_apart_is_that_of_their_trees(host: GitHub) -> None:
    """GitHub compares with where they parted."""
    await branched(host, add("a", "1\n"))
    main = await committed(host, modify("a", "main\n"))
    topic = await committed(host, add("b"), branch="topic")
    found = {each.path: (each.operation, each.patch) for each in await host.diff(PLACE, main, topic)}
    assert found["b"][0] == "add"
    assert found["a"][0] == "modify"
    assert "-main\n+1\n" in str(found["a"][1])


async def test_histories_that_share_nothing_have_no_base(site: Site, host: GitHub) -> None:
    first = await made(host)
    other = site.repository(PLACE).on_top(None, "Another beginning")
    assert await host.merge_base(PLACE, first, other) is None
    assert not await host.is_ancestor(PLACE, first, other)
    assert [info.sha for info in await host.log(PLACE, other, until=first)] == [other]


async def test_bytes_of_any_kind_come_back_as_they_were(host: GitHub, tmp_path: Path) -> None:
    await made(host)
    contents = {
        "binary": bytes(range(256)),
        "crlf": b"a\r\nb\r\n",
        "no-end": b"x",
        "empty": b"",
        "bom": b"\xef\xbb\xbfx",
        "large": b"0123456789abcdef" * 100_000,
        "latin": b"caf\xe9",
        "nul": b"a\0b",
        "folder/\u00e9 \u4e2d": "\u4e2d\u2028\n".encode(),
    }
    changes = [FileChange(path, "add", content) for path, content in contents.items()]
    sha = (await host.commit(PLACE, "main", changes, message="m", author=ADA)).sha
    await host.checkout(PLACE, sha, str(tmp_path / "out"))
    for path, content in contents.items():
        assert await host.read_file(PLACE, sha, path) == content
        assert (tmp_path / "out" / path).read_bytes() == content


async def test_what_an_archive_leaves_out_is_checked_out_too(host: GitHub, tmp_path: Path) -> None:
    """GitHub's archives leave out what is marked `export-ignore`; a build must see the commit as it is."""
    await made(host)
    sha = await committed(host, add(".gitattributes", "tests export-ignore\nx export-ignore\n"), add("x"))
    await host.checkout(PLACE, sha, str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".gitattributes", "README.md", "x"]


async def test_conflicts_are_told_without_writing(site: Site, host: GitHub) -> None:
    await branched(host, add("a", "1\n"), add("b", "1\n"))
    source = await committed(host, modify("a", "topic\n"), modify("b", "topic\n"), branch="topic")
    target = await committed(host, modify("a", "main\n"))
    site.server.calls.clear()
    assert await host.merge_conflicts(PLACE, source=source, target=target) == ["a"]
    assert {call.partition(" ")[0] for call in site.server.calls} == {"GET"}


async def test_a_host_of_a_vendor_journals_nothing(host: GitHub) -> None:
    first = await made(host)
    await committed(host, add("a"))
    assert await host.pending(older_than=0) == []
    await host.settle(PLACE, "main", first)


async def test_what_a_commit_costs(site: Site, host: GitHub) -> None:
    """GitHub counts requests by the hour, and those that make content by the minute."""
    await made(host)
    site.server.calls.clear()
    await committed(host, *(add(f"src/f{number}") for number in range(50)))
    writes = [call for call in site.server.calls if not call.startswith("GET")]
    assert len(writes) == 4
    assert len(site.server.calls) == 7


@pytest.mark.parametrize(
    ("api", "clone"),
    [
        ("https://api.github.com", "https://github.com/acme-corp/proj-x.api.git"),
        ("https://git.example.com/api/v3", "https://git.example.com/acme-corp/proj-x.api.git"),
        ("https://api.acme.ghe.com/", "https://acme.ghe.com/acme-corp/proj-x.api.git"),
    ],
)
def test_the_site_of_an_api_is_where_git_clones_from(tmp_path: Path, api: str, clone: str) -> None:
    vault = FileVault(tmp_path, SteppingClock(), RandomIds())
    vendor = github(api, {"acme": "acme-corp"}, vault, RandomIds())
    assert vendor.source.clone_url(Place("acme", "proj-x", "api")) == clone


async def test_the_token_is_a_secret_of_the_tenant(site: Site, tmp_path: Path) -> None:
    vault = FileVault(tmp_path, SteppingClock(), RandomIds())
    async with aclosing(github(site.server.url, {"acme": site.organization}, vault, RandomIds())) as vendor:
        host, place = vendor.source, Place("acme", "proj-x", "api")
        with pytest.raises(ProviderUnavailable, match="secret 'github-token'"):
            await host.exists(place)
        await vault.set("acme", "github-token", f"{site.token}\n")
        assert not await host.exists(place)


@pytest.mark.parametrize(
    "pairs", ["acme", "acme:", ":corp", "acme:corp,globex:CORP"], ids=lambda pairs: pairs or "empty"
)
def test_every_tenant_has_an_organization_of_its_own(pairs: str) -> None:
    with pytest.raises(BadSettings, match="SLIPWAY_GITHUB_ORGANIZATIONS"):
        Settings.load({"SLIPWAY_GITHUB_ORGANIZATIONS": pairs})


def test_the_tenants_of_vendors_are_known_to_the_settings() -> None:
    settings = Settings.load({"SLIPWAY_GITHUB_ORGANIZATIONS": "acme:corp, globex:globex-inc"})
    assert settings.github_organizations == {"acme": "corp", "globex": "globex-inc"}
    assert settings.vendor_tenants >= {"acme", "globex"}
