-- Query 3: local item suggestion, as it stands in Flink's project: refused (../README.md).

CREATE TABLE nexmark_q3 (
  name  STRING,
  city  STRING,
  state  STRING,
  id  BIGINT
) WITH (
  'connector' = 'print'
);

INSERT INTO nexmark_q3
SELECT
    P.name, P.city, P.state, A.id
FROM
    auction AS A INNER JOIN person AS P on A.seller = P.id
WHERE
    A.category = 10 and (P.state = 'OR' OR P.state = 'ID' OR P.state = 'CA');
