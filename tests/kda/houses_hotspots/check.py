"""Where half of the points are within a small disk, a hot spot is there."""

import json


def check(records, rows):
    found = [row for _, row in rows]
    assert [(row["X"], row["Y"]) for row in found] == [(r.data["X"], r.data["Y"]) for r in records]
    for row in found[400:]:
        spots = json.loads(row["HOTSPOTS_RESULT"])["hotspots"]
        assert spots, "there is a dense place in every window"
        around = [
            spot
            for spot in spots
            if spot["minValues"][0] <= 20 <= spot["maxValues"][0] and spot["minValues"][1] <= 30 <= spot["maxValues"][1]
        ]
        assert len(around) == 1 and around[0]["density"] > 0
        box = around[0]
        assert all(high - low < 10 for low, high in zip(box["minValues"], box["maxValues"]))
        assert all(spot["density"] <= box["density"] for spot in spots)
