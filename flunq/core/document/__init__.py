"""The DSL document, compiled for execution: see ``compiler`` and ``model``."""
