"""A lean client of the Kinesis API: a socket that stays open, and requests as bytes, so that it is never the bottleneck.

The signature is a fixed one: neither the embedded stream without tokens nor kinesalite looks at it.
"""

import base64
import json
import socket

AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0"


def request(operation, body):
    """The bytes of a call, to be sent as often as wanted."""
    body = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-amz-json-1.1\r\n"
        f"X-Amz-Target: Kinesis_20131202.{operation}\r\nX-Amz-Date: 20260101T000000Z\r\n"
        f"Authorization: {AUTHORIZATION}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def record(key, data):
    return {"PartitionKey": key, "Data": base64.b64encode(data.encode()).decode()}


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request):
        """Sends what `request` made and answers the body of the reply; fails on any other status than 200."""
        self.socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self.receive()
        head = received[:end].lower()
        body = [received[end + 4 :]]
        missing = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) - len(body[0])
        while missing > 0:
            body.append(self.receive())
            missing -= len(body[-1])
        body = b"".join(body)
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{head.splitlines()[0].decode()}: {body.decode()}")
        if b'"FailedRecordCount"' in body and b'"FailedRecordCount":0' not in body:
            raise RuntimeError(f"records were refused: {body[:1000].decode()}")
        return body

    def receive(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise RuntimeError("the server closed the connection")
        return data

    def call(self, operation, body):
        reply = self.send(request(operation, body))
        return json.loads(reply) if reply else {}
