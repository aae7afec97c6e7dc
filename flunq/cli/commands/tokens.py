"""``flunq tokens``: who may use the HTTP API."""

from __future__ import annotations

import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import diagnostics, output
from flunq.cli.engine import as_rows, connected, for_people
from flunq.cli.options import YesOption, confirm, parse_duration
from flunq.cli.session import current, settings
from flunq.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from flunq.core.access import Rotated, TokenView

app = typer.Typer(
    help="Issue, list and revoke tokens of the HTTP API.\n\n"
    "$ flunq tokens create --name ci --role operator --expires 30d\n\n$ flunq tokens list"
)
NEVER = "never"


class TokenRole(StrEnum):
    """What a token permits; each includes the one before."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


NameOption = Annotated[str, typer.Option("--name", metavar="TEXT", help="Whose it is.")]


@app.command("create")
async def create(
    name: NameOption,
    role: Annotated[
        TokenRole,
        typer.Option("--role", metavar="viewer|operator|admin", help="What it permits."),
    ] = TokenRole.OPERATOR,
    expires: Annotated[
        str, typer.Option("--expires", metavar="30d|never", help="How long it counts.")
    ] = "30d",
) -> None:
    """Issue a token and print it; it cannot be shown again.

    $ flunq tokens create --name ci --role operator --expires 30d

    $ flunq tokens create --name grafana --role viewer --tenant acme --expires never -o json

    A viewer reads. An operator also starts and steers executions, publishes events and registers
    workflows. An admin also tends secrets, tokens and schedules; admins of the first tenant of a
    cluster also tend its tenants. Without --tenant it is for the tenant that you act for.
    """
    from flunq.cli.rendering.access import issued_json

    async with connected() as client:
        issued = await client.tokens.create(name, role.value, lifetime=_lifetime(expires), by=_me())
    output.emit(issued_json(issued), plain=issued.token)
    if for_people():
        view = issued.view
        diagnostics.say(f"{view.role} of tenant {view.tenant}; id {view.id}")


@app.command("list")
async def list_(
    every: Annotated[bool, typer.Option("--all", help="Those of all tenants.")] = False,
) -> None:
    """List the tokens that were issued; never the tokens themselves.

    $ flunq tokens list
    """
    from flunq.cli.rendering.access import TOKEN_COLUMNS, token_json

    async with connected() as client:
        found = await client.tokens.list(None if every else client.tenant)
    now = time.time()
    output.emit([token_json(view, now) for view in found], columns=TOKEN_COLUMNS)
    if not found and as_rows():
        diagnostics.say("no tokens; issue one with: flunq tokens create --name NAME")


@app.command("show")
async def show(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The token's id.")] = None,
    token_file: Annotated[
        str | None,
        typer.Option("--token-file", metavar="FILE|-", help="Read a token and say what it says."),
    ] = None,
) -> None:
    """Show a token by its id, or say what a token says: the one in use unless a file is named.

    $ flunq tokens show 3f2a9c0d1e4b5a67

    $ flunq tokens show --token-file ci.token

    What a token says is read, not verified.
    """
    if id is not None:
        await _show_record(id)
        return
    from flunq.cli.rendering.access import moment
    from flunq.services.identity import jws

    parts = jws.split(_token(token_file))
    claims = jws.parse_object(parts.payload)
    for name in ("iat", "nbf", "exp"):
        if isinstance(claims.get(name), (int, float)):
            claims[name] = moment(claims[name])
    output.emit({"algorithm": parts.algorithm, "key": parts.key_id, **claims})


@app.command("revoke")
async def revoke(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The token's id.")] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", help="All tokens of this name.")
    ] = None,
    yes: YesOption = False,
) -> None:
    """Let a token count no more, at once and for ever.

    $ flunq tokens revoke 3f2a9c0d1e4b5a67 --yes

    $ flunq tokens revoke --name ci --yes
    """
    from flunq.cli.rendering.access import token_json

    if (id is None) == (name is None):
        raise UsageError("name one token by its id, or all of a name with --name")
    confirm(f"revoke {id or f'all tokens of {name}'}?", yes=yes)
    async with connected() as client:
        gone = await client.tokens.revoke(id=id or "", name=name or "", tenant=client.tenant)
    now = time.time()
    output.emit(
        [token_json(view, now) for view in gone],
        plain="\n".join(f"{view.id} {view.name} revoked" for view in gone),
    )


@app.command("rotate")
async def rotate(
    revoke_old: Annotated[
        bool, typer.Option("--revoke-old", help="Refuse every token issued so far.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Sign new tokens with a new key; those issued so far stay good unless --revoke-old.

    $ flunq tokens rotate

    $ flunq tokens rotate --revoke-old --yes

    With --revoke-old the context in use gets a new token of its own.
    """
    if revoke_old:
        confirm("refuse every token that was issued so far?", yes=yes)
    loaded = settings()
    mine = loaded.context if loaded.context is not None and loaded.context.token else None
    async with connected() as client:
        rotated = await client.tokens.rotate(
            revoke_old=revoke_old, renew=revoke_old and mine is not None
        )
    if mine is not None and rotated.renewed is not None:
        _keep(mine.name, rotated.renewed.token)
    shown = {"key": rotated.key, "old": rotated.old, "revoked": rotated.revoked}
    output.emit(shown, plain=_rotated(rotated))


def _rotated(rotated: Rotated) -> str:
    old = "refused" if rotated.revoked else "verified until they expire"
    lines = [f"new tokens are signed with {rotated.key}; those of older keys are {old}"]
    if rotated.renewed is not None:
        lines.append("the context in use has a new token")
    return "\n".join(lines)


async def _show_record(id: str) -> None:
    from flunq.cli.rendering.access import token_json

    async with connected() as client:
        found = [view for view in await client.tokens.list() if _is(view, id)]
    if not found:
        raise NotFoundError(f"there is no token {id!r}", hint="flunq tokens list")
    output.emit(token_json(found[0], time.time()))


def _is(view: TokenView, id: str) -> bool:
    return view.id == id


def _keep(context: str, token: str) -> None:
    """Put a new token where the old one was: in the context and, if it is here, the cluster."""
    import msgspec

    from flunq.contexts import ContextStore
    from flunq.services.supervising.layout import DataDirectory
    from flunq.services.supervising.secrets import replace_token

    store = ContextStore()
    found = store.get(context)
    store.save(msgspec.structs.replace(found, token=token))
    if found.data_dir is not None:
        credentials = DataDirectory(Path(found.data_dir)).credentials
        if credentials.is_file():
            replace_token(credentials, token)


def _lifetime(expires: str) -> int | None:
    if expires == NEVER:
        return None
    seconds = int(parse_duration(expires))
    if seconds < 1:
        raise UsageError("the token would have expired already", hint="--expires 30d")
    return seconds


def _me() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _token(file: str | None) -> str:
    if file is None:
        known: Any = settings().token
        if not known:
            raise UsageError(
                f"which token? the context {current().context or 'in use'} has none",
                hint="name a file with --token-file",
            )
        return str(known)
    try:
        content = sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}") from error
    return content.strip()
