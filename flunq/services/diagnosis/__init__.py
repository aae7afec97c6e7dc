"""The checks of ``flunq doctor``: this machine, the installation, the cluster."""

from __future__ import annotations

from flunq.services.diagnosis.checks import Check, Outcome, run_checks

__all__ = ["Check", "Outcome", "run_checks"]
