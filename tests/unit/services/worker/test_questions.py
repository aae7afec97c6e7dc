"""What owners answer about their executions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.virtual import HEAD, in_cluster

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.testing.cluster import Cluster

TELL = (
    HEAD % "tell"
    + """
do:
- tell:
    emit:
      event: {with: {source: 'https://example.com', type: test.told, subject: '${ $workflow.id }'}}
- rest: {wait: {seconds: 5}}
"""
)
HEAR = (
    HEAD % "hear"
    + """
do:
- hear:
    listen: {to: {one: {with: {type: test.told}}}, read: envelope}
"""
)


def test_the_history_of_an_execution_has_no_events_of_those_that_heard_of_it() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[set[str]]:
        for text in (TELL, HEAR):
            await client.apply(text)
        hearer = await client.start("hear", id="hearer")
        teller = await client.start("tell", id="teller")
        for run in (hearer, teller):
            await run.wait(30)
        history = {event.subject async for event in client.history("teller")}
        followed = {event.subject async for event in client.follow("teller")}
        return [history, followed]

    assert in_cluster(situation) == [{"teller"}, {"teller"}]
