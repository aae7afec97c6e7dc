"""``$secrets``: the engine decides and records markers, never values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from flunq.core.execution.recover import open_effects
from flunq.core.markers import Revealer
from tests.support.driver import BASE, Driver

NONCE = "0123456789abcdef0123456789abcdef"
VALUES = {"token": "s3cret", "user": {"name": "ada", "pass word": "p:w"}, "other": "no"}
USE = "use: {secrets: [token, user]}\n"


def driver(text: str, input: Any = None, nonce: str = NONCE, results: Any = None) -> Driver:
    made = Driver(USE + text, input, results)
    made.start = msgspec.structs.replace(made.start, nonce=nonce)
    return made.begin()


def revealed(value: Any) -> Any:
    def look_up(keys: list[str]) -> Any:
        found: Any = VALUES
        for key in keys:
            found = found[key]
        return found

    return Revealer(NONCE, look_up).value(value)


def call(argument: str) -> str:
    return f"do: [{{c: {{call: f, with: {{x: {argument}}}}}}}]"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("'${ $secrets.token }'", "s3cret"),
        ("'Bearer ${ $secrets.token }'", "Bearer s3cret"),
        ("'${ \"Bearer \\($secrets.token)!\" }'", "Bearer s3cret!"),
        ("'${ $secrets.user }'", {"name": "ada", "pass word": "p:w"}),
        ("'${ $secrets.user.name }'", "ada"),
        ('\'${ $secrets["user"]["pass word"] }\'', "p:w"),
        (
            "'${ {a: $secrets.token, b: [$secrets.user.name, 1]} }'",
            {"a": "s3cret", "b": ["ada", 1]},
        ),
        ("'${ $secrets.user.name + \":\" + $secrets.token | @base64 }'", "YWRhOnMzY3JldA=="),
        ("'${ $secrets.user[\"pass word\"] | @uri }'", "p%3Aw"),
        ("'${ $secrets.user | tostring }'", '{"name":"ada","pass word":"p:w"}'),
        ("'${ if .a then $secrets.token else 1 end }'", "s3cret"),
        ("'${ .list | map({n: ., t: $secrets.token}) }'", [{"n": 1, "t": "s3cret"}]),
        ("'${ . + {t: $secrets.token} | .t }'", "s3cret"),
        ("'${ .t = $secrets.token | .t }'", "s3cret"),
        ("'${ {a: (\"x\" | @sh), t: $secrets.token} }'", {"a": "'x'", "t": "s3cret"}),
    ],
)
def test_a_secret_reaches_the_executor_as_a_marker(argument: str, value: Any) -> None:
    made = driver(call(argument), {"a": True, "list": [1]})
    (task,) = made.dispatched
    assert "s3cret" not in str(task.arguments)
    assert NONCE in str(task.arguments)
    assert revealed(task.arguments) == {"x": value}


@pytest.mark.parametrize(
    "expression",
    [
        "$secrets",
        "$secrets[.k]",
        "$secrets.token | length",
        "$secrets.token == .k",
        "$secrets.token // 1",
        "$secrets.token | test(.k)",
        "$secrets.token[0:2]",
        "$secrets.user | keys",
        "$secrets.user[]",
        '@sh "x \\($secrets.token)"',
        "{($secrets.token): 1}",
        "if $secrets.token then 1 else 2 end",
        "reduce .[] as $i ($secrets.token; . + $i)",
        "($secrets.token + .k) | ascii_downcase",
        "[$secrets.token] | sort",
        "$secrets.token as $t | $t | length",
        "def f: $secrets.token; f",
    ],
)
def test_what_would_work_on_the_marker_is_refused(expression: str) -> None:
    made = driver("do: [{c: {set: {x: '${ EXPR }'}}}]".replace("EXPR", expression))
    assert made.failure.type == BASE + "expression"
    assert "secret" in (made.failure.detail or "")


def test_a_secret_travels_through_data() -> None:
    text = """
