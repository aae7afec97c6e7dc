"""What is registered along with a document: fetched once, complete, or a problem at its place."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from flunq.client.bundling import bundle_document
from flunq.client.resources import Fetching
from flunq.core.document.bundle import MAX_RESOURCE, Bundle
from flunq.core.reading import InvalidDocument, read_document
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.secrets import MappingSecrets
from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.http_stub import Request

HEADER = "document: {dsl: 1.0.3, namespace: test, name: w, version: 1.0.0}\n"
LOCAL = EgressPolicy.of_profile("development")


@pytest.fixture
async def stub() -> AsyncIterator[HttpStub]:
    async with HttpStub() as server:
        yield server


async def bundle(text: str, folder: Path | None = None, **more: Any) -> Bundle:
    document = read_document(HEADER + text, name="w.yaml")
    return await bundle_document(document, Fetching(directory=folder, egress=LOCAL, **more))


async def refused(text: str, folder: Path | None = None, **more: Any) -> list[str]:
    with pytest.raises(InvalidDocument) as caught:
        await bundle(text, folder, **more)
    return [problem.text("w.yaml") for problem in caught.value.problems]


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


async def test_a_document_without_references_has_the_digest_of_its_own() -> None:
    document = read_document(HEADER + "do: [{a: {set: {x: 1}}}]", name="w.yaml")
    assert await bundle_document(document, Fetching()) == Bundle(digest=document.digest)


async def test_schemas_and_functions_are_followed_to_the_last(tmp_path: Path) -> None:
    write(
        tmp_path,
        f_yaml="{input: {schema: {resource: {endpoint: 'file://s/in.yaml'}}}, call: ./g.yaml}",
        g_yaml="set: {x: 1}",
        s__in_yaml="properties: {p: {$ref: 'common.json#/$defs/p'}}",
        s__common_json='{"$defs": {"p": {"type": "integer"}}}',
    )
    found = await bundle("do: [{a: {call: ./f.yaml}}]", tmp_path)
    assert {address: entry.role for address, entry in found.table.items()} == {
        "file:f.yaml": "function",
        "file:g.yaml": "function",
        "file:s/common.json": "schema",
        "file:s/in.yaml": "schema",
    }
    assert found.functions()["file:g.yaml"] == {"set": {"x": 1}}
    assert found.contents[found.table["file:s/common.json"].sha256].startswith(b'{"$defs"')


async def test_the_same_content_in_another_folder_is_the_same_definition(tmp_path: Path) -> None:
    digests = []
    for name, schema in (("a", "{}"), ("b", "{}"), ("c", "{type: object}")):
        write(tmp_path / name, s_yaml=schema)
        text = "input: {schema: {resource: {endpoint: 'file://s.yaml'}}}\ndo: []"
        digests.append((await bundle(text, tmp_path / name)).digest)
    assert digests[0] == digests[1] != digests[2]


async def test_what_calls_need_is_bundled_as_it_is_with_its_parts(tmp_path: Path) -> None:
    write(
        tmp_path,
        p__acme__v1__service_proto='package acme.v1;\nimport "acme/v1/types.proto";\n'
        'import "near.proto";\nimport "google/protobuf/empty.proto";',
        p__acme__v1__types_proto='import "acme/v1/base.proto";',
        p__acme__v1__base_proto="// nothing",
        p__acme__v1__near_proto="// nothing",
        api__open_yaml="paths: {/x: {$ref: 'paths/x.yaml'}}",
        api__paths__x_yaml="get: {schema: {$ref: '../common.yaml'}}",
        api__common_yaml="type: object",
    )
    text = """
do:
- g:
    call: grpc
    with:
      proto: {endpoint: 'file://p/acme/v1/service.proto'}
      service: {name: S, host: localhost}
      method: m
