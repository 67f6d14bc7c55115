"""The queries that engines are compared by, each over the bids of bids.py.

One text serves Millstream and Flink; DuckDB has no windows of event time and gets what says the same in its SQL, in the
quickest of the forms that were tried.
"""

from dataclasses import dataclass


@dataclass
class Workload:
    about: str
    columns: str  # of the result, with their types
    query: str
    duckdb: str
    updating: bool = False  # its result changes: only a materialized view of Millstream can hold it


WORKLOADS = {
    "filter": Workload(
        "one bid of a thousand",
        "auction BIGINT, bidder BIGINT, price BIGINT",
        "SELECT auction, bidder, price FROM bids WHERE price > 9990000",
        "SELECT auction, bidder, price FROM bids WHERE price > 9990000",
    ),
    "tumble": Workload(
        "10 s by bidder: count, sum",
        "window_start TIMESTAMP(3), bidder BIGINT, bids BIGINT, total BIGINT",
        """SELECT window_start, bidder, count(*), sum(price)
FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(date_time), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, bidder""",
        """SELECT time_bucket(INTERVAL 10 SECOND, date_time) AS window_start, bidder, count(*) AS bids, sum(price) AS total
FROM bids GROUP BY ALL""",
    ),
    "hop": Workload(
        "10 s every 2 s by bidder: count, sum",
        "window_start TIMESTAMP(3), bidder BIGINT, bids BIGINT, total BIGINT",
        """SELECT window_start, bidder, count(*), sum(price)
FROM TABLE(HOP(TABLE bids, DESCRIPTOR(date_time), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
GROUP BY window_start, window_end, bidder""",
        # Slices of 2 s first, then each into its five windows.
        """WITH slices AS (SELECT time_bucket(INTERVAL 2 SECOND, date_time) AS slice, bidder, count(*) AS bids, sum(price) AS total
  FROM bids GROUP BY ALL)
SELECT slice - behind * INTERVAL 2 SECOND AS window_start, bidder, sum(bids) AS bids, sum(total) AS total
FROM slices, range(5) AS windows(behind) GROUP BY ALL""",
    ),
    "session": Workload(
        "gaps of more than 1 s by bidder: count, sum",
        "window_start TIMESTAMP(3), bidder BIGINT, bids BIGINT, total BIGINT",
        """SELECT window_start, bidder, count(*), sum(price)
FROM TABLE(SESSION(TABLE bids PARTITION BY bidder, DESCRIPTOR(date_time), INTERVAL '1' SECOND))
GROUP BY window_start, window_end, bidder""",
        """WITH steps AS (SELECT *, date_time > lag(date_time) OVER w + INTERVAL 1 SECOND AS begins FROM bids
  WINDOW w AS (PARTITION BY bidder ORDER BY date_time)),
sessions AS (SELECT *, count(*) FILTER (begins) OVER (PARTITION BY bidder ORDER BY date_time) AS session FROM steps)
SELECT min(date_time) AS window_start, bidder, count(*) AS bids, sum(price) AS total FROM sessions GROUP BY bidder, session""",
    ),
    "distinct": Workload(
        "10 s: count(distinct auction)",
        "window_start TIMESTAMP(3), auctions BIGINT",
        """SELECT window_start, count(DISTINCT auction)
FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(date_time), INTERVAL '10' SECOND)) GROUP BY window_start, window_end""",
        """SELECT time_bucket(INTERVAL 10 SECOND, date_time) AS window_start, count(DISTINCT auction) AS auctions
FROM bids GROUP BY ALL""",
    ),
    "over": Workload(
        "sum(price) of the bidder's last 10 s, each bid",
        "bidder BIGINT, date_time TIMESTAMP(3), total BIGINT",
        """SELECT bidder, date_time, sum(price) OVER (PARTITION BY bidder ORDER BY date_time
  RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW) FROM bids""",
        """SELECT bidder, date_time, sum(price) OVER (PARTITION BY bidder ORDER BY date_time
  RANGE BETWEEN INTERVAL 10 SECOND PRECEDING AND CURRENT ROW) AS total FROM bids""",
    ),
    "join": Workload(
        "bids with offers of their auction in the 2 s before",
        "auction BIGINT, bidder BIGINT, price BIGINT, seller BIGINT",
        """SELECT b.auction, b.bidder, b.price, a.seller FROM bids b JOIN auctions a
ON b.auction = a.auction AND a.date_time BETWEEN b.date_time - INTERVAL '2' SECOND AND b.date_time""",
        # Equal buckets of 2 s bring the candidates down from 150 to 3 a bid.
        """WITH offers AS (SELECT auction, seller, date_time,
    time_bucket(INTERVAL 2 SECOND, date_time) + later * INTERVAL 2 SECOND AS bucket
  FROM auctions, range(2) AS buckets(later))
SELECT b.auction, b.bidder, b.price, a.seller FROM bids b JOIN offers a
ON b.auction = a.auction AND time_bucket(INTERVAL 2 SECOND, b.date_time) = a.bucket
AND a.date_time BETWEEN b.date_time - INTERVAL 2 SECOND AND b.date_time""",
    ),
    "updating": Workload(
        "GROUP BY bidder without a window: count, sum",
        "bidder BIGINT, bids BIGINT, total BIGINT",
        "SELECT bidder, count(*) AS bids, sum(price) AS total FROM bids GROUP BY bidder",
        "SELECT bidder, count(*) AS bids, sum(price) AS total FROM bids GROUP BY bidder",
        updating=True,
    ),
    "top": Workload(
        "the 10 bidders with the greatest total of each 10 s",
        "window_start TIMESTAMP(3), bidder BIGINT, total BIGINT, place BIGINT",
        """SELECT window_start, bidder, total, place FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY total DESC, bidder) AS place FROM (
    SELECT window_start, window_end, bidder, sum(price) AS total
    FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(date_time), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, bidder
  )) WHERE place <= 10""",
        """SELECT *, row_number() OVER (PARTITION BY window_start ORDER BY total DESC, bidder) AS place FROM (
  SELECT time_bucket(INTERVAL 10 SECOND, date_time) AS window_start, bidder, sum(price) AS total FROM bids GROUP BY ALL)
QUALIFY place <= 10""",
    ),
}
