from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.web.authentication import credentials

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext
    from flunq.sdk.web.client import HttpClient


@pytest.mark.parametrize(
    ("policy", "scheme", "parameter"),
    [
        ({"basic": {"username": "ada", "password": "pw"}}, "Basic", "YWRhOnB3"),
        ({"basic": {"username": "é", "password": ""}}, "Basic", "w6k6"),
        ({"basic": {"use": "login"}}, "Basic", "YWRhOnB3"),
        ({"bearer": {"token": "t-0"}}, "Bearer", "t-0"),
        ({"bearer": {"use": "api"}}, "Bearer", "t-1"),
    ],
)
async def test_a_policy_becomes_an_authorization_header(
    context: TaskContext, client: HttpClient, policy: Any, scheme: str, parameter: str
) -> None:
    granted = await credentials(policy, context, client)
    assert granted.headers == {"authorization": f"{scheme} {parameter}"}
    assert (granted.scheme, granted.parameter, granted.auth) == (scheme, parameter, None)


async def test_digest_waits_for_the_challenge(context: TaskContext, client: HttpClient) -> None:
    granted = await credentials({"digest": {"use": "login"}}, context, client)
    assert (granted.scheme, granted.parameter, granted.headers) == ("Digest", "", {})
    assert granted.auth is not None


async def test_without_a_policy_there_is_nothing(context: TaskContext, client: HttpClient) -> None:
    granted = await credentials(None, context, client)
    assert (granted.headers, granted.auth, granted.scheme) == ({}, None, "")


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({"certificate": {}}, "certificate is none of basic, bearer"),
        ({}, "an empty policy"),
        ("sample", "it is not an object but str"),
        ({"use": "nobody"}, "use.authentications has no policy 'nobody'"),
        ({"basic": {"username": "a"}}, "basic authentication needs a password"),
        ({"basic": {"password": "a"}}, "basic authentication needs a username"),
        ({"bearer": {"token": ""}}, "bearer authentication needs a token"),
        ({"bearer": "t"}, "bearer authentication must be an object"),
        ({"bearer": {"use": "text"}}, "the secret 'text' must be an object"),
        ({"oauth2": {"grant": "client_credentials"}}, "it needs authority"),
    ],
)
async def test_a_policy_that_makes_no_sense_is_a_configuration_error(
    context: TaskContext, client: HttpClient, policy: Any, problem: str
) -> None:
    with pytest.raises(TaskError) as caught:
        await credentials(policy, context, client)
    assert (caught.value.type, caught.value.status) == (f"{ERRORS}configuration", 400)
    assert problem in (caught.value.detail or "")


async def test_an_unknown_secret_is_an_authorization_error(
    context: TaskContext, client: HttpClient
) -> None:
    with pytest.raises(TaskError) as caught:
        await credentials({"bearer": {"use": "nobody-knows"}}, context, client)
    assert (caught.value.type, caught.value.status) == (f"{ERRORS}authorization", 403)


async def test_a_token_that_no_header_can_carry_is_not_quoted(
    context: TaskContext, client: HttpClient
) -> None:
    with pytest.raises(TaskError) as caught:
        await credentials({"bearer": {"token": "top-secret\n"}}, context, client)
    assert "no header can carry" in (caught.value.detail or "")
    assert "top-secret" not in (caught.value.detail or "")


async def test_credentials_do_not_show_themselves(context: TaskContext, client: HttpClient) -> None:
    granted = await credentials({"bearer": {"token": "top-secret"}}, context, client)
    assert repr(granted) == "Credentials(Bearer)"
