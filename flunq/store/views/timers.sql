WITH
marks AS (
    SELECT
        execution_id, run, workflow, seq, type, time, data,
        coalesce(step, 0) AS step,
        coalesce(task, '/') AS task
    FROM log.events
    WHERE type IN (
        'io.serverlessworkflow.workflow.started.v1',
        'io.flunq.execution.prepared',
        'io.serverlessworkflow.task.started.v1',
        'io.serverlessworkflow.task.retried.v1')
),
counted AS (
    SELECT
        *,
        data ->> '$.kind' AS kind,
        row_number() OVER (PARTITION BY execution_id, run, step ORDER BY seq) AS pass
    FROM marks
),
armed AS (
    SELECT *, step || 't' AS timer, 'timeout' AS purpose, data ->> '$.timeout' AS due
    FROM counted
    WHERE type <> 'io.serverlessworkflow.task.retried.v1'
    UNION ALL
    SELECT *, step || 'w', 'wait', data ->> '$.due'
    FROM counted
    WHERE kind = 'wait'
    UNION ALL
    SELECT *, step || 'a' || pass, 'attempt', data ->> '$.attemptDue'
    FROM counted
    WHERE step > 0
    UNION ALL
    SELECT *, step || 'r' || pass, 'retry', data ->> '$.due'
    FROM counted
    WHERE type = 'io.serverlessworkflow.task.retried.v1'
),
fired AS (
    SELECT execution_id, run, data ->> '$.timer' AS timer, min(time) AS fired_at
    FROM log.events
    WHERE type = 'io.flunq.timer.fired'
    GROUP BY ALL
),
steps_closed AS (
    SELECT execution_id, run, step, max(time) AS closed_at, count(*) FILTER (
        type IN ('io.serverlessworkflow.task.retried.v1', 'io.flunq.task.caught')) AS passes,
        count(*) FILTER (type NOT IN (
            'io.serverlessworkflow.task.retried.v1', 'io.flunq.task.caught')) AS ends
    FROM log.events
    WHERE step IS NOT NULL AND type IN (
        'io.serverlessworkflow.task.retried.v1',
        'io.flunq.task.caught',
        'io.serverlessworkflow.task.completed.v1',
        'io.serverlessworkflow.task.faulted.v1',
        'io.serverlessworkflow.task.cancelled.v1')
    GROUP BY ALL
),
ended AS (
    SELECT execution_id, run, max(time) AS ended_at
    FROM log.events
    WHERE type IN (
        'io.serverlessworkflow.workflow.completed.v1',
        'io.serverlessworkflow.workflow.faulted.v1',
        'io.serverlessworkflow.workflow.cancelled.v1',
        'io.flunq.execution.quarantined')
    GROUP BY ALL
)
SELECT
    a.execution_id,
    split_part(a.workflow, '/', 1) AS namespace,
    split_part(split_part(a.workflow, '/', 2), ':', 1) AS workflow,
    split_part(split_part(a.workflow, '/', 2), ':', 2) AS version,
    a.timer,
    a.purpose,
    a.step,
    a.task,
    CASE
        WHEN f.fired_at IS NOT NULL THEN 'fired'
        WHEN e.ended_at IS NOT NULL OR coalesce(c.ends, 0) > 0 THEN 'disarmed'
        WHEN a.purpose = 'attempt' AND coalesce(c.passes, 0) >= a.pass THEN 'disarmed'
        ELSE 'pending'
    END AS status,
    a.time AS armed_at,
    make_timestamp(CAST(a.due AS BIGINT)) AS due_at,
    f.fired_at,
    (epoch_us(f.fired_at) - CAST(a.due AS BIGINT)) / 1000.0 AS late_ms,
    a.run
FROM armed AS a
LEFT JOIN fired AS f USING (execution_id, run, timer)
LEFT JOIN steps_closed AS c USING (execution_id, run, step)
LEFT JOIN ended AS e USING (execution_id, run)
WHERE a.due IS NOT NULL
