from __future__ import annotations

from flunq.telemetry.metrics import Registry


def test_a_counter_is_the_same_for_the_same_labels() -> None:
    registry = Registry()
    registry.counter("flunq_starts", "Starts.", tenant="a").inc()
    registry.counter("flunq_starts", "Starts.", tenant="a").inc(2)
    registry.counter("flunq_starts", "Starts.", tenant="b").inc()
    lines = registry.exposition().splitlines()
    assert 'flunq_starts{tenant="a"} 3' in lines
    assert 'flunq_starts{tenant="b"} 1' in lines
    assert lines.count("# TYPE flunq_starts counter") == 1


def test_a_gauge_can_ask_for_its_value_when_it_is_read() -> None:
    registry = Registry()
    running = [1, 2]
    registry.gauge("flunq_running", "Running.").read_from(lambda: len(running))
    running.append(3)
    assert "flunq_running 3" in registry.exposition()


def test_what_is_removed_is_not_told_any_more() -> None:
    registry = Registry()
    for tenant in ("a", "b"):
        registry.gauge("flunq_files", "Files.", tenant=tenant)
    registry.remove("flunq_files", tenant="a")
    assert 'flunq_files{tenant="b"} 0' in registry.exposition().splitlines()
    registry.remove("flunq_files", tenant="b")
    assert registry.exposition().strip() == ""


def test_buckets_of_a_histogram_are_cumulative() -> None:
    registry = Registry()
    histogram = registry.histogram("flunq_seconds", "Seconds.")
    for value in (0.001, 0.002, 0.3, 99):
        histogram.observe(value)
    lines = registry.exposition().splitlines()
    assert 'flunq_seconds_bucket{le="0.001"} 1' in lines
    assert 'flunq_seconds_bucket{le="0.5"} 3' in lines
    assert 'flunq_seconds_bucket{le="+Inf"} 4' in lines
    assert "flunq_seconds_count 4" in lines


def test_label_values_cannot_break_the_format() -> None:
    registry = Registry()
    registry.counter("flunq_odd", "Odd.", name='a"b\\c\nd').inc()
    assert 'flunq_odd{name="a\\"b\\\\c\\nd"} 1' in registry.exposition()
