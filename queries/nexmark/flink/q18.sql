-- Query 18: find last bid, as it stands in Flink's project: refused (../README.md).

CREATE TABLE nexmark_q18 (
    auction  BIGINT,
    bidder  BIGINT,
    price  BIGINT,
    channel  STRING,
    url  STRING,
    `dateTime`  TIMESTAMP(3),
    extra  STRING
) WITH (
  'connector' = 'print'
);

INSERT INTO nexmark_q18
SELECT auction, bidder, price, channel, url, `dateTime`, extra
 FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY `dateTime` DESC) AS rank_number
       FROM bid)
 WHERE rank_number <= 1;
