"""Settings: what they are, where they come from and which source wins.

Precedence: flag > environment > project file > context > user file > default. The project file is
the nearest ``flunq.toml``, or the nearest ``pyproject.toml`` with a ``[tool.flunq]`` table, in the
working directory or above it. Every value keeps its origin.
"""

from __future__ import annotations

import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from flunq.contexts import Context, ContextStore, config_home
from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME_PATTERN = "^[A-Za-z0-9_.-]{1,128}$"
_UNITS: dict[str, dict[str, float]] = {
    "seconds": {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400},
    "bytes": {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6},
}
_QUANTITY = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*$")
_FLAGS = {"nats_url": "--nats", "cors_origins": "--cors-origin"}
"""Flags that are not named as their settings are."""
_ENVIRONMENT = {"event_stream_type": "EVENT_STREAM_TYPE", "db_type": "DB_TYPE"}

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Count = Annotated[int, Meta(ge=1)]
Few = Annotated[int, Meta(ge=1, le=64)]
Partitions = Annotated[int, Meta(ge=1, le=256)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0, extra={"unit": "seconds"})]
Amount = Annotated[float, Meta(ge=0)]
Bytes = Annotated[int, Meta(ge=1, extra={"unit": "bytes"})]
WebOrigin = Annotated[str, Meta(pattern=r"^https?://[^/?#*\s]+$")]


def default_data() -> str:
    """The folder of the local cluster unless something else is said."""
    import platformdirs

    return str(Path(platformdirs.user_data_dir("flunq", appauthor=False)))


def default_workers() -> int:
    """One node for each core but one, which nats-server and the control process share."""
    return max(1, (os.cpu_count() or 1) - 1)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of flunq. Lengths of time are seconds or text such as "500ms", sizes bytes or
    text such as "256KiB".
    """

    tenant: Annotated[Name, Meta(description="The tenant to act for.")] = "default"
    context: Annotated[Name | None, Meta(description="The context: which cluster to talk to.")] = (
        None
    )
    nats_url: Annotated[str | None, Meta(description="Address of an existing NATS.")] = None
    api_url: Annotated[str | None, Meta(description="Address of the HTTP API.")] = None
    ca: Annotated[
        str | None, Meta(description="File with the authority that servers are checked against.")
    ] = None
    data: Annotated[str, Meta(description="Data folder of the local cluster.")] = msgspec.field(
        default_factory=default_data
    )
    durability: Annotated[
        Literal["strict", "fast"],
        Meta(description="strict: fsync before every acknowledgement; fast: every 100 ms."),
    ] = "strict"
    workers: Annotated[Few, Meta(description="Engine nodes of the local cluster.")] = msgspec.field(
        default_factory=default_workers
    )
    nodes: Annotated[Count, Meta(description="NATS servers of the local cluster.")] = 1
    replicas: Annotated[Count | None, Meta(description="Copies of each stream.")] = None
    partitions: Annotated[
        Partitions | None, Meta(description="Partitions of a new tenant, fixed for ever.")
    ] = None
    functions: Annotated[
        tuple[str, ...], Meta(description="Modules or files with Python functions.")
    ] = ()
    event_stream_type: Annotated[str, Meta(description="Backend of the streams.")] = "nats"
    db_type: Annotated[str, Meta(description="Backend of the key-value stores.")] = "nats"
    nats_server: Annotated[str | None, Meta(description="Path of the nats-server to run.")] = None
    api_port: Annotated[Port, Meta(description="Port of the HTTP API, 0 for a free one.")] = 0
    nats_port: Annotated[Port, Meta(description="Port of nats-server, 0 for a free one.")] = 0
    worker_concurrency: Annotated[Count, Meta(description="Tasks one node runs at once.")] = 256
    lease_ttl: Annotated[Seconds, Meta(description="A silent node is dead after this.")] = 3.0
    drain_timeout: Annotated[Seconds, Meta(description="Time to finish work when stopping.")] = 10.0
    egress: Annotated[
        Literal["auto", "development", "restricted"],
        Meta(description="Which addresses and programs workflows may reach."),
    ] = "auto"
    catalog: Annotated[
        str | None, Meta(description="Folder or address of the catalog called default.")
    ] = None
    programs: Annotated[
        bool | None,
        Meta(description="Whether workflows may run local programs; unless said, as egress."),
    ] = None
    program_memory: Annotated[
        Bytes, Meta(description="Memory that one process of a program may have.")
    ] = 4 * 2**30
    blob_threshold: Annotated[Bytes, Meta(description="Larger values go to the blob store.")] = (
        256 * 1024
    )
    retention_after: Annotated[
        Seconds | None,
        Meta(
            description="Ended executions are kept for so long; for ever unless set.",
            extra={"unit": "seconds"},
        ),
    ] = None
    retention_keep: Annotated[
        Count | None,
        Meta(description="So many ended executions of each workflow are kept; all unless set."),
    ] = None
    tls: Annotated[bool, Meta(description="Reach the local cluster by TLS, with its own CA.")] = (
        False
    )
    tls_hosts: Annotated[
        tuple[str, ...], Meta(description="Further names and addresses of its certificates.")
    ] = ()
    encrypt: Annotated[
        bool, Meta(description="Encrypt what the local cluster stores, from now on.")
    ] = False
    cors_origins: Annotated[
        tuple[WebOrigin, ...],
        Meta(description="Origins of web pages that may call the API: https://ops.example.com."),
    ] = ()
    body_limit: Annotated[Bytes, Meta(description="Largest body of a request to the API.")] = (
        8 * 2**20
    )
    rate_limit: Annotated[
        Amount, Meta(description="Requests per second of one token; 0: any number.")
    ] = 2000.0
    rate_burst: Annotated[
        Amount, Meta(description="Requests of one token that may come at once.")
    ] = 4000.0
    audit_keep: Annotated[Seconds, Meta(description="The audit is kept for so long.")] = (
        400 * 86400.0
    )
    oidc_issuer: Annotated[
        str | None, Meta(description="Issuer whose tokens the API takes too.")
    ] = None
    oidc_audience: Annotated[
        str | None, Meta(description="Audience that tokens of the issuer must name.")
    ] = None
    oidc_tenant_claim: Annotated[
        str, Meta(description="Claim, or path with dots, that names the tenant.")
    ] = "tenant"
    oidc_role_claim: Annotated[
        str, Meta(description="Claim, or path with dots, that names the role.")
    ] = "role"
    max_value: Annotated[Bytes, Meta(description="Largest value a workflow may hold.")] = 64 * 2**20
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level to log.")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Meta(description="Shape of the log lines of flunq serve.")
    ] = "text"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a value came from."""

    source: Literal["flag", "environment", "project", "context", "user", "default"]
    where: str | None = None
    """The variable, file or context."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in force, the origin of each and the context they were taken from."""

    settings: Settings
    origins: dict[str, Origin]
    context: Context | None = None

    @property
    def token(self) -> str | None:
        """The bearer token for the API: the environment's, else the context's."""
        return os.environ.get("FLUNQ_TOKEN") or (self.context.token if self.context else None)


