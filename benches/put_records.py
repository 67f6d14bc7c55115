#!/usr/bin/env python3
"""PutRecords of 500 records a call, as many as they take: the embedded stream, which answers when they are on disk,
and kinesalite, which keeps them in memory.

The two run in turn, each time anew and empty. Client processes send requests that were made before, over open
connections; what the clients take is printed beside what the servers take.
"""

import argparse
import multiprocessing
import random
import statistics
import threading
import time

import figures
import kinesalite
import kinesis
import service
from process import cpu_seconds

RECORDS_A_CALL = 500


def requests(number, record_bytes):
    rng = random.Random(number)
    return [
        kinesis.request("PutRecords", {"StreamName": "bench", "Records": [
            kinesis.record(f"key-{rng.randrange(10_000)}", f'{{"n":{n:08},"x":"{"x" * (record_bytes - 21)}"}}')
            for n in range(RECORDS_A_CALL)
        ]})
        for _ in range(4)
    ]


def send(port, number, options, start, answers):
    """One client process: its connections send until the time is over."""
    calls = []

    def keep_sending(of):
        connection, bodies = kinesis.Connection(port), requests(of, options.record_bytes)
        start.wait()
        end, sent = time.monotonic() + options.seconds, 0
        while (began := time.monotonic()) < end:
            connection.send(bodies[sent % len(bodies)])
            calls.append(time.monotonic() - began)
            sent += 1

    connections = range(number, options.connections, options.clients)
    threads = [threading.Thread(target=keep_sending, args=(n,)) for n in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.put((calls, time.process_time()))


def measure(server, options):
    """The figures of one server, started for it."""
    with server as (port, pid):
        stream = kinesis.Connection(port)
        stream.call("CreateStream", {"StreamName": "bench", "ShardCount": options.shards})
        while stream.call("DescribeStreamSummary", {"StreamName": "bench"})["StreamDescriptionSummary"]["StreamStatus"] != "ACTIVE":
            time.sleep(0.02)
        start, answers = multiprocessing.Event(), multiprocessing.Queue()
        clients = [multiprocessing.Process(target=send, args=(port, n, options, start, answers)) for n in range(options.clients)]
        for client in clients:
            client.start()
        time.sleep(1)  # requests are made
        before, began = cpu_seconds(pid), time.monotonic()
        start.set()
        said = [answers.get() for _ in clients]
        seconds, cpu = time.monotonic() - began, cpu_seconds(pid) - before
        for client in clients:
            client.join()
        calls = sorted(call for one, _ in said for call in one)
        records = len(calls) * RECORDS_A_CALL
        return {
            "records_per_second": records / seconds,
            "mb_per_second": records * options.record_bytes / seconds / 1e6,
            "call_p50_ms": figures.at(calls, 0.5) * 1000,
            "call_p99_ms": figures.at(calls, 0.99) * 1000,
            "server_us_per_record": cpu / records * 1e6,
            "server_cores": cpu / seconds,
            "clients_cores": sum(cpu for _, cpu in said) / seconds,
            "memory_mb": service.memory_mb(pid),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--record-bytes", type=int, default=200)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--clients", type=int, default=2, help="processes that the connections are dealt to")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--json", help="writes the figures here")
    options = parser.parse_args()
    servers = {"millstream": lambda: service.running(options.binary)}
    if kinesalite.installed():
        servers["kinesalite"] = kinesalite.running
    else:
        print("kinesalite is not installed: run `scripts/setup bench`")
    found = {name: [] for name in servers}
    for _ in range(options.runs):
        for name, server in servers.items():
            found[name].append(measure(server(), options))
    print(f"{RECORDS_A_CALL} records of {options.record_bytes} bytes a call, {options.connections} connections, "
          f"{options.shards} shards, {options.runs} rounds of {options.seconds:.0f} s; cores of the server and of the clients")
    print(f"{'':11}{'records/s':>30}{'MB/s':>8}{'call p50, p99 ms':>18}{'us CPU/record':>15}{'cores':>7}{'clients':>9}{'MB':>7}")
    for name, runs in found.items():
        middle = {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}
        calls = f"{middle['call_p50_ms']:.1f}, {middle['call_p99_ms']:.1f}"
        rates = figures.spread([run["records_per_second"] for run in runs], 0)
        print(f"{name:11}{rates:>30}{middle['mb_per_second']:>8.1f}{calls:>18}{middle['server_us_per_record']:>15.2f}"
              f"{middle['server_cores']:>7.2f}{middle['clients_cores']:>9.2f}{middle['memory_mb']:>7.0f}")
    written = {"runs": found}
    if len(found) == 2:
        rates = [[run["records_per_second"] for run in runs] for runs in found.values()]
        ratio = figures.ratios(*rates)
        written["ratio"] = statistics.median(ratio)
        print(f"millstream / kinesalite, records a second: {figures.spread(ratio, 1)}")
    figures.write(options.json, written)


if __name__ == "__main__":
    main()
