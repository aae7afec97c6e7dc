WITH runs AS (
    SELECT
        split_part(workflow, '/', 1) AS namespace,
        split_part(split_part(workflow, '/', 2), ':', 1) AS name,
        count(*) AS executions,
        max(time) AS last_started_at,
        arg_max(execution_id, time) AS last_execution_id,
        arg_max(split_part(workflow, ':', 2), time) AS version
    FROM log.events
    WHERE type = 'io.serverlessworkflow.workflow.started.v1'
        AND data ->> '$.tags.schedule' IS NOT NULL
    GROUP BY ALL
)
SELECT
    namespace, name,
    coalesce(k.version, r.version) AS version,
    k.status, k.schedule, k.timezone, k.overlap, k.next_at, k.paused_at, k.reason, k.pending,
    coalesce(r.executions, 0) AS executions,
    r.last_started_at, r.last_execution_id
FROM runs AS r
FULL JOIN log.schedules AS k USING (namespace, name)
