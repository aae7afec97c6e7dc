SELECT
    execution_id, seq, type, time, task, step, CAST(data AS JSON) AS data, source, workflow,
    partition, journal_seq, position, traceparent, run
FROM log.events
