'''One module per command, imported when it is used; :mod:`flunq.cli.table` names them.

A module exposes ``command`` (one function) or ``app`` (a ``typer.Typer()`` with several)::

    """``flunq result``: print the output of an execution."""

    from __future__ import annotations

    from flunq.cli import output
    from flunq.cli.options import IdArgument, TimeoutOption
    from flunq.cli.progress import progress
    from flunq.cli.session import settings


    async def command(execution: IdArgument, timeout: TimeoutOption = None) -> None:
        """Print the output of an execution, waiting for it if need be.

        $ flunq result order-123 --timeout 30s
        """
        from flunq.client import connect  # heavy imports go inside the function

        async with connect(settings()) as client:
            with progress(f"waiting for {execution}"):
                result = await client.result(execution, timeout)
        output.emit(result)

Rules:

- The function may be ``async``; Ctrl-C cancels it and the exit code is 130. A command that runs
  until it is stopped is a plain function that calls ``run_async(..., on_interrupt=ExitCode.DONE)``.
- Lines of the docstring that begin with ``$`` are the examples that the help starts with.
- ``-o --time -c -t -q -v --color --progress --debug`` exist everywhere already: do not declare
  them. Read ``session.current()``, or ``settings(workers=workers, ...)`` for all settings with the
  command's own flags on top.
- Data goes out through ``output.emit(value, columns=[Column("id", whole=True), ...])`` or, for a
  stream, ``output.Lines(line)``; words go out through ``diagnostics.say`` (silent with ``-q``),
  ``diagnostics.warn`` and ``diagnostics.detail`` (``-v``). ``print`` and ``typer.echo`` are banned.
- Failures are raised: the errors of :mod:`flunq.errors` become the line, the hint, the problem
  object and the exit code. A command that printed its result and still has to fail (``run`` of a
  faulted execution) returns an ``ExitCode``.
- Shared options are types in :mod:`flunq.cli.options`. At most one positional argument.
'''
