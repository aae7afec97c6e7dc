"""``flunq tenants``: who shares the cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import completion, diagnostics, output
from flunq.cli.engine import as_rows, connected
from flunq.cli.options import YesOption, confirm, parse_duration
from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq.core.tenancy import Access

app = typer.Typer(
    help="Share the cluster: make tenants, see what they use, take them away.\n\n"
    "$ flunq tenants create acme --quota-executions 10000\n\n$ flunq tenants list"
)
NONE = "none"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])i?)?B?", re.IGNORECASE)
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The tenant.", autocompletion=completion.tenants),
]


def _limit(flag: str, metavar: str, help: str, panel: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=help, rich_help_panel=panel)


ExecutionsOption = Annotated[
    str | None,
    _limit("--quota-executions", "N|none", "Executions that may be open at once.", "Quotas"),
]
StartsOption = Annotated[
    str | None,
    _limit("--quota-starts", "N|none", "Executions that may start in a second.", "Quotas"),
]
BytesOption = Annotated[
    str | None,
    _limit("--quota-bytes", "10GiB|none", "Bytes of its journal and large values.", "Quotas"),
]
AfterOption = Annotated[
    str | None,
    _limit("--retention-after", "30d|none", "How long ended executions stay.", "Retention"),
]
KeepOption = Annotated[
    str | None,
    _limit("--retention-keep", "N|none", "How many ended ones of each workflow stay.", "Retention"),
]


@app.command("create")
async def create(
    name: NameArgument,
    partitions: Annotated[
        int | None,
        typer.Option("--partitions", min=1, max=256, metavar="N", help="Fixed for ever."),
    ] = None,
    quota_executions: ExecutionsOption = None,
    quota_starts: StartsOption = None,
    quota_bytes: BytesOption = None,
    retention_after: AfterOption = None,
    retention_keep: KeepOption = None,
) -> None:
    """Make a tenant: streams, keys and archive of its own, and a user that sees nothing else.

    $ flunq tenants create acme

    $ flunq tenants create acme --partitions 4 --quota-executions 10000 --retention-after 30d

    The context CONTEXT-NAME is written, with the user of the tenant; hand it to whoever works
    there. A tenant that was half made when something crashed is finished.
    """
    from flunq.cli.rendering.tenants import tenant_json
    from flunq.core.tenancy import Keeping, Quotas

    quotas = _quotas(quota_executions, quota_starts, quota_bytes)
    keeping = _keeping(retention_after, retention_keep)
    async with connected() as client:
        made = await client.tenants.create(
            name, partitions=partitions, quotas=Quotas(**quotas), retention=Keeping(**keeping)
        )
    context = _save_context(made.access)
    output.emit({**tenant_json(made.tenant), "context": context}, plain=f"{name} created")
    if context is not None:
        diagnostics.say(f"act for it with: flunq -c {context} COMMAND")
    else:
        diagnostics.say(f"its user is yours to make: flunq tenants permissions {name}")


@app.command("list")
async def list_() -> None:
    """List the tenants.

    $ flunq tenants list
    """
    from flunq.cli.rendering.tenants import TENANT_COLUMNS, tenant_json, tenant_row

    async with connected() as client:
        found = await client.tenants.list()
    if as_rows():
        output.emit([tenant_row(each) for each in found], columns=TENANT_COLUMNS)
    else:
        output.emit([tenant_json(each) for each in found])


@app.command("show")
async def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="The tenant [that of the command].",
            autocompletion=completion.tenants,
        ),
    ] = None,
) -> None:
    """Show a tenant, its quotas and what it uses of them.

    $ flunq tenants show acme
    """
    from flunq.cli.rendering.tenants import view_json, view_lines

    async with connected() as client:
        view = await client.tenants.show(name or client.tenant)
    output.emit(view_json(view), plain="\n".join(view_lines(view)))


@app.command("update")
async def update(
    name: NameArgument,
    quota_executions: ExecutionsOption = None,
    quota_starts: StartsOption = None,
    quota_bytes: BytesOption = None,
    retention_after: AfterOption = None,
    retention_keep: KeepOption = None,
) -> None:
    """Change quotas and retention of a tenant; what is not named stays, none takes it away.

    $ flunq tenants update acme --quota-starts 50 --quota-bytes none

    Quotas hold at once. The retention holds when a node serves the tenant anew.
    """
    from flunq.cli.rendering.tenants import tenant_json

    quotas = _quotas(quota_executions, quota_starts, quota_bytes)
    keeping = _keeping(retention_after, retention_keep)
    if not quotas and not keeping:
        raise UsageError("nothing to change", hint="flunq tenants update --help")
    async with connected() as client:
        changed = await client.tenants.update(name, quotas=quotas, retention=keeping)
    output.emit(tenant_json(changed), plain=f"{name} changed")


@app.command("delete")
async def delete(name: NameArgument, yes: YesOption = False) -> None:
    """Delete a tenant with everything it has; nothing brings it back.

    $ flunq tenants delete acme --yes

    Its executions end where they are. What goes: its streams, workflows, schedules, secrets,
    large values, archive and user.
    """
    async with connected() as client:
        view = await client.tenants.show(name)
        what = f"{view.use.executions:,} open executions and {view.use.workflows} workflows"
        confirm(f"delete the tenant {name} with {what}, its events, archive and user?", yes=yes)
        gone = await client.tenants.delete(name)
    _forget_context(name)
    members = {"deleted": name, "streams": gone.streams, "keys": gone.keys, "archive": gone.archive}
    output.emit(members, plain=f"{name} deleted")


@app.command("permissions")
async def permissions(name: NameArgument) -> None:
    """Show what the NATS user of a tenant may do, to make it on servers of your own.

    $ flunq tenants permissions acme -o json
    """
    from flunq.cli.rendering.tenants import access_json, access_lines

    async with connected() as client:
        access = await client.tenants.access(name)
    output.emit(access_json(access), plain="\n".join(access_lines(access)))


def parse_size(value: str) -> int:
    """Read ``1048576``, ``512MiB``, ``10G`` as bytes; units are binary."""
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise UsageError(f"{value!r} is no size", hint="write 1048576, 512MiB or 10GiB")
    return int(float(match[1]) * 1024 ** _UNITS[(match[2] or "").upper()])


def _quotas(executions: str | None, starts: str | None, size: str | None) -> dict[str, Any]:
    given: dict[str, Any] = {}
    _take(given, "executions", executions, int)
    _take(given, "starts", starts, float)
    _take(given, "bytes", size, parse_size)
    return given


def _keeping(after: str | None, keep: str | None) -> dict[str, Any]:
    given: dict[str, Any] = {}
    _take(given, "after", after, parse_duration)
    _take(given, "keep", keep, int)
    return given


def _take(given: dict[str, Any], name: str, value: str | None, parse: Any) -> None:
    if value is None:
        return
    try:
        given[name] = None if value.lower() == NONE else parse(value)
    except ValueError:
        raise UsageError(f"{value!r} is no number", hint=f"a number, or {NONE}") from None


def _save_context(access: Access) -> str | None:
    """Write a context with the tenant's user beside the one in use; returns its name."""
    import msgspec

    from flunq.cli.session import settings
    from flunq.contexts import ContextStore

    used = settings().context
    if used is None or not access.password:
        return None
    context = msgspec.structs.replace(
        used,
        name=f"{used.name}-{access.tenant}",
        tenant=access.tenant,
        user=access.user,
        password=access.password,
        token=None,
        data_dir=None,
        follows=used.data_dir or used.follows,
    )
    ContextStore().save(context)
    return context.name


def _forget_context(tenant: str) -> None:
    from flunq.cli.session import settings
    from flunq.contexts import ContextStore

    used = settings().context
    if used is None:
        return
    store = ContextStore()
    name = f"{used.name}-{tenant}"
    if any(each.name == name and each.tenant == tenant for each in store.all()):
        store.delete(name)
