"""Routing: templates, precedence, constraints, and what answers nothing."""

import pytest

from local.routes import BadRoute, Routes


def served(*templates: str, methods: tuple[str, ...] | None = ("GET",)) -> Routes[str]:
    routes: Routes[str] = Routes()
    for template in templates:
        routes.add(template, methods, template)
    return routes


PRECEDENCE = (
    "a/b",
    "a/{id:int}",
    "a/{id}",
    "a/{*rest:guid}",
    "a/{*rest}",
    "A/{id}/Child",
    "a/b/{other}",
    "x/{id?}",
    "x/{one}/{two}/{three?}",
)


@pytest.mark.parametrize(
    ("path", "template", "params"),
    [
        ("/a/b", "a/b", {}),
        ("/A/B", "a/b", {}),
        ("/a/b/", "a/b", {}),
        ("/a/7", "a/{id:int}", {"id": "7"}),
        ("/a/2147483648", "a/{id}", {"id": "2147483648"}),
        ("/a/Seven", "a/{id}", {"id": "Seven"}),
        ("/a/7/child", "A/{id}/Child", {"id": "7"}),
        ("/a/b/child", "a/b/{other}", {"other": "child"}),
        ("/a/7/other", "a/{*rest}", {"rest": "7/other"}),
        ("/a/b/c/d", "a/{*rest}", {"rest": "b/c/d"}),
        ("/a", "a/{*rest}", {}),
        ("/x", "x/{id?}", {}),
        ("/x/1", "x/{id?}", {"id": "1"}),
        ("/x/1/2", "x/{one}/{two}/{three?}", {"one": "1", "two": "2"}),
        ("/x/1/2/3", "x/{one}/{two}/{three?}", {"one": "1", "two": "2", "three": "3"}),
        ("/x/a%20b", "x/{id?}", {"id": "a b"}),
        ("/x/a%2Fb", "x/{id?}", {"id": "a%2Fb"}),
        ("/x/%E2%82%AC", "x/{id?}", {"id": "€"}),
    ],
)
def test_a_path_goes_to_the_most_precise_template(path: str, template: str, params: dict[str, str]) -> None:
    match = served(*PRECEDENCE).match("GET", path)
    assert match is not None
    assert (match.target, match.params) == (template, params)


@pytest.mark.parametrize("path", ["/", "/b", "/a//b", "/x/1/2/3/4", "/x//2", "//a/b"])
def test_an_unknown_path_goes_nowhere(path: str) -> None:
    routes = served("a/b", "x/{one}/{two}/{three?}")
    assert routes.match("GET", path) is None


def test_a_wrong_method_looks_like_an_unknown_path_and_head_is_not_get() -> None:
    routes = served("a")
    assert routes.match("POST", "/a") is None
    assert routes.match("HEAD", "/a") is None


def test_a_template_without_methods_answers_every_one() -> None:
    match = served("a", methods=None).match("PROPFIND", "/a")
    assert match is not None


def test_a_less_precise_template_answers_a_method_that_the_precise_one_does_not() -> None:
    routes = served("a/b")
    routes.add("a/{id}", ["DELETE"], "deleting")
    match = routes.match("DELETE", "/a/b")
    assert match is not None
    assert match.params == {"id": "b"}


def test_one_template_may_serve_methods_by_different_functions_with_their_own_names() -> None:
    routes: Routes[str] = Routes()
    routes.add("a/{one}", ["GET"], "reading")
    routes.add("a/{two}", ["POST"], "writing")
    reading, writing = routes.match("GET", "/a/1"), routes.match("POST", "/a/1")
    assert reading is not None
    assert writing is not None
    assert (reading.params, writing.params) == ({"one": "1"}, {"two": "1"})


@pytest.mark.parametrize(
    ("constraint", "fits", "not_fits"),
    [
        ("int", "-5", "5x"),
        ("long", "9223372036854775807", "9223372036854775808"),
        ("bool", "True", "yes"),
        ("guid", "7f3b1e1c-0000-4000-8000-000000000001", "7f3b1e1c"),
        ("alpha", "abc", "a1"),
        ("minlength(2)", "ab", "a"),
        ("maxlength(2)", "ab", "abc"),
        ("length(2)", "ab", "abc"),
        ("length(1,2)", "a", "abc"),
        ("min(3)", "3", "2"),
        ("max(3)", "3", "4"),
        ("range(1,3)", "2", "4"),
        ("int:min(3)", "3", "2"),
    ],
)
def test_a_constraint_decides_whether_a_value_fits(constraint: str, fits: str, not_fits: str) -> None:
    routes = served(f"a/{{id:{constraint}}}")
    assert routes.match("GET", f"/a/{fits}") is not None
    assert routes.match("GET", f"/a/{not_fits}") is None


def test_an_optional_parameter_may_have_a_constraint() -> None:
    routes = served("a/{id:int?}")
    assert routes.match("GET", "/a") is not None
    assert routes.match("GET", "/a/1") is not None
    assert routes.match("GET", "/a/x") is None


@pytest.mark.parametrize(
    "template",
    ["a/{*rest}/b", "a/{id?}/b", "a/{id}-{other}", "a/{id:even}", "a/{id}/{id}", "a//b", "a/{id", "a/{id=5}"],
)
def test_a_template_the_host_cannot_serve_is_refused(template: str) -> None:
    with pytest.raises(BadRoute):
        served(template)


@pytest.mark.parametrize(
    ("first", "second"), [("a/b", "A/B"), ("a/{id}", "a/{other}"), ("a", "a/{id?}"), ("a/{*x}", "a/{*y}")]
)
def test_two_templates_that_answer_the_same_requests_are_refused(first: str, second: str) -> None:
    with pytest.raises(BadRoute, match="answer the same GET requests"):
        served(first, second)


def test_a_catch_all_at_the_root_serves_every_path() -> None:
    routes = served("{*rest}")
    for path in ("/", "/a", "/a/b"):
        assert routes.match("GET", path) is not None
