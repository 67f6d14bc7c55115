"""The changes of a live table as server-sent events, on a socket of its own that can be waited for with others."""

import json
import socket


class Changes:
    def __init__(self, port, table):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        # HTTP/1.0: the reply comes without chunks.
        self.socket.sendall(f"GET /api/v1/tables/{table}/changes HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        self.rest = b""

    def fileno(self):
        return self.socket.fileno()

    def receive(self):
        """Waits for bytes; answers the (event, rows) that they complete."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise RuntimeError("the service closed a reader's connection")
        *whole, self.rest = (self.rest + data).split(b"\n\n")
        found = []
        for text in whole:
            lines = text.splitlines()
            kinds = [line[7:].decode() for line in lines if line.startswith(b"event: ")]
            rows = [json.loads(line[6:])["rows"] for line in lines if line.startswith(b"data: ")]
            found += zip(kinds, rows)
        return found
