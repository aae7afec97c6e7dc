SELECT
    execution_id,
    split_part(workflow, '/', 1) AS namespace,
    split_part(split_part(workflow, '/', 2), ':', 1) AS workflow,
    split_part(split_part(workflow, '/', 2), ':', 2) AS version,
    time AS at,
    data ->> '$.reason' AS reason,
    data ->> '$.error.type' AS error_type,
    CAST(data ->> '$.error.status' AS INTEGER) AS error_status,
    data ->> '$.error.title' AS error_title,
    data ->> '$.error.detail' AS error_detail,
    CAST(data AS JSON) AS data
FROM log.events
WHERE type = 'io.flunq.execution.quarantined'
