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
-- A state that was gone back to brings its timers along.
returned AS (
    SELECT
        execution_id, run, workflow, seq, type, time, data,
        unnest(json_keys(data, '$.state.timers')) AS timer
    FROM log.events
    WHERE type IN (
        'io.flunq.execution.retried', 'io.flunq.execution.rewound', 'io.flunq.execution.forked')
),
again AS (
    SELECT
        execution_id, run, workflow, seq, type, time, data,
        CAST(regexp_extract(timer, '^[0-9]+') AS BIGINT) AS step,
        coalesce(
            data ->> ('$.state.frames."' || regexp_extract(timer, '^[0-9]+') || '".reference'), '/'
        ) AS task,
        NULL AS kind,
        coalesce(TRY_CAST(regexp_extract(timer, '[0-9]+$') AS BIGINT), 1) AS pass,
        timer,
        CASE regexp_extract(timer, '[a-z]')
            WHEN 't' THEN 'timeout' WHEN 'w' THEN 'wait' WHEN 'a' THEN 'attempt' ELSE 'retry'
        END AS purpose,
        data ->> ('$.state.timers."' || timer || '"') AS due
    FROM returned
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
    UNION ALL
    SELECT * FROM again
),
rounds AS (
    SELECT
        *,
        coalesce(lead(seq) OVER (
            PARTITION BY execution_id, run, timer ORDER BY seq), 9223372036854775807) AS next_seq
    FROM armed
    WHERE due IS NOT NULL
),
fired AS (
    SELECT execution_id, run, data ->> '$.timer' AS timer, seq AS fired_seq, time AS fired_at
    FROM log.events
    WHERE type = 'io.flunq.timer.fired'
),
steps_closed AS (
    SELECT execution_id, run, step, count(*) FILTER (
        type IN ('io.serverlessworkflow.task.retried.v1', 'io.flunq.task.caught')) AS passes,
        max(seq) FILTER (type NOT IN (
            'io.serverlessworkflow.task.retried.v1', 'io.flunq.task.caught')) AS closed_seq
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
    SELECT execution_id, run, max(seq) AS ended_seq
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
        WHEN greatest(e.ended_seq, c.closed_seq) > a.seq THEN 'disarmed'
        WHEN a.next_seq < 9223372036854775807 THEN 'disarmed'
        WHEN a.purpose = 'attempt' AND coalesce(c.passes, 0) >= a.pass THEN 'disarmed'
        ELSE 'pending'
    END AS status,
    a.time AS armed_at,
    make_timestamp(CAST(a.due AS BIGINT)) AS due_at,
    f.fired_at,
    (epoch_us(f.fired_at) - CAST(a.due AS BIGINT)) / 1000.0 AS late_ms,
    a.run
FROM rounds AS a
LEFT JOIN fired AS f
    ON f.execution_id = a.execution_id
    AND f.run = a.run
    AND f.timer = a.timer
    AND f.fired_seq BETWEEN a.seq AND a.next_seq
LEFT JOIN steps_closed AS c
    ON c.execution_id = a.execution_id AND c.run = a.run AND c.step = a.step
LEFT JOIN ended AS e ON e.execution_id = a.execution_id AND e.run = a.run
