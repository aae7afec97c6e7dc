WITH lifecycle AS (
    SELECT
        execution_id, run,
        any_value(workflow) AS workflow,
        any_value(partition) AS partition,
        any_value(traceparent) AS traceparent,
        min(time) FILTER (type = 'io.serverlessworkflow.workflow.started.v1') AS started_at,
        max(time) FILTER (type IN (
            'io.serverlessworkflow.workflow.completed.v1',
            'io.serverlessworkflow.workflow.faulted.v1',
            'io.serverlessworkflow.workflow.cancelled.v1',
            'io.flunq.execution.quarantined')) AS ended_at,
        max(time) FILTER (type IN (
            'io.flunq.execution.deleted', 'io.flunq.execution.expired')) AS deleted_at,
        arg_max(type, seq) FILTER (type IN (
            'io.serverlessworkflow.workflow.started.v1',
            'io.serverlessworkflow.workflow.suspended.v1',
            'io.serverlessworkflow.workflow.resumed.v1',
            'io.serverlessworkflow.workflow.completed.v1',
            'io.serverlessworkflow.workflow.faulted.v1',
            'io.serverlessworkflow.workflow.cancelled.v1',
            'io.flunq.execution.quarantined')) AS latest,
        any_value(data) FILTER (type = 'io.serverlessworkflow.workflow.started.v1') AS began,
        any_value(data) FILTER (type IN (
            'io.serverlessworkflow.workflow.faulted.v1',
            'io.flunq.execution.quarantined')) AS failed,
        any_value(data) FILTER (type = 'io.serverlessworkflow.workflow.completed.v1') AS completed,
        arg_max(data, seq) FILTER (type IN (
            'io.serverlessworkflow.workflow.suspended.v1',
            'io.serverlessworkflow.workflow.resumed.v1',
            'io.serverlessworkflow.workflow.cancelled.v1',
            'io.flunq.execution.quarantined')) AS steered
    FROM log.events
    WHERE type IN (
        'io.serverlessworkflow.workflow.started.v1',
        'io.serverlessworkflow.workflow.suspended.v1',
        'io.serverlessworkflow.workflow.resumed.v1',
        'io.serverlessworkflow.workflow.completed.v1',
        'io.serverlessworkflow.workflow.faulted.v1',
        'io.serverlessworkflow.workflow.cancelled.v1',
        'io.flunq.execution.quarantined',
        'io.flunq.execution.deleted',
        'io.flunq.execution.expired')
    GROUP BY execution_id, run
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
    began ->> '$.digest' AS digest,
    deleted_at,
    partition,
    traceparent,
    run
FROM lifecycle