input: {from: '${ {auth: $secrets.token} }'}
do:
- a: {set: {header: '${ "Basic " + (.auth | @base64) }'}}
- c: {call: f, with: '${ . }'}
"""
    (task,) = driver(text).dispatched
    assert revealed(task.arguments) == {"header": "Basic czNjcmV0"}


@pytest.mark.parametrize("name", ["other", "nowhere"])
def test_a_secret_that_is_not_declared_is_an_authorization_error(name: str) -> None:
    failure = driver(call(f"'${{ $secrets.{name} }}'")).failure
    assert (failure.type, failure.status) == (BASE + "authorization", 403)
    assert failure.instance == "/do/0/c"


def test_the_nonce_is_recorded_and_goes_with_every_dispatch() -> None:
    made = driver(call("'${ $secrets.token }'"))
    made.reload()
    assert made.events[0].data["secrets"] == {"nonce": NONCE, "names": ["token", "user"]}
    (effect,) = open_effects(made.live)
    assert effect == made.dispatched[0]
    assert made.dispatched[0].secrets is not None
    assert made.dispatched[0].secrets.nonce == NONCE


def test_a_workflow_without_secrets_records_none() -> None:
    made = driver("do: [{c: {call: f}}]")
    assert "secrets" not in made.events[0].data
    assert (made.live.secrets, made.dispatched[0].secrets) == (None, None)


def test_an_event_cannot_carry_a_secret() -> None:
    event = "{source: 'a:b', type: t, data: {k: ['${ $secrets.token }']}}"
    made = driver(f"do: [{{e: {{emit: {{event: {{with: {event}}}}}}}}}]")
    assert (made.failure.status, made.published) == (403, [])


def test_a_secret_named_beyond_the_pure_tier_keeps_its_marker() -> None:
    text = call("'${ {t: $secrets.user.name, u: ([.k] | @sh), v: $secrets.token} }'")
    (task,) = driver(text, {"k": "z"}).dispatched
    assert revealed(task.arguments)["x"] == {"t": "ada", "u": "'z'", "v": "s3cret"}


def test_a_secret_and_its_member_do_not_fit_one_expression_of_the_other_tier() -> None:
    text = call("'${ [$secrets.user.name, $secrets.user, (.k | @sh)] }'")
    assert "one expression" in (driver(text, {"k": "z"}).failure.detail or "")


AUTH = """
use:
  secrets: [token, user]
  authentications: {named: {bearer: {token: '${ $secrets.token }'}}}
do:
- c:
    call: http
    with:
      method: get
      endpoint: {uri: 'http://x', authentication: POLICY}
    output: {as: '${ $authorization }'}
"""


@pytest.mark.parametrize(
    ("policy", "scheme", "parameter"),
    [
        ("{bearer: {token: abc}}", "Bearer", "abc"),
        ("{bearer: {token: '${ .t }'}}", "Bearer", "of the input"),
        ("{use: named}", "Bearer", "s3cret"),
        ("{bearer: {use: token}}", "Bearer", None),
        ("{basic: {username: a, password: b}}", "Basic", "YTpi"),
        ("{basic: {username: ada, password: '${ $secrets.token }'}}", "Basic", "YWRhOnMzY3JldA=="),
        ("{digest: {username: a, password: b}}", "Digest", None),
        ("{oauth2: {authority: 'http://y'}}", "Bearer", None),
    ],
)
def test_the_authorization_is_described(policy: str, scheme: str, parameter: Any) -> None:
    text = AUTH.replace("POLICY", policy)
    made = Driver(text, {"t": "of the input"}, {"http": 1})
    made.start = msgspec.structs.replace(made.start, nonce=NONCE)
    output = made.run().output
    assert output["scheme"] == scheme
    if "use: token" in policy:
        assert output["parameter"] == f"~secret.{NONCE}.token.token~"
    else:
        assert revealed(output["parameter"]) == parameter


def test_without_authentication_there_is_no_authorization() -> None:
    text = "do: [{c: {call: f, output: {as: '${ [$authorization] }'}}}]"
    assert driver(text, results={"f": 1}).run().output == [None]
