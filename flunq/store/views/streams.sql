SELECT
    name, kind, messages, bytes, max_bytes,
    CAST(bytes AS DOUBLE) / nullif(max_bytes, 0) AS share,
    subjects, first_at, last_at, consumers, replicas
FROM log.streams
