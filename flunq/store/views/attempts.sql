WITH
tries AS (
    SELECT execution_id, run, step
    FROM log.events
    WHERE type = 'io.serverlessworkflow.task.started.v1' AND data ->> '$.kind' = 'try'
),
turns AS (
    SELECT
        execution_id, run, step, workflow, task, type, time, data,
        row_number() OVER passes AS attempt,
        lead(type) OVER passes AS ended_by,
        lead(time) OVER passes AS ended_at,
        lead(data) OVER passes AS outcome
    FROM log.events
    JOIN tries USING (execution_id, run, step)
    WHERE type IN (
        'io.serverlessworkflow.task.started.v1',
        'io.serverlessworkflow.task.retried.v1',
        'io.serverlessworkflow.task.completed.v1',
        'io.serverlessworkflow.task.faulted.v1',
        'io.serverlessworkflow.task.cancelled.v1',
        'io.flunq.task.caught')
    WINDOW passes AS (PARTITION BY execution_id, run, step ORDER BY seq)
)
SELECT
    execution_id,
    split_part(workflow, '/', 1) AS namespace,
    split_part(split_part(workflow, '/', 2), ':', 1) AS workflow,
    split_part(split_part(workflow, '/', 2), ':', 2) AS version,
    step,
    task,
    split_part(task, '/', -1) AS name,
    CAST(attempt AS INTEGER) AS attempt,
    CASE ended_by
        WHEN 'io.serverlessworkflow.task.retried.v1' THEN 'retried'
        WHEN 'io.serverlessworkflow.task.completed.v1' THEN 'completed'
        WHEN 'io.serverlessworkflow.task.faulted.v1' THEN 'faulted'
        WHEN 'io.serverlessworkflow.task.cancelled.v1' THEN 'cancelled'
        WHEN 'io.flunq.task.caught' THEN 'caught'
        ELSE 'running'
    END AS status,
    greatest(time, make_timestamp(CAST(data ->> '$.due' AS BIGINT))) AS started_at,
    ended_at,
    (epoch_us(ended_at) - epoch_us(greatest(
        time, make_timestamp(CAST(data ->> '$.due' AS BIGINT))))) / 1000.0 AS duration_ms,
    coalesce((CAST(data ->> '$.due' AS BIGINT) - epoch_us(time)) / 1000.0, 0.0) AS delay_ms,
    outcome ->> '$.error.type' AS error_type,
    CAST(outcome ->> '$.error.status' AS INTEGER) AS error_status,
    outcome ->> '$.error.title' AS error_title,
    outcome ->> '$.error.detail' AS error_detail,
    outcome ->> '$.error.instance' AS error_task,
    run
FROM turns
WHERE type IN (
    'io.serverlessworkflow.task.started.v1', 'io.serverlessworkflow.task.retried.v1')