class _Layer(msgspec.Struct, frozen=True, kw_only=True):
    """The values that one source gives, already converted."""

    origin: dict[str, Origin]
    values: dict[str, Any]


def load(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    store: ContextStore | None = None,
) -> Loaded:
    """Read every source and return the settings in force with the origin of each."""
    store = store or ContextStore(environ=environ)
    above = [
        _values_layer(flags or {}, "flag"),
        _environment_layer(os.environ if environ is None else environ),
        _file_layer(project_file(directory or Path.cwd()), "project"),
    ]
    user = _file_layer(_existing(config_home(environ) / "config.toml"), "user")
    named = next(
        (layer.values["context"] for layer in [*above, user] if "context" in layer.values), None
    )
    context = store.get(named) if named else store.selected()
    return _merge([*above, _context_layer(context), user], context)


def project_file(directory: Path) -> Path | None:
    """Return the nearest file with settings of this project."""
    for folder in (directory, *directory.parents):
        for name in ("flunq.toml", "pyproject.toml"):
            path = folder / name
            if path.is_file() and (name == "flunq.toml" or _has_table(path)):
                return path
    return None


def environment_name(field: str) -> str:
    """Return the environment variable of a setting."""
    return _ENVIRONMENT.get(field, f"FLUNQ_{field.upper()}")


def descriptions() -> Iterator[tuple[str, str, str]]:
    """Yield name, environment variable and description of each setting."""
    for field in msgspec.structs.fields(Settings):
        yield field.name, environment_name(field.name), _meta(field.type, "description")


