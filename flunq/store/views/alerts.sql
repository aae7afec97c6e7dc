SELECT
    rule, number, status, time, since,
    CASE delivery WHEN '' THEN 'waiting' ELSE delivery END AS delivery,
    tries,
    nullif(problem, '') AS problem
FROM log.alerts
