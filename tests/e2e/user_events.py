"""A small domain that the tests share: events of users, in event time."""

from collections import Counter
from datetime import datetime, timedelta

START = datetime(2026, 1, 1)
STREAM = "user-events"

TABLE = f"""
CREATE TABLE events (
  user_id STRING, amount DOUBLE, server_time TIMESTAMP(3),
  WATERMARK FOR server_time AS server_time - INTERVAL '5' SECOND
) WITH ('connector' = 'stream', 'stream' = '{STREAM}', 'format' = 'json', 'shards' = '2');
"""
PER_MINUTE = """
CREATE MATERIALIZED VIEW per_minute WITH ('retention' = '1 h') AS
SELECT window_start, window_end, user_id, count(*) AS events, sum(amount) AS amount
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(server_time), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, user_id;
"""
TOTALS = """
CREATE MATERIALIZED VIEW totals AS SELECT user_id, count(*) AS events, sum(amount) AS amount FROM events GROUP BY user_id;
"""


def at(seconds):
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def events(numbers):
    """Seven users in turn; a hundred events a second."""
    return [{"user_id": f"u{n % 7}", "amount": float(n % 10), "server_time": at(n / 100)} for n in numbers]


def closing(seconds=600):
    """Events far later, of so many users that every shard has one: all windows before them close."""
    return [{"user_id": f"later-{n}", "amount": 0.0, "server_time": at(seconds)} for n in range(64)]


def totals_of(records):
    """What `totals` has to say of the records: events and amount of each user."""
    counts, amounts = Counter(), Counter()
    for record in records:
        counts[record["user_id"]] += 1
        amounts[record["user_id"]] += record["amount"]
    return {user: (counts[user], amounts[user]) for user in counts}


def per_minute_of(records):
    """What `per_minute` has to say of the records."""
    counts = Counter((record["server_time"][:16], record["user_id"]) for record in records)
    return {(f"{minute}:00.000", user): count for (minute, user), count in counts.items()}


def totals_in(service):
    return {row["user_id"]: (row["events"], row["amount"]) for row in service.rows("totals")}


def closed_minutes_in(service):
    rows = service.rows("per_minute", "&is_final=true")
    return {(row["window_start"], row["user_id"]): row["events"] for row in rows}
