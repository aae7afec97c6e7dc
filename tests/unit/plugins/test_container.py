from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from flunq.sdk.registry import load_executor
from flunq_plugins.container import ContainerExecutor
from flunq_plugins.docker_api import Endpoint, find_endpoint
from flunq_plugins.docker_chunks import Chunks, Outputs, StreamError
from tests.support.docker_stub import ERR, Container, DockerStub, RefusalError
from tests.support.running import Runner, short
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flunq.sdk.executor import TaskError

ALWAYS = {"cleanup": "always"}


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[DockerStub]:
    async with DockerStub(tmp_path / "engine.sock") as engine:
        yield engine


@pytest.fixture
async def run(engine: DockerStub) -> AsyncIterator[Run]:
    async with running(engine) as run:
        yield run


class Run:
    """Runs containers on an engine."""

    def __init__(self, engine: DockerStub, **settings: Any) -> None:
        self.engine = engine
        self.runner = Runner(ContainerExecutor(engine.environment), **settings)

    async def __call__(self, image: str = "hello", **members: Any) -> Any:
        process, task = _sorted(image, members)
        return await self.runner("container", process, **task)

    async def fails(self, image: str = "hello", **members: Any) -> TaskError:
        process, task = _sorted(image, members)
        return await self.runner.fails("container", process, **task)


