SELECT
    stream, name,
    nullif(serves, '') AS serves,
    pending, unacked, redelivered, waiting, delivered_at, acked_at
FROM log.consumers
