SELECT
    execution_id,
    split_part(workflow, '/', 1) AS namespace,
    split_part(split_part(workflow, '/', 2), ':', 1) AS workflow,
    split_part(split_part(workflow, '/', 2), ':', 2) AS version,
    CASE WHEN type = 'io.flunq.execution.quarantined' THEN 'execution' ELSE 'task' END AS origin,
    data ->> '$.task' AS task,
    CAST(data ->> '$.attempts' AS INTEGER) AS attempts,
    time AS at,
    CASE
        WHEN type = 'io.flunq.execution.quarantined' THEN data ->> '$.reason'
        WHEN (data ->> '$.attempts') IS NOT NULL THEN 'retries are used up'
        ELSE 'given up'
    END AS reason,
    data ->> '$.error.type' AS error_type,
    CAST(data ->> '$.error.status' AS INTEGER) AS error_status,
    data ->> '$.error.title' AS error_title,
    data ->> '$.error.detail' AS error_detail,
    CAST(data AS JSON) AS data
FROM log.events
WHERE
    type = 'io.flunq.execution.quarantined'
    OR (
        type = 'io.serverlessworkflow.task.faulted.v1'
        AND (
            (data ->> '$.attempts') IS NOT NULL
            OR (
                (data ->> '$.error.title') = 'Given up'
                AND (data ->> '$.error.instance') = (data ->> '$.task')
            )
        )
    )
