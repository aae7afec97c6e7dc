"""``call: openapi`` on a cluster: durable, and with policies by name and by secret."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.http_stub import Answer, HttpStub
from tests.support.processes import check_histories, running_cluster

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)
SECRETS = {"FLUNQ_SECRET_KEEPER": '{"token": "top-secret-token"}'}
WORKFLOW = """
document: {dsl: 1.0.3, namespace: test, name: pets, version: 1.0.0}
use:
  secrets: [keeper]
  authentications:
    keeper: {bearer: {use: keeper}}
do:
  - add:
      call: openapi
      with:
        document:
          endpoint: {uri: 'STUB/{path}', authentication: {use: keeper}}
        operationId: addPet
        parameters: {shelter: 7, name: '${ .name }', tags: [a, b]}
        authentication: {use: keeper}
        output: response
      output: {as: '${ {id: .content.id, location: .headers.location} }'}
  - look:
      call: openapi
      with:
        document: {endpoint: 'STUB/openapi.yaml'}
        operationId: getPet
        parameters: {petId: '${ .id }', fields: [id, name]}
"""
DOCUMENT = """
openapi: 3.1.0
servers: [{url: /v1}]
paths:
  /shelters/{shelter}/pets:
    parameters: [{name: shelter, in: path, required: true, schema: {type: integer}}]
    post:
      operationId: addPet
      requestBody: {$ref: '#/components/requestBodies/Pet'}
      security: [{token: []}]
  /pets/{petId}:
    get:
      operationId: getPet
      parameters:
        - {name: petId, in: path, required: true}
        - {name: fields, in: query, explode: false}
components:
  requestBodies:
    Pet: {required: true, content: {application/json: {schema: {type: object}}}}
  securitySchemes:
    token: {type: http, scheme: bearer}
"""


@pytest.fixture
def pets() -> HttpStub:
    stub = HttpStub()
    yaml = {"content-type": "application/yaml"}
    stub.answer("/openapi.yaml", Answer(body=DOCUMENT.encode(), headers=yaml))
    stub.answer("/v1/pets/5", Answer(json={"id": 5, "name": "milou"}))
    return stub


def _made(**changes: Any) -> Answer:
    return Answer(201, json={"id": 5}, headers={"location": "/v1/pets/5"}, **changes)


async def test_operations_are_called_with_policies_and_parameters(
    tmp_path: Path, pets: HttpStub
) -> None:
    pets.answer("/v1/shelters/7/pets", _made())
    starting = running_cluster(tmp_path, environment=SECRETS)
    async with pets, starting as cluster, cluster.client() as client:
        await client.apply(WORKFLOW.replace("STUB", pets.url))
        run = await client.start("pets", {"name": "milou", "path": "openapi.yaml"})
        assert await run.result(20) == {"id": 5, "name": "milou"}
        await check_histories(client, [run.id])
    document, added, *_, looked = pets.requests
    assert document.headers["authorization"] == "Bearer top-secret-token"
    assert added.headers["authorization"] == "Bearer top-secret-token"
    assert added.json() == {"name": "milou", "tags": ["a", "b"]}
    assert looked.target == "/v1/pets/5?fields=id,name"


async def test_an_operation_outlives_the_process_that_called_it(
    tmp_path: Path, pets: HttpStub
) -> None:
    pets.answer("/v1/shelters/7/pets", _made(hold=asyncio.Event()), _made())
    starting = running_cluster(tmp_path, environment=SECRETS)
    async with pets, starting as cluster, cluster.client() as client:
        await client.apply(WORKFLOW.replace("STUB", pets.url))
        run = await client.start("pets", {"name": "milou", "path": "openapi.yaml"})
        while (await pets.arrived.get()).method != "POST":
            pass
        cluster.kill("node-1")
        assert await run.result(30) == {"id": 5, "name": "milou"}
        await check_histories(client, [run.id])
    posts = [request for request in pets.requests if request.method == "POST"]
    assert len({request.key for request in posts}) == 1
