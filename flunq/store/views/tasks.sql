WITH
passed AS (
    SELECT
        execution_id, run,
        coalesce(step, seq) AS step,
        arg_max(workflow, seq) AS workflow,
        any_value(task) AS task,
        min(time) AS started_at,
        max(time) FILTER (type IN (
            'io.serverlessworkflow.task.completed.v1',
            'io.serverlessworkflow.task.faulted.v1',
            'io.serverlessworkflow.task.cancelled.v1',
            'io.flunq.task.skipped')) AS last_ended_at,
        arg_max(type, seq) FILTER (type <> 'io.serverlessworkflow.task.retried.v1') AS latest,
        count(*) FILTER (type = 'io.serverlessworkflow.task.retried.v1') AS retries,
        any_value(data) FILTER (type = 'io.serverlessworkflow.task.started.v1') AS began,
        arg_max(data, seq) FILTER (
            type = 'io.serverlessworkflow.task.completed.v1') AS last_completed,
        arg_max(data, seq) FILTER (type = 'io.serverlessworkflow.task.faulted.v1') AS last_failed
    FROM log.events
    WHERE type IN (
        'io.serverlessworkflow.task.started.v1',
        'io.serverlessworkflow.task.completed.v1',
        'io.serverlessworkflow.task.faulted.v1',
        'io.serverlessworkflow.task.cancelled.v1',
        'io.serverlessworkflow.task.retried.v1',
        'io.serverlessworkflow.task.resumed.v1',
        'io.flunq.task.skipped')
    GROUP BY execution_id, run, coalesce(step, seq)
),
-- An end that was taken back is none.
instances AS (
    SELECT
        *,
        CASE WHEN latest NOT IN (
            'io.serverlessworkflow.task.started.v1',
            'io.serverlessworkflow.task.resumed.v1') THEN last_ended_at END AS ended_at,
        CASE WHEN latest = 'io.serverlessworkflow.task.completed.v1'
            THEN last_completed END AS completed,
        CASE WHEN latest = 'io.serverlessworkflow.task.faulted.v1' THEN last_failed END AS failed
    FROM passed
),
wanted AS (
    SELECT DISTINCT execution_id, run, CAST(data ->> '$.inputFrom' AS BIGINT) AS seq
    FROM log.events
    WHERE type = 'io.serverlessworkflow.task.started.v1' AND contains(data, '"inputFrom":')
),
sources AS (
    SELECT
        execution_id, run, seq,
        any_value(coalesce(
            data -> '$.output', data -> '$.with', data -> '$.value', data -> '$.transformed',
            data -> '$.input')) AS value
    FROM log.events
    JOIN wanted USING (execution_id, run, seq)
    GROUP BY execution_id, run, seq
),
moments AS (
    SELECT execution_id, run, seq, min(time) AS time
    FROM log.events
    GROUP BY execution_id, run, seq
)
SELECT
    t.execution_id,
    split_part(t.workflow, '/', 1) AS namespace,
    split_part(split_part(t.workflow, '/', 2), ':', 1) AS workflow,
    split_part(split_part(t.workflow, '/', 2), ':', 2) AS version,
    t.step,
    t.task,
    split_part(t.task, '/', -1) AS name,
    t.began ->> '$.kind' AS kind,
    CASE t.latest
        WHEN 'io.serverlessworkflow.task.completed.v1' THEN 'completed'
        WHEN 'io.serverlessworkflow.task.faulted.v1' THEN 'faulted'
        WHEN 'io.serverlessworkflow.task.cancelled.v1' THEN 'cancelled'
        WHEN 'io.flunq.task.skipped' THEN 'skipped'
        ELSE 'running'
    END AS status,
    coalesce(CAST(t.began ->> '$.attempt' AS INTEGER), 1) AS attempt,
    CAST(t.retries + 1 AS INTEGER) AS attempts,
    t.started_at,
    t.ended_at,
    (epoch_us(t.ended_at) - epoch_us(t.started_at)) / 1000.0 AS duration_ms,
    (epoch_us(t.started_at) - epoch_us(m.time)) / 1000.0 AS queue_ms,
    CAST(coalesce(t.began -> '$.input', s.value) AS JSON) AS input,
    CAST(t.began -> '$.transformed' AS JSON) AS transformed,
    CAST(t.completed -> '$.output' AS JSON) AS output,
    t.failed ->> '$.error.type' AS error_type,
    CAST(t.failed ->> '$.error.status' AS INTEGER) AS error_status,
    t.failed ->> '$.error.title' AS error_title,
    t.failed ->> '$.error.detail' AS error_detail,
    t.failed ->> '$.error.instance' AS error_task,
    coalesce(CAST(t.began ->> '$.parent' AS BIGINT), 0) AS parent_step,
    t.began ->> '$.path' AS path,
    t.run
FROM instances AS t
LEFT JOIN sources AS s
    ON s.execution_id = t.execution_id
    AND s.run = t.run
    AND s.seq = CAST(t.began ->> '$.inputFrom' AS BIGINT)
LEFT JOIN moments AS m
    ON m.execution_id = t.execution_id
    AND m.run = t.run
    AND m.seq = t.step - 1
