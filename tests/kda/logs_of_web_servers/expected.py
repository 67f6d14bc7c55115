import re

from oracle import out, rows


def expected(records):
    # Apache's %t has its brackets.
    for row in rows(records):
        host, _, who, at, request, status, size = re.fullmatch(
            r'(\S+) (\S+) (\S+) (\[.*?\]) "(.*?)" (\d+) (\d+)', row["log"]
        ).groups()
        yield out(
            HOST=host, WHO=who, AT_TEXT=at, REQUEST=request, STATUS=status, BYTES=size, SHORT_HOST=host,
            SHORT_STATUS=status,
        )