def _sorted(image: str, members: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell what belongs to the container from what belongs to the task."""
    of_the_task = {"task", "execution", "await", "return"}
    process = {name: value for name, value in members.items() if name not in of_the_task}
    return {"image": image, **process}, {
        name: value for name, value in members.items() if name in of_the_task
    }


@contextlib.asynccontextmanager
async def running(engine: DockerStub, **settings: Any) -> AsyncIterator[Run]:
    run = Run(engine, **settings)
    try:
        yield run
    finally:
        await run.runner.executor.aclose()


def created(engine: DockerStub) -> dict[str, Any]:
    (request,) = engine.asked("POST /containers/create")
    body: dict[str, Any] = request.body
    return body


def test_it_is_installed_as_a_plugin() -> None:
    assert load_executor("container") is ContainerExecutor


async def test_a_container_gives_its_output(run: Run) -> None:
    assert await run() == "hello"
    assert run.engine.removed == []  # a container is kept unless its lifetime says otherwise


async def test_an_answer_may_come_byte_by_byte(run: Run) -> None:
    run.engine.in_pieces = True
    assert await run() == "hello"


async def failing(container: Container) -> int:
    await container.write("out\n")
    await container.write("err\n", ERR)
    return 3


@pytest.mark.parametrize(
    ("returns", "expected"),
    [("code", 3), ("all", {"code": 3, "stdout": "out", "stderr": "err"})],
)
async def test_what_is_returned(returns: str, expected: Any, run: Run) -> None:
    run.engine.programs["failing"] = failing
    assert await run("failing", **{"return": returns}) == expected


async def test_a_container_that_fails_is_an_error(run: Run) -> None:
    run.engine.programs["failing"] = failing
    error = await run.fails("failing")
    assert (short(error), error.detail) == (("runtime", 500), "exit code 3: err")


async def echo(container: Container) -> int:
    await container.write(container.stdin)
    return 0


async def test_input_is_handed_over(run: Run) -> None:
    run.engine.programs["echo"] = echo
    text = "x" * 3_000_000
    assert await run("echo", stdin=text) == text
    assert run.engine.asked("POST /containers/c1/attach")[0].upgrade


async def test_a_container_need_not_read_its_input(run: Run) -> None:
    run.engine.programs["deaf"] = run.engine.programs["hello"]
    run.engine.deaf.add("deaf")
    assert await run("deaf", stdin="x" * 10_000_000) == "hello"


async def test_a_command_runs_in_the_shell_of_the_image_with_its_arguments(run: Run) -> None:
    await run(command='echo "$1"', arguments=["a b", 2], environment={"A": 1})
    body = created(run.engine)
    assert body["Entrypoint"] == ["sh", "-c", 'echo "$1"', "sh"]
    assert body["Cmd"] == ["a b", "2"]
    assert "A=1" in body["Env"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [({"Entrypoint": ["tool"], "Cmd": ["--help"]}, ["x"]), ({"Cmd": ["tool"]}, ["tool", "x"])],
)
async def test_arguments_alone_go_to_the_program_of_the_image(
    config: dict[str, Any], expected: list[str], run: Run
) -> None:
    run.engine.configs["hello"] = config
    await run(arguments=["x"])
    assert created(run.engine)["Cmd"] == expected
    assert "Entrypoint" not in created(run.engine)


async def test_ports_are_published_on_loopback_unless_an_address_is_given(run: Run) -> None:
    await run(ports={"8080": 80, "0.0.0.0:53": "53/udp"})
    body = created(run.engine)
    assert body["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "53"}],
    }
    assert body["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}


async def test_volumes_are_bound(run: Run) -> None:
    await run(volumes={"/srv/data": "/data:ro", "cache": "/cache"})
    assert created(run.engine)["HostConfig"]["Binds"] == ["/srv/data:/data:ro", "cache:/cache"]


async def test_a_container_says_what_it_belongs_to(run: Run) -> None:
    await run(execution="e-1", task="e-1.abc.2")
    (request,) = run.engine.asked("POST /containers/create")
    assert request.query["name"] == "sample-e-1-abc-2.test-step"
    assert request.body["Labels"]["io.flunq.execution"] == "e-1"
    assert request.body["Labels"]["io.flunq.task"] == "e-1.abc.2"
    assert request.body["Labels"]["io.flunq.workflow"] == "test/sample"
    assert "FLUNQ_EXECUTION=e-1" in request.body["Env"]


async def test_a_container_gets_the_name_that_is_given(run: Run) -> None:
    await run(name="mine", task="a")
    assert [each.name for each in run.engine.containers.values()] == ["mine"]
    error = await run.fails(name="mine", task="b")
    assert short(error) == ("configuration", 409)


async def test_what_the_engine_keeps_of_the_output_is_limited(run: Run) -> None:
    await run()
    log = created(run.engine)["HostConfig"]["LogConfig"]
    assert (log["Type"], int(log["Config"]["max-size"])) == ("json-file", 1 << 30)
    run.engine.log_driver = "journald"
    async with running(run.engine) as other:
        await other(task="other")
    last = run.engine.asked("POST /containers/create")[-1].body
    assert last["HostConfig"]["LogConfig"] == {}


# --- images -----------------------------------------------------------------------------------


def pulls(engine: DockerStub) -> list[dict[str, str]]:
    return [request.query for request in engine.asked("POST /images/create")]


async def test_an_image_is_pulled_if_it_is_not_there(run: Run) -> None:
    run.engine.registry["new:latest"] = run.engine.programs["hello"]
    assert await run("new", task="a") == "hello"
    assert await run("new", task="b") == "hello"
    assert pulls(run.engine) == [{"fromImage": "new", "tag": "latest"}]


async def test_an_image_can_be_pulled_each_time(run: Run) -> None:
    name = "registry.example:5000/team/new:1"
    run.engine.registry[name] = run.engine.programs["hello"]
    for task in ("a", "b"):
        await run(name, task=task, pullPolicy="always")
    assert pulls(run.engine) == [{"fromImage": name}] * 2


async def test_an_image_need_not_be_pulled_ever(run: Run) -> None:
    run.engine.registry["new:latest"] = run.engine.programs["hello"]
    error = await run.fails("new", pullPolicy="never")
    assert short(error) == ("configuration", 404)
    assert pulls(run.engine) == []


async def test_an_image_that_cannot_be_pulled_is_an_error(run: Run) -> None:
    error = await run.fails("nowhere/to/be:found")
    assert short(error) == ("communication", 502)
    assert "manifest for nowhere/to/be:found not found" in str(error.detail)


# --- lifetime ---------------------------------------------------------------------------------


@pytest.mark.parametrize("image", ["hello", "failing"])
async def test_a_container_is_removed_when_its_lifetime_says_so(image: str, run: Run) -> None:
    run.engine.programs["failing"] = failing
    await run(image, lifetime=ALWAYS, **{"return": "code"})
    await eventually(lambda: run.engine.removed == ["c1"])


async def test_a_container_is_removed_later(run: Run) -> None:
    lifetime = {"cleanup": "eventually", "after": {"milliseconds": 50}}
    assert await run(lifetime=lifetime) == "hello"
    assert created(run.engine)["Labels"]["io.flunq.cleanup-after"] == "0.05"
    await eventually(lambda: run.engine.removed == ["c1"])


async def test_another_node_removes_what_one_has_left(engine: DockerStub) -> None:
    lifetime = {"cleanup": "eventually", "after": "PT1H"}
    async with running(engine) as first:
        await first(lifetime=lifetime, task="a")
        await first("endless", lifetime=lifetime, task="b", **{"await": False})
        await first(task="c")
    assert engine.removed == ["c2"]  # which nobody awaits, so it ends with its node
    async with running(engine) as second:
        await second(task="d")
        await eventually(lambda: engine.removed == ["c2", "c1"])
    assert sorted(engine.containers) == ["c3", "c4"]


async def test_a_withdrawn_container_is_killed_and_removed(run: Run) -> None:
    task = asyncio.create_task(run("endless"))
    await eventually(lambda: run.engine.asked("GET /containers/c1/logs"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert run.engine.removed == ["c1"]


async def test_a_container_is_removed_though_nobody_heard_of_its_creation(run: Run) -> None:
    run.engine.refusals["/containers/create"] = RefusalError(500, "lost on the way")
    await run.fails(task="a")
    run.engine.refusals["/start"] = RefusalError(400, "exec: nope: not found")
    error = await run.fails(task="b")
    assert (short(error), error.detail) == (("configuration", 400), "exec: nope: not found")
    assert run.engine.removed == ["c1"]


async def test_nobody_waits_for_a_container_that_is_not_awaited(run: Run) -> None:
    assert await run("endless", **{"await": False}) is None
    assert await run("endless", **{"await": False}) is None  # delivered again
    assert list(run.engine.containers) == ["c1"]
    await run.engine.containers["c1"].end(0)
    await eventually(lambda: run.engine.asked("POST /containers/c1/wait"))


async def test_endless_output_is_an_error_and_ends_the_container(engine: DockerStub) -> None:
    async def chatty(container: Container) -> int:
        while True:
            await container.write(b"x" * 10_000)
            await asyncio.sleep(0)

    engine.programs["chatty"] = chatty
    async with running(engine, max_body=1 << 20) as run:
        error = await run.fails("chatty")
    assert short(error) == ("runtime", 500)
    assert "larger than 1048576 bytes" in str(error.detail)
    assert engine.removed == ["c1"]


# --- deliveries -------------------------------------------------------------------------------


async def test_a_task_that_is_delivered_again_goes_on_with_its_container(
    engine: DockerStub,
) -> None:
    async with running(engine) as first:
        task = asyncio.create_task(first("endless", task="same"))
        await eventually(lambda: engine.asked("GET /containers/c1/logs"))
        async with running(engine) as second:
            again = asyncio.create_task(second("endless", task="same"))
            await eventually(lambda: len(engine.asked("GET /containers/c1/logs")) == 2)
            await engine.containers["c1"].write("over\n")
            await engine.containers["c1"].end(0)
            assert await again == "running\nover"
        await task
    assert len(engine.asked("POST /containers/create")) == 1


async def test_the_result_of_a_container_that_has_ended_meanwhile_is_taken(run: Run) -> None:
    assert await run(task="same") == "hello"
    assert await run(task="same") == "hello"
    assert len(run.engine.asked("POST /containers/c1/start")) == 1


async def test_another_attempt_is_another_container(run: Run) -> None:
    await run(task="e.step.1")
    await run(task="e.step.2")
    assert len(run.engine.containers) == 2


async def test_a_container_that_lost_its_input_is_started_anew(run: Run) -> None:
    run.engine.programs["echo"] = echo
    await run("echo", stdin="a", task="same")
    await run("echo", stdin="a", task="same")
    assert run.engine.removed == ["c1"]
    assert list(run.engine.containers) == ["c2"]


# --- what is wrong ----------------------------------------------------------------------------


async def test_without_an_engine_the_error_says_what_to_do(tmp_path: Path) -> None:
    for environment in ({"DOCKER_HOST": f"unix://{tmp_path}/none"}, {"DOCKER_HOST": "ssh://x"}):
        runner = Runner(ContainerExecutor(environment))
        error = await runner.fails("container", {"image": "hello"})
        await runner.executor.aclose()
        assert short(error) == ("configuration", 400)
        assert "start Docker or Podman" in str(error.detail)


async def test_an_engine_that_goes_away_is_a_communication_error(run: Run) -> None:
    task = asyncio.create_task(run.fails("endless"))
    await eventually(lambda: run.engine.asked("GET /containers/c1/logs"))
    await run.engine.__aexit__()
    assert short(await task)[0] == "communication"


@pytest.mark.parametrize(
    "members",
    [
        {"image": ""},
        {"pullPolicy": "sometimes"},
        {"lifetime": {"cleanup": "later"}},
        {"lifetime": {"cleanup": "eventually"}},
        {"ports": {"http": 80}},
        {"volumes": {"./data": "/data"}},
        {"volumes": {"/data": "data"}},
        {"arguments": "x"},
    ],
)
async def test_what_makes_no_sense_is_refused(members: dict[str, Any], run: Run) -> None:
    assert short(await run.fails(**members)) == ("validation", 400)
    assert run.engine.asked("POST /containers/create") == []


async def test_containers_have_to_be_allowed(engine: DockerStub) -> None:
    async with running(engine, programs=False) as run:
        assert short(await run.fails()) == ("authorization", 403)
    assert engine.requests == []


def test_the_engine_is_found_by_its_socket(tmp_path: Path) -> None:
    here = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    named = {"DOCKER_HOST": "tcp://engine.example:1234", **here}
    assert find_endpoint(named) == Endpoint(host="engine.example", port=1234)
    secure = named | {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certificates"}
    assert find_endpoint(secure).certificates == "/certificates"
    podman = find_endpoint({"CONTAINER_HOST": "unix:///run/podman/podman.sock"})
    assert podman.path == "/run/podman/podman.sock"


# --- streams ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_chunks_can_be_cut_anywhere(size: int) -> None:
    body = b"3\r\nabc\r\n0A;x=y\r\n0123456789\r\n1\r\n\n\r\n0\r\n\r\n"
    chunks = Chunks()
    found = b"".join(chunks.feed(body[n : n + size]) for n in range(0, len(body), size))
    assert (found, chunks.ended) == (b"abc0123456789\n", True)


@pytest.mark.parametrize("body", [b"x\r\n", b"1" * 2000])
def test_what_are_no_chunks_is_an_error(body: bytes) -> None:
    with pytest.raises(StreamError):
        Chunks().feed(body)


@pytest.mark.parametrize("size", [1, 5, 9, 1000])
def test_outputs_can_be_cut_anywhere(size: int) -> None:
    stream = b"\1\0\0\0\0\0\0\3abc" + b"\2\0\0\0\0\0\0\1e" + b"\1\0\0\0\0\0\0\0"
    outputs = Outputs()
    found = [outputs.feed(stream[n : n + size]) for n in range(0, len(stream), size)]
    assert b"".join(out for out, _ in found) == b"abc"
    assert b"".join(err for _, err in found) == b"e"