- o: {call: openapi, with: {document: {endpoint: 'file://api/open.yaml'}, operationId: x}}
"""
    found = await bundle(text, tmp_path)
    assert found.table["file:p/acme/v1/service.proto"].imports == {
        "acme/v1/types.proto": "file:p/acme/v1/types.proto",
        "acme/v1/base.proto": "file:p/acme/v1/base.proto",
        "near.proto": "file:p/acme/v1/near.proto",
    }
    assert found.table["file:api/open.yaml"].imports == {
        "paths/x.yaml": "file:api/paths/x.yaml",
        "common.yaml": "file:api/common.yaml",
    }
    raw = found.contents[found.table["file:api/open.yaml"].sha256]
    assert raw == b"paths: {/x: {$ref: 'paths/x.yaml'}}"


def guarded(request: Request, answer: Answer) -> Answer:
    wanted = "Basic " + base64.b64encode(b"me:s3cret").decode()
    return answer if request.headers.get("authorization") == wanted else Answer(401)


@pytest.mark.parametrize(
    "policy",
    [
        "{basic: {username: me, password: s3cret}}",
        "{use: pets}",
        "{basic: {use: user}}",
        "{basic: {username: me, password: '${ $secrets.user.password }'}}",
    ],
)
async def test_schemas_of_the_web_may_need_authentication(stub: HttpStub, policy: str) -> None:
    stub.answer("/s/a.json", lambda request: guarded(request, Answer(json={"$ref": "b.json"})))
    stub.answer("/s/b.json", lambda request: guarded(request, Answer(json={"type": "object"})))
    endpoint = f"{{uri: '{stub.url}/s/a.json', authentication: {policy}}}"
    text = f"""
use:
  secrets: [user]
  authentications: {{pets: {{basic: {{username: me, password: s3cret}}}}}}
input: {{schema: {{resource: {{endpoint: {endpoint}}}}}}}
do: []
"""
    secrets = MappingSecrets({"user": {"username": "me", "password": "s3cret"}})
    found = await bundle(text, secrets=secrets)
    assert sorted(found.table) == [f"{stub.url}/s/a.json", f"{stub.url}/s/b.json"]
    assert b"s3cret" not in b"".join(found.contents.values())


async def test_a_catalog_of_the_web_and_what_lies_beside_its_functions(stub: HttpStub) -> None:
    folder = "/catalog/functions/greet/1.0.0"
    function = b"{input: {schema: {resource: {endpoint: 'file://in.json'}}}, set: '${ .name }'}"
    stub.answer(f"{folder}/function.yaml", lambda r: guarded(r, Answer(body=function)))
    stub.answer(f"{folder}/in.json", lambda r: guarded(r, Answer(json={})))
    policy = "{basic: {username: me, password: s3cret}}"
    text = f"""
use: {{catalogs: {{c: {{endpoint: {{uri: '{stub.url}/catalog', authentication: {policy}}}}}}}}}
do: [{{a: {{call: 'greet:1.0.0@c'}}}}]
"""
    found = await bundle(text)
    assert sorted(found.table) == [
        "catalog:c/functions/greet/1.0.0/function.yaml",
        "catalog:c/functions/greet/1.0.0/in.json",
    ]


@pytest.mark.parametrize("as_address", [True, False])
async def test_the_default_catalog_is_a_setting(tmp_path: Path, as_address: bool) -> None:
    write(tmp_path, catalog__functions__f__1__function_yaml="set: {x: 1}")
    catalog = tmp_path / "catalog"
    setting = catalog.as_uri() if as_address else str(catalog)
    found = await bundle("do: [{a: {call: 'f:1@default'}}]", tmp_path, catalog=setting)
    assert found.functions() == {"catalog:default/functions/f/1/function.yaml": {"set": {"x": 1}}}


async def test_without_a_default_catalog_the_problem_says_how_to_name_one() -> None:
    (problem,) = await refused("do: [{a: {call: 'f:1@default'}}]")
    assert problem == "w.yaml:2:17: no default catalog is configured [unreachable-resource]"


async def test_a_file_that_is_missing_is_a_problem_at_its_place(tmp_path: Path) -> None:
    (problem,) = await refused("do:\n- a: {call: ./f.yaml}", tmp_path)
    assert problem == f"w.yaml:3:13: there is no file {tmp_path}/f.yaml [missing-resource]"
    write(tmp_path, f_yaml="call: ./g.yaml")
    (problem,) = await refused("do:\n- a: {call: ./f.yaml}", tmp_path)
    assert f"there is no file {tmp_path}/g.yaml, which file:f.yaml refers to" in problem


async def test_all_problems_are_told_at_once(tmp_path: Path, stub: HttpStub) -> None:
    stub.answer("/gone.yaml", Answer(404))
    stub.answer("/broken.yaml", Answer(503))
    (tmp_path / "bad.yaml").write_text("set: '${ .x + }'\n")
    text = f"""
