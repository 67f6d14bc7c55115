import json

from oracle import out


def at(value, *path):
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def expected(records):
    for record in records:
        data = json.loads(record.data)
        identity, items = at(data, "device", "id"), at(data, "list")
        yield out(
            ID=None if identity is None else str(identity), ROOM=at(data, "device", "place", "room"), T=at(data, "T"),
            UNIT=at(data, "unit"), ITEMS=None if items is None else json.dumps(items, separators=(",", ":")),
        )
