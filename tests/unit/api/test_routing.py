from __future__ import annotations

import pytest

from flunq.api.contract import ApiRoute, Call, Method, Reply
from flunq.api.problems import MethodError, UnknownPathError
from flunq.api.routes import all_routes
from flunq.api.routing import Router


async def nothing(call: Call) -> Reply:
    return Reply()


def route(path: str, method: Method = "GET") -> ApiRoute:
    return ApiRoute(method=method, path=path, endpoint=nothing, summary="", name=path)


ROUTER = Router(
    [route("/a"), route("/a/{id}"), route("/a/{id}/b"), route("/a/fixed"), route("/a", "POST")]
)


@pytest.mark.parametrize(
    ("path", "found", "parameters"),
    [
        ("/a", "/a", {}),
        ("/a/1", "/a/{id}", {"id": "1"}),
        ("/a/fixed", "/a/fixed", {}),
        ("/a/1/b", "/a/{id}/b", {"id": "1"}),
        ("/a/x%2Fy", "/a/{id}", {"id": "x/y"}),
        ("/a/%F0%9F%90%99", "/a/{id}", {"id": "\N{OCTOPUS}"}),
        ("/a/%ff", "/a/{id}", {"id": "\ufffd"}),
    ],
)
def test_a_path_leads_to_its_route(path: str, found: str, parameters: dict[str, str]) -> None:
    got, values = ROUTER.find("GET", path)
    assert (got.path, values) == (found, parameters)


@pytest.mark.parametrize("path", ["", "/", "/b", "/a/", "/a//b", "/a/1/c", "/a/1/b/", "//a", "*"])
def test_other_paths_lead_nowhere(path: str) -> None:
    with pytest.raises(UnknownPathError):
        ROUTER.find("GET", path)


def test_a_known_path_says_which_methods_it_has() -> None:
    with pytest.raises(MethodError) as caught:
        ROUTER.find("DELETE", "/a")
    assert caught.value.details["allowed"] == ["GET", "HEAD", "POST"]


def test_the_same_operation_cannot_be_there_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        Router([route("/a/{id}"), route("/a/{id}")])


def test_every_operation_is_found_by_its_own_path_and_has_a_name_of_its_own() -> None:
    routes = all_routes()
    router = Router(routes)
    for each in routes:
        assert router.find(each.method, each.path.replace("{", "").replace("}", ""))[0] is each
    assert len({each.name for each in routes}) == len(routes)