do:
- a: {{call: '{stub.url}/gone.yaml'}}
- b: {{call: '{stub.url}/broken.yaml'}}
- c: {{call: ./bad.yaml}}
- d: {{call: 'ftp://x/y'}}
"""
    found = await refused(text, tmp_path)
    assert [problem.partition(" ")[0] for problem in found] == [
        "w.yaml:4:13:",
        "w.yaml:5:13:",
        "w.yaml:6:13:",
        "w.yaml:7:13:",
    ]
    for part, problem in zip(["404", "503", "file:bad.yaml:1:15", "ftp"], found, strict=True):
        assert part in problem


async def test_functions_that_call_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    write(tmp_path, a_yaml="call: ./b.yaml", b_yaml="do: [{x: {call: ./a.yaml}}]")
    (problem,) = await refused("do: [{a: {call: ./a.yaml}}]", tmp_path)
    assert "file:a.yaml -> file:b.yaml -> file:a.yaml [function-cycle]" in problem


async def test_something_from_the_web_reads_no_local_files(stub: HttpStub, tmp_path: Path) -> None:
    schema = b"{input: {schema: {resource: {endpoint: 'file:///etc/passwd'}}}, set: {x: 1}}"
    stub.answer("/f.yaml", Answer(body=schema))
    (problem,) = await refused(f"do: [{{a: {{call: '{stub.url}/f.yaml'}}}}]", tmp_path)
    assert "only documents that are local files may name local files" in problem


async def test_without_a_folder_no_files_are_read() -> None:
    (problem,) = await refused("do: [{a: {call: 'file:///etc/hostname'}}]")
    assert "files are not read here" in problem


async def test_addresses_that_the_policy_forbids_are_not_asked(stub: HttpStub) -> None:
    document = read_document(HEADER + f"do: [{{a: {{call: '{stub.url}/f.yaml'}}}}]", name="w.yaml")
    with pytest.raises(InvalidDocument, match="refused"):
        await bundle_document(document, Fetching())
    assert stub.requests == []


async def test_the_web_is_left_out_where_it_is_not_wanted(tmp_path: Path) -> None:
    write(tmp_path, f_yaml="set: {x: 1}")
    text = """
use: {catalogs: {c: {endpoint: 'https://127.0.0.1:1/c'}}}
do:
- a: {call: 'https://127.0.0.1:1/f.yaml'}
- b: {call: 'f:1@c'}
- c: {call: 'f:1@default'}
- d: {call: ./f.yaml}
"""
    assert list((await bundle(text, tmp_path, remote=False)).table) == ["file:f.yaml"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("folder", None), ("large.json", b" " * (MAX_RESOURCE + 1)), ("text.json", b"{")],
)
async def test_what_cannot_be_used_is_refused(
    name: str, content: bytes | None, tmp_path: Path
) -> None:
    if content is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(content)
    text = f"input: {{schema: {{resource: {{endpoint: 'file://{name}'}}}}}}\ndo: []"
    (problem,) = await refused(text, tmp_path)
    assert problem.startswith("w.yaml:2:39:")


async def test_credentials_made_of_what_nobody_knows_yet_are_refused(stub: HttpStub) -> None:
    policy = "{bearer: {token: '${ $context.token }'}}"
    endpoint = f"{{uri: '{stub.url}/s.json', authentication: {policy}}}"
    (problem,) = await refused(f"input: {{schema: {{resource: {{endpoint: {endpoint}}}}}}}\ndo: []")
    assert "$context is not known when a document is registered" in problem
    assert stub.requests == []