def parse_quantity(raw: str, unit: Literal["seconds", "bytes"]) -> float:
    """Read ``500ms``, ``2h`` or ``256KiB``."""
    match = _QUANTITY.match(raw)
    factor = _UNITS[unit].get(match[2]) if match else None
    if match is None or factor is None:
        raise ValueError(f"{raw!r} is no amount of {unit}; use a number with one of {_known(unit)}")
    return float(match[1]) * factor


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``flunq.toml``, as ``schemas/config.json`` has it."""
    schema: dict[str, Any] = msgspec.json.schema(Settings)["$defs"]["Settings"]
    for field in msgspec.structs.fields(Settings):
        unit = _meta(field.type, "unit")
        if unit:
            member = schema["properties"][field.name]
            text = {"type": "string", "pattern": rf"^\s*\d+(\.\d+)?\s*({_known(unit, '|')})\s*$"}
            if "anyOf" in member:
                member["anyOf"].append(text)
            else:
                member |= {**text, "type": [member["type"], "string"]}
    schema.pop("required", None)
    schema.pop("title")
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "flunq.toml",
        "description": " ".join(str(schema.pop("description")).split()),
        **schema,
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(described))
    return plain


def _merge(layers: list[_Layer], context: Context | None) -> Loaded:
    values: dict[str, Any] = {}
    origins = {field: Origin(source="default") for field in Settings.__struct_fields__}
    for layer in reversed(layers):
        values.update(layer.values)
        origins.update(layer.origin)
    if context is not None:
        values.setdefault("context", context.name)
    return Loaded(settings=Settings(**values), origins=origins, context=context)


def _values_layer(
    given: Mapping[str, object], source: Literal["flag", "context"], where: str | None = None
) -> _Layer:
    values = {
        name: _convert(name, value, _flag(name) if source == "flag" else f"{source} {name}")
        for name, value in given.items()
    }
    return _Layer(values=values, origin=dict.fromkeys(values, Origin(source=source, where=where)))


def _environment_layer(environ: Mapping[str, str]) -> _Layer:
    names = {name: environment_name(name) for name in Settings.__struct_fields__}
    present = {name: variable for name, variable in names.items() if environ.get(variable)}
    return _Layer(
        values={
            name: _convert(name, environ[variable], variable) for name, variable in present.items()
        },
        origin={
            name: Origin(source="environment", where=variable) for name, variable in present.items()
        },
    )


def _file_layer(path: Path | None, source: Literal["project", "user"]) -> _Layer:
    if path is None:
        return _Layer(values={}, origin={})
    table = _read_toml(path)
    if path.name == "pyproject.toml":
        table = table["tool"]["flunq"]
    values = {}
    for key, raw in table.items():
        _check_known(key, path)
        values[key] = _from_folder(key, _convert(key, raw, f"{path}: {key}"), path.parent)
    return _Layer(
        values=values, origin=dict.fromkeys(values, Origin(source=source, where=str(path)))
    )


def _context_layer(context: Context | None) -> _Layer:
    if context is None:
        return _Layer(values={}, origin={})
    given = {
        "tenant": context.tenant,
        "nats_url": context.nats_url,
        "api_url": context.api_url,
        "data": context.data_dir,
        "ca": context.ca,
    }
    present = {name: value for name, value in given.items() if value is not None}
    layer = _values_layer(present, "context", context.name)
    origin = {**layer.origin, "context": Origin(source="context", where="selected")}
    return _Layer(values={**layer.values, "context": context.name}, origin=origin)


def _from_folder(key: str, value: Any, folder: Path) -> Any:
    """Relative paths in a file are relative to that file."""
    if key in ("data", "ca"):
        return str(folder / value)
    if key == "functions":
        return tuple(str(folder / item) if item.endswith(".py") else item for item in value)
    return value


def _flag(name: str) -> str:
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def _convert(name: str, raw: Any, where: str) -> Any:
    field = next((f for f in msgspec.structs.fields(Settings) if f.name == name), None)
    if field is None:
        raise UsageError(f"there is no setting {name!r}", where=where)
    try:
        return _converted(field.type, raw)
    except (msgspec.ValidationError, ValueError) as error:
        if (known := _choices(field.type)) and raw not in known:
            raise UsageError(
                f"{raw!r} is no {name}", where=where, hint=f"one of {', '.join(known)}"
            ) from None
        if where.startswith("--"):
            raise UsageError(f"{where}: {_plainly(error, raw)}") from None
        raise UsageError(f"{name}: {_plainly(error, raw)}", where=where) from None


def _choices(kind: Any) -> list[str]:
    """Return the words that a setting can be, if it is one of a few."""
    wanted = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return list(get_args(wanted)) if get_origin(wanted) is Literal else []


def _plainly(error: Exception, raw: Any) -> str:
    """Say what is wrong in the user's words rather than in those of the type."""
    text = str(error).replace("`int`", "a whole number").replace("`float`", "a number")
    text = text.replace("got `str`", f"got {raw!r}")
    return text[:1].lower() + text[1:].replace("`", "")


def _converted(kind: Any, raw: Any) -> Any:
    unit = _meta(kind, "unit")
    if isinstance(raw, str) and unit and _QUANTITY.match(raw):
        amount = parse_quantity(raw, unit)
        raw = int(amount) if unit == "bytes" else amount
    elif isinstance(raw, str) and get_origin(get_args(kind)[0]) is tuple:
        raw = [part.strip() for part in raw.split(",") if part.strip()]
    return msgspec.convert(raw, kind, strict=not isinstance(raw, str))


def _meta(kind: Any, key: str) -> Any:
    """Return what the annotations of a setting say under a name."""
    for meta in getattr(kind, "__metadata__", ()):
        value = (meta.extra or {}).get(key) or getattr(meta, key, None)
        if value:
            return value
    return None


def _known(unit: str, separator: str = ", ") -> str:
    return separator.join(_UNITS[unit])


def _check_known(key: str, path: Path) -> None:
    known = Settings.__struct_fields__
    if key not in known:
        match = get_close_matches(key, known, n=1)
        hint = f"did you mean {match[0]}?" if match else "flunq help environment lists the settings"
        raise UsageError(f"unknown setting {key!r}", hint=hint, where=str(path))


def _has_table(path: Path) -> bool:
    return "flunq" in _read_toml(path).get("tool", {})


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not valid TOML: {error}", where=str(path)) from None
