from __future__ import annotations

import pickle
import traceback

from flunq.errors import UnavailableError


def test_a_traceback_says_what_to_do() -> None:
    error = UnavailableError("no cluster answers", hint="flunq up", where="nats://127.0.0.1:4222")
    assert traceback.format_exception_only(error) == [
        "flunq.errors.UnavailableError: no cluster answers\n",
        "where: nats://127.0.0.1:4222\n",
        "hint: flunq up\n",
    ]


def test_an_error_from_another_process_says_the_same() -> None:
    error = UnavailableError("no cluster answers", hint="flunq up", pid=7)
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.hint, again.details) == (error.message, error.hint, {"pid": 7})
    assert traceback.format_exception_only(again) == traceback.format_exception_only(error)
