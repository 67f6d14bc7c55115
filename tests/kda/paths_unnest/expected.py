import json

from oracle import out


def expected(records):
    for record in records:
        data = json.loads(record.data)
        seals = json.dumps(data["seals"], separators=(",", ":")) if "seals" in data else None
        for stop in data.get("stops") or [{}]:
            yield out(VAN=data["van"], PLACE=stop.get("place"), KG=stop.get("kg"), SEALS=seals)
