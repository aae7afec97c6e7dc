WITH lifecycle AS (
    SELECT
        execution_id, run,
        arg_max(workflow, seq) AS workflow,
        any_value(partition) AS partition,
        any_value(traceparent) AS traceparent,
        min(time) FILTER (type = 'io.serverlessworkflow.workflow.started.v1') AS started_at,
        max(time) FILTER (type IN (
            'io.serverlessworkflow.workflow.completed.v1',
            'io.serverlessworkflow.workflow.faulted.v1',
            'io.serverlessworkflow.workflow.cancelled.v1',
            'io.flunq.execution.quarantined')) AS last_ended_at,
        max(time) FILTER (type IN (
            'io.flunq.execution.deleted', 'io.flunq.execution.expired')) AS deleted_at,
        arg_max(type, seq) FILTER (type IN (
            'io.serverlessworkflow.workflow.started.v1',
            'io.serverlessworkflow.workflow.suspended.v1',
            'io.serverlessworkflow.workflow.resumed.v1',
            'io.serverlessworkflow.workflow.completed.v1',
            'io.serverlessworkflow.workflow.faulted.v1',
            'io.serverlessworkflow.workflow.cancelled.v1',
            'io.flunq.execution.quarantined',
            'io.flunq.execution.retried',
            'io.flunq.execution.rewound')) AS latest,
        any_value(data) FILTER (type = 'io.serverlessworkflow.workflow.started.v1') AS began,
        arg_max(data, seq) FILTER (type IN (
            'io.serverlessworkflow.workflow.faulted.v1',
            'io.flunq.execution.quarantined')) AS last_failed,
        arg_max(data, seq) FILTER (
            type = 'io.serverlessworkflow.workflow.completed.v1') AS last_completed,
        arg_max(data, seq) FILTER (type = 'io.flunq.execution.migrated') AS migrated,
        arg_max(data, seq) FILTER (type IN (
            'io.serverlessworkflow.workflow.suspended.v1',
            'io.serverlessworkflow.workflow.resumed.v1',
            'io.serverlessworkflow.workflow.cancelled.v1',
            'io.flunq.execution.quarantined',
            'io.flunq.execution.retried',
            'io.flunq.execution.rewound')) AS steered
    FROM log.events
    WHERE type IN (
        'io.serverlessworkflow.workflow.started.v1',
        'io.serverlessworkflow.workflow.suspended.v1',
        'io.serverlessworkflow.workflow.resumed.v1',
        'io.serverlessworkflow.workflow.completed.v1',
        'io.serverlessworkflow.workflow.faulted.v1',
        'io.serverlessworkflow.workflow.cancelled.v1',
        'io.flunq.execution.quarantined',
        'io.flunq.execution.retried',
        'io.flunq.execution.rewound',
        'io.flunq.execution.migrated',
        'io.flunq.execution.deleted',
        'io.flunq.execution.expired')
    GROUP BY execution_id, run
),
-- Apart from the others: it is rare, and to read data of every event takes long.
rewinds AS (
    SELECT execution_id, run, arg_max(data, seq) AS rewound
    FROM log.events
    WHERE type = 'io.flunq.execution.rewound'
    GROUP BY execution_id, run
),
-- An end that was taken back is none.
settled AS (
    SELECT
        *,
        CASE WHEN latest IN (
            'io.serverlessworkflow.workflow.completed.v1',
            'io.serverlessworkflow.workflow.faulted.v1',
            'io.serverlessworkflow.workflow.cancelled.v1',
            'io.flunq.execution.quarantined') THEN last_ended_at END AS ended_at,
        CASE WHEN latest IN (
            'io.serverlessworkflow.workflow.faulted.v1',
            'io.flunq.execution.quarantined') THEN last_failed END AS failed,
        CASE WHEN latest = 'io.serverlessworkflow.workflow.completed.v1'
            THEN last_completed END AS completed
    FROM lifecycle LEFT JOIN rewinds USING (execution_id, run)
)
SELECT
    log.tenant() AS tenant,
    execution_id AS id,
    split_part(workflow, '/', 1) AS namespace,
    split_part(split_part(workflow, '/', 2), ':', 1) AS workflow,
    split_part(split_part(workflow, '/', 2), ':', 2) AS version,
    CASE latest
        WHEN 'io.serverlessworkflow.workflow.completed.v1' THEN 'completed'
        WHEN 'io.serverlessworkflow.workflow.faulted.v1' THEN 'faulted'
        WHEN 'io.serverlessworkflow.workflow.cancelled.v1' THEN 'cancelled'
        WHEN 'io.serverlessworkflow.workflow.suspended.v1' THEN 'suspended'
        WHEN 'io.flunq.execution.quarantined' THEN 'quarantined'
        WHEN 'io.flunq.execution.rewound'
            THEN CASE WHEN rewound ->> '$.suspended' = 'true' THEN 'suspended' ELSE 'running' END
        ELSE 'running'
    END AS status,
    started_at,
    ended_at,
    (epoch_us(ended_at) - epoch_us(started_at)) / 1000.0 AS duration_ms,
    CAST(began -> '$.input' AS JSON) AS input,
    CAST(completed -> '$.output' AS JSON) AS output,
    failed ->> '$.error.type' AS error_type,
    CAST(failed ->> '$.error.status' AS INTEGER) AS error_status,
    failed ->> '$.error.title' AS error_title,
    failed ->> '$.error.detail' AS error_detail,
    failed ->> '$.error.instance' AS error_task,
    steered ->> '$.reason' AS reason,
    began ->> '$.parent' AS parent_id,
    began ->> '$.parentTask' AS parent_task,
    CAST(coalesce(began -> '$.tags', '{}') AS MAP(VARCHAR, VARCHAR)) AS tags,
    coalesce(migrated ->> '$.digest', began ->> '$.digest') AS digest,
    deleted_at,
    partition,
    traceparent,
    run
FROM settled
