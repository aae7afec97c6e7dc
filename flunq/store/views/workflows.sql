WITH seen AS (
    SELECT
        split_part(workflow, '/', 1) AS namespace,
        split_part(split_part(workflow, '/', 2), ':', 1) AS name,
        split_part(split_part(workflow, '/', 2), ':', 2) AS version,
        count(*) AS executions,
        min(time) AS first_started_at,
        max(time) AS last_started_at
    FROM log.events
    WHERE type = 'io.serverlessworkflow.workflow.started.v1'
    GROUP BY workflow
)
SELECT
    namespace, name, version, d.digest, d.title, d.latest,
    CASE WHEN log.connected() THEN d.digest IS NOT NULL END AS registered,
    d.registered_at,
    coalesce(s.executions, 0) AS executions,
    s.first_started_at, s.last_started_at
FROM seen AS s
FULL JOIN log.definitions AS d USING (namespace, name, version)
