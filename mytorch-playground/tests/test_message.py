import json
import math

import torch
from playing import decode

from mytorch.playground.message import encode


def test_a_message_has_its_fields_and_its_tensors_at_places_that_arrays_can_begin_at():
    tensors = {"odd": torch.arange(3, dtype=torch.uint8), "real": torch.tensor([[0.5, -1.0]]).T}
    message = encode("frame", tensors, step=3, names=("a", "b"))
    length = int.from_bytes(message[:4], "little")
    assert (4 + length) % 8 == 0
    assert all(place["at"] % 8 == 0 for place in json.loads(message[4 : 4 + length])["tensors"].values())
    decoded = decode(message)
    assert (decoded["kind"], decoded["step"], decoded["names"]) == ("frame", 3, ["a", "b"])
    assert decoded["tensors"]["odd"].tolist() == [0, 1, 2]
    assert decoded["tensors"]["real"].tolist() == [[0.5], [-1.0]]


def test_what_json_has_not_is_null():
    assert decode(encode("frame", loss=math.nan, deep=[{"a": math.inf}]))["deep"] == [{"a": None}]
