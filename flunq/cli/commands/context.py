"""``flunq context``: the clusters a user talks to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flunq.cli import diagnostics, output
from flunq.cli.editor import edit_text
from flunq.cli.options import ContextArgument, YesOption, confirm, read_text
from flunq.cli.tables import Column
from flunq.contexts import Context, ContextStore
from flunq.errors import UsageError

app = typer.Typer(help="Name the clusters you talk to and choose one.\n\n$ flunq context use prod")

NatsUrl = Annotated[str | None, typer.Option("--nats-url", metavar="URL", help="NATS address.")]
ApiUrl = Annotated[str | None, typer.Option("--api-url", metavar="URL", help="API address.")]
Tenant = Annotated[str | None, typer.Option("--default-tenant", metavar="NAME", help="Tenant.")]
User = Annotated[str | None, typer.Option("--user", metavar="NAME", help="NATS user.")]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE|-", help="File with the API token.")
]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE|-", help="File with the password.")
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Data folder of a local cluster.")
]
Ca = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", help="Authority that the servers are checked against."),
]
Production = Annotated[
    bool,
    typer.Option(
        "--production/--no-production", help="Mark it as the real thing [no].", show_default=False
    ),
]


@app.command("list")
def list_contexts() -> None:
    """List the contexts.

    $ flunq context list
    """
    store = ContextStore()
    selected = store.selected()
    rows = [
        {**context.redacted(), "selected": selected is not None and selected.name == context.name}
        for context in store.all()
    ]
    columns = [
        Column("name", whole=True),
        Column("selected"),
        Column("api_url"),
        Column("nats_url"),
        Column("tenant"),
        Column("production"),
    ]
    output.emit(rows, columns=columns)


@app.command()
def show(name: Annotated[str | None, typer.Argument(metavar="NAME")] = None) -> None:
    """Show a context, the selected one unless another is named.

    $ flunq context show prod
    """
    store = ContextStore()
    context = store.get(name) if name else store.selected()
    if context is None:
        raise UsageError("no context is selected", hint="flunq context use NAME")
    output.emit(context.redacted())


@app.command()
def add(
    name: ContextArgument,
    nats_url: NatsUrl = None,
    api_url: ApiUrl = None,
    token_file: TokenFile = None,
    user: User = None,
    password_file: PasswordFile = None,
    default_tenant: Tenant = None,
    data_dir: DataDir = None,
    ca: Ca = None,
    production: Production = False,
    use: Annotated[bool, typer.Option("--use", help="Select it too.")] = False,
) -> None:
    """Add a context, or replace the one of that name.

    $ flunq context add prod --api-url https://flunq.example.com --token-file token --production
    """
    context = Context(
        name=name,
        nats_url=nats_url,
        api_url=api_url,
        token=_secret(token_file),
        user=user,
        password=_secret(password_file),
        tenant=default_tenant,
        data_dir=str(data_dir) if data_dir else None,
        ca=str(ca.absolute()) if ca else None,
        production=production,
    )
    store = ContextStore()
    store.save(context)
    if use:
        store.select(name)
    diagnostics.say(f"saved context {name}" + ("" if use else f"; next: flunq context use {name}"))


@app.command()
def use(name: ContextArgument) -> None:
    """Select a context; - goes back to the one before.

    $ flunq context use prod

    $ flunq context use -
    """
    context = ContextStore().select(name)
    marked = " (production)" if context.production else ""
    diagnostics.say(f"using context {context.name}{marked}")


@app.command()
def edit(name: ContextArgument) -> None:
    """Edit a context in $EDITOR; it is checked before it is saved.

    $ flunq context edit prod
    """
    store = ContextStore()
    before = store.get(name)
    text = store.render(before)
    edited = edit_text(text, suffix=".toml")
    if edited == text:
        diagnostics.say("nothing changed")
        return
    store.save(store.parse(name, edited))
    diagnostics.say(f"saved context {name}")


@app.command()
def delete(name: ContextArgument, yes: YesOption = False) -> None:
    """Delete a context; the cluster itself is not touched.

    $ flunq context delete old --yes
    """
    store = ContextStore()
    store.get(name)
    confirm(f"delete context {name}?", yes=yes)
    store.delete(name)
    diagnostics.say(f"deleted context {name}")


@app.command()
def validate(
    name: ContextArgument,
    connect: Annotated[bool, typer.Option("--connect", help="Try its addresses too.")] = False,
) -> None:
    """Check that a context can be used.

    $ flunq context validate prod --connect
    """
    context = ContextStore().get(name)
    if not (context.api_url or context.nats_url):
        raise UsageError(
            "the context has no address", hint="add --api-url or --nats-url", where=name
        )
    if connect:
        _reach(context)
    output.emit(
        {"name": name, "status": "valid", "connected": connect},
        columns=[Column("name"), Column("status", kind="status"), Column("connected")],
    )


def _secret(path: Path | None) -> str | None:
    """Read a secret from a file or stdin: on the command line everybody could see it."""
    if path is None:
        return None
    return (sys.stdin.read() if str(path) == "-" else read_text(path)).strip()


def _reach(context: Context) -> None:
    import socket
    from urllib.parse import urlsplit

    from flunq.errors import UnavailableError

    for url in filter(None, (context.api_url, context.nats_url)):
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 4222)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=3).close()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            hint = "is the cluster running? flunq up"
            raise UnavailableError(f"{url}: {reason}", hint=hint, where=context.name) from None
