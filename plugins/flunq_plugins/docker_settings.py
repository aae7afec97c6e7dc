"""What a container is created with: from the task's arguments to the engine's terms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flunq_plugins.process_arguments import mapping, text
from flunq_plugins.process_child import invalid

if TYPE_CHECKING:
    from flunq.sdk.executor import Call
    from flunq_plugins.process_arguments import Asked

EXECUTION, TASK, KEY = "io.flunq.execution", "io.flunq.task", "io.flunq.key"
WORKFLOW = "io.flunq.workflow"
CLEANUP = "io.flunq.cleanup-after"
"""Labels. The last says after how many seconds from its end a container is to be removed."""
POLICIES = ("ifNotPresent", "always", "never")
_UNSUITABLE = re.compile(r"[^A-Za-z0-9_.-]+")
_LOOPBACK = "127.0.0.1"
_MAX_NAME = 200
_LOG_FACTOR = 16
"""What the engine keeps of an output, compared with what is taken of it; short lines weigh more."""


def labels(call: Call, asked: Asked) -> dict[str, str]:
    """Return how a container is found again."""
    origin, after = asked.origin, cleanup_after(asked)
    found = {
        EXECUTION: call.execution,
        TASK: call.task,
        KEY: call.key,
        WORKFLOW: f"{origin.get('namespace', '')}/{origin.get('workflow', '')}",
    }
    return found if after is None else found | {CLEANUP: f"{after:g}"}


def name(call: Call, asked: Asked) -> str:
    """Return the given name, or the one that the DSL recommends, of this attempt alone."""
    given = text(asked.process.get("name"))
    if given:
        return given
    origin = asked.origin
    parts = [str(origin.get(part, "")) for part in ("workflow", "namespace", "task")]
    parts.append(call.task.replace(".", "-"))
    workflow, namespace, task, attempt = (_UNSUITABLE.sub("-", part) for part in parts)
    return f"{workflow}-{attempt}.{namespace}-{task}".lstrip("-._")[:_MAX_NAME]


def body(call: Call, asked: Asked, image: dict[str, Any]) -> dict[str, Any]:
    """Return the request that creates the container; ``image`` is the image's configuration."""
    reads = bool(asked.stdin)
    ports = _ports(asked)
    return {
        "Image": asked.required("image"),
        **_program(asked, image),
        "Env": [f"{name}={value}" for name, value in asked.environment(call).items()],
        "Labels": labels(call, asked),
        "OpenStdin": reads,
        "StdinOnce": reads,
        "AttachStdin": reads,
        "Tty": False,
        "ExposedPorts": {port: {} for port in ports},
        "HostConfig": {"Binds": _binds(asked), "PortBindings": ports},
    }


def _program(asked: Asked, image: dict[str, Any]) -> dict[str, Any]:
    """Return what to run: the command in the image's shell, or the image's own program."""
    arguments = asked.arguments
    if asked.process.get("command"):
        return {"Entrypoint": ["sh", "-c", asked.required("command"), "sh"], "Cmd": arguments}
    if not arguments:
        return {}
    if image.get("Entrypoint"):
        return {"Cmd": arguments}
    return {"Cmd": [*(image.get("Cmd") or []), *arguments]}


def _ports(asked: Asked) -> dict[str, list[dict[str, str]]]:
    """Return the bindings of ``host: container`` ports; without an address on loopback only."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for published, inside in asked.pairs("ports").items():
        address, _, port = published.rpartition(":")
        number, _, protocol = inside.partition("/")
        if not (port.isdigit() and number.isdigit()):
            raise invalid(f"ports: {published}: {inside} is not HOST: CONTAINER in numbers")
        binding = {"HostIp": address.strip("[]") or _LOOPBACK, "HostPort": port}
        bindings.setdefault(f"{number}/{protocol or 'tcp'}", []).append(binding)
    return bindings


def _binds(asked: Asked) -> list[str]:
    """Return the binds of ``host: container`` folders, or named volumes."""
    binds = []
    for source, target in asked.pairs("volumes").items():
        is_path = "/" in source
        if ":" in source or (is_path and not source.startswith("/")) or not target.startswith("/"):
            raise invalid(
                f"volumes: {source}: {target} is not an absolute path or the name of a volume, "
                "and an absolute path in the container"
            )
        binds.append(f"{source}:{target}")
    return binds


def log_settings(driver: str, limit: int) -> dict[str, Any]:
    """Return how the engine keeps the output: on the disk, so it must not be without end."""
    # Podman does not name its driver, and its usual one knows no limit.
    known = driver or "k8s-file"
    if known not in ("json-file", "local", "k8s-file"):
        return {}
    return {"Type": known, "Config": {"max-size": str(limit * _LOG_FACTOR)}}


def pull_policy(asked: Asked) -> str:
    """Return when the image is pulled."""
    policy = text(asked.process.get("pullPolicy")) or POLICIES[0]
    if policy not in POLICIES:
        raise invalid(f"container.pullPolicy must be one of {', '.join(POLICIES)}")
    return policy


def cleanup_after(asked: Asked) -> float | None:
    """Return after how many seconds from its end the container is removed; None: never."""
    from flunq.sdk.durations import seconds

    lifetime = mapping(asked.process.get("lifetime") or {}, "container.lifetime")
    cleanup = lifetime.get("cleanup") or "never"
    if cleanup == "always":
        return 0.0
    if cleanup == "eventually":
        return seconds(lifetime.get("after"), "container.lifetime.after")
    if cleanup != "never":
        raise invalid("container.lifetime.cleanup must be one of always, never, eventually")
    return None
