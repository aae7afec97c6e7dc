"""``/v1/cluster``, ``/v1/nodes`` and ``/v1/me``: what runs, and as whom you ask."""

from __future__ import annotations

import msgspec

from flunq.api.contract import ApiRoute, Call, Reply, json_reply
from flunq.core.letters import LiveNode
from flunq.core.protocol import ClusterInfo

TAG = "cluster"


class NodeList(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes whose lease lives."""

    items: list[LiveNode]


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Whose token this is."""

    name: str
    tenant: str
    role: str
    token_id: str


async def info(call: Call) -> Reply:
    """Return what the cluster says of itself."""
    return json_reply(await call.client.info())


async def nodes(call: Call) -> Reply:
    """Return who is alive."""
    around = await call.client.dead_letters.look_around()
    return json_reply(NodeList(items=sorted(around.nodes, key=lambda node: node.name)))


async def me(call: Call) -> Reply:
    """Return who asks."""
    return json_reply(msgspec.convert(msgspec.to_builtins(call.principal), Me))


ROUTES = (
    ApiRoute(
        method="GET",
        path="/v1/cluster",
        endpoint=info,
        name="getCluster",
        tag=TAG,
        answer=ClusterInfo,
        summary="Ask for the version of the cluster and its number of partitions.",
    ),
    ApiRoute(
        method="GET",
        path="/v1/nodes",
        endpoint=nodes,
        name="listNodes",
        tag=TAG,
        answer=NodeList,
        summary="List the nodes that are alive, and the tasks that they run.",
    ),
    ApiRoute(
        method="GET",
        path="/v1/me",
        endpoint=me,
        name="getMe",
        tag=TAG,
        answer=Me,
        summary="Ask whose token this is.",
    ),
)
