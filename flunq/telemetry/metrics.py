"""Counters, gauges and histograms with the Prometheus text exposition; nothing else.

Metrics are made once, at import or start; a labelled child is cached by its label values, so
that counting costs one dictionary look-up at most.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DEFAULT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Labels = tuple[tuple[str, str], ...]


class Counter:
    """A number that only grows."""

    kind = "counter"

    def __init__(self) -> None:
        self.value = 0.0
        self._source: Callable[[], float] | None = None

    def read_from(self, source: Callable[[], float]) -> None:
        """Ask ``source``, which only grows, whenever the metrics are read."""
        self._source = source

    def inc(self, amount: float = 1) -> None:
        """Add to it."""
        self.value += amount

    def samples(self, name: str, labels: Labels) -> Iterator[str]:
        """Yield its lines of the exposition."""
        value = self._source() if self._source is not None else self.value
        yield f"{name}{_render(labels)} {_number(value)}"


class Gauge:
    """A number that goes up and down, set or asked for when it is read."""

    kind = "gauge"

    def __init__(self) -> None:
        self.value = 0.0
        self._source: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        """Replace the value."""
        self.value = value

    def read_from(self, source: Callable[[], float]) -> None:
        """Ask ``source`` whenever the metrics are read."""
        self._source = source

    def samples(self, name: str, labels: Labels) -> Iterator[str]:
        """Yield its lines of the exposition."""
        value = self._source() if self._source is not None else self.value
        yield f"{name}{_render(labels)} {_number(value)}"


class Histogram:
    """How values are distributed over buckets."""

    kind = "histogram"

    def __init__(self, buckets: Sequence[float] = DEFAULT_BUCKETS) -> None:
        self._bounds = tuple(buckets)
        self._counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0

    @property
    def count(self) -> int:
        """How many values were seen."""
        return sum(self._counts)

    def observe(self, value: float) -> None:
        """Add a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def samples(self, name: str, labels: Labels) -> Iterator[str]:
        """Yield its lines of the exposition."""
        seen = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            seen += count
            edge = "+Inf" if bound == float("inf") else _number(bound)
            yield f"{name}_bucket{_render((*labels, ('le', edge)))} {seen}"
        yield f"{name}_sum{_render(labels)} {_number(self.total)}"
        yield f"{name}_count{_render(labels)} {seen}"


Metric = Counter | Gauge | Histogram


class Registry:
    """The metrics of one process."""

    def __init__(self) -> None:
        self._help: dict[str, str] = {}
        self._metrics: dict[str, dict[Labels, Metric]] = {}

    def counter(self, name: str, help_text: str, /, **labels: str) -> Counter:
        """Return the counter with these labels, making it the first time."""
        metric = self._get(name, help_text, labels, Counter)
        assert isinstance(metric, Counter)
        return metric

    def gauge(self, name: str, help_text: str, /, **labels: str) -> Gauge:
        """Return the gauge with these labels, making it the first time."""
        metric = self._get(name, help_text, labels, Gauge)
        assert isinstance(metric, Gauge)
        return metric

    def histogram(
        self,
        name: str,
        help_text: str,
        buckets: Sequence[float] = DEFAULT_BUCKETS,
        /,
        **labels: str,
    ) -> Histogram:
        """Return the histogram with these labels, making it the first time."""
        metric = self._get(name, help_text, labels, lambda: Histogram(buckets))
        assert isinstance(metric, Histogram)
        return metric

    def remove(self, name: str, /, **labels: str) -> None:
        """Tell no more of what is not there any more."""
        children = self._metrics.get(name, {})
        children.pop(_key(labels), None)
        if not children:
            self._metrics.pop(name, None)

    def exposition(self) -> str:
        """Return all metrics in the Prometheus text format."""
        lines: list[str] = []
        for name, children in sorted(self._metrics.items()):
            kind = next(iter(children.values())).kind
            lines += [f"# HELP {name} {self._help[name]}", f"# TYPE {name} {kind}"]
            for labels, metric in children.items():
                lines += metric.samples(name, labels)
        return "\n".join(lines) + "\n"

    def _get(
        self, name: str, help_text: str, labels: dict[str, str], make: Callable[[], Metric]
    ) -> Metric:
        children = self._metrics.setdefault(name, {})
        self._help.setdefault(name, help_text)
        key = _key(labels)
        if key not in children:
            children[key] = make()
        return children[key]


def _key(labels: dict[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


registry = Registry()
"""The process's own metrics."""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _render(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{escape(value)}"' for name, value in labels) + "}"


def escape(value: str) -> str:
    """Return the value of a label as the format has it."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
