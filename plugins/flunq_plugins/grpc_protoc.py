"""Run as a script: compiles proto files inside limits and ends.

``python -I grpc_protoc.py FOLDER ENTRY MEMORY CPU_SECONDS`` writes ``FOLDER/descriptors`` and
``FOLDER/errors``. A proto file is a stranger's input to a C++ parser, so it never meets one in the
process of an executor.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

OUTPUT = "descriptors"
ERRORS = "errors"
MAX_OUTPUT = 16 * 1024 * 1024


def main(folder: str, entry: str, memory: int, cpu_seconds: int) -> int:
    """Compile one file with all that it imports; return the compiler's exit code."""
    _limit(memory, cpu_seconds)
    with Path(folder, ERRORS).open("wb") as errors:
        os.dup2(errors.fileno(), 2)
    from grpc_tools import _protoc_compiler  # type: ignore[import-untyped]

    arguments = (
        "protoc",
        f"--proto_path={folder}/sources",
        f"--proto_path={_well_known()}",
        "--include_imports",
        f"--descriptor_set_out={folder}/{OUTPUT}",
        entry,
    )
    return int(_protoc_compiler.run_main([argument.encode() for argument in arguments]))


def _well_known() -> str:
    spec = find_spec("grpc_tools")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "_proto")


def _limit(memory: int, cpu_seconds: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_OUTPUT, MAX_OUTPUT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
