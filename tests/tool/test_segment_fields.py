#!/usr/bin/python3
"""A reader that goes by a segment's own field table gets the numbers that `weir stat --json` prints."""
import contextlib
import json
import unittest

from holder import Holder, weir
from segment_fields import Segment

WORD = 1 << 64
RECEIVER = ("thread", "connections", "parked", "idle", "receives", "bytes", "enobufs", "wakes", "cancels", "reclaimed")


class FieldsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        held = cls.enterClassContext(Holder())
        cls.numbers = json.loads(weir("stat", held.pid, "--json").stdout)
        cls.segment = cls.enterClassContext(contextlib.closing(Segment(held.segment_path())))
        cls.pid = held.pid

    def magazines(self):
        """By lane, those of threads that use them."""
        lanes = self.segment.kinds["lane"][2]
        for thread, record in self.segment.records("thread").items():
            for lane in range(lanes):
                if record["lanes"][lane // 64] >> lane % 64 & 1:
                    yield lane, self.segment.record("magazine", thread * lanes + lane)

    def test_header(self):
        header = self.segment.record("header", 0)
        self.assertEqual((header["magic"], header["version"], header["process_id"]), ("weirseg", 6, self.pid))
        self.assertEqual(header["program"], self.numbers["program"])
        nodes = [node["node"] for node in self.numbers["pools"][0]["nodes"]]
        self.assertEqual(header["nodes"][:header["node_count"]], nodes)

    def test_pools_and_their_memory(self):
        pool, = self.segment.records("pool").values()
        seen, = self.numbers["pools"]
        self.assertEqual((pool["name"], pool["class_count"]), (seen["name"], len(seen["nodes"][0]["classes"])))
        arenas = [(arena["node"], arena["bytes"], arena["page_bytes"], arena["reason"])
                  for arena in self.segment.records("arena").values()]
        self.assertEqual(arenas, [(arena["node"], arena["bytes"], arena["page_bytes"], arena["reason"])
                                  for arena in seen["arenas"]])

    def test_counts_of_every_class(self):
        lanes, magazines, rings = self.segment.records("lane"), list(self.magazines()), self.segment.records("ring")
        pool, = self.segment.records("pool").values()
        for index, node in enumerate(self.numbers["pools"][0]["nodes"]):
            for number, size in enumerate(node["classes"]):
                at = 256 * index + pool["first_lane"] + number
                lane, own = lanes[at], [magazine for place, magazine in magazines if place == at]
                filled = [ring for ring in rings.values() if ring["lane"] == at]
                lends = lane["lends"] + sum(each["lends"] for each in own) + sum(ring["claimed"] for ring in filled)
                drops = (lane["drops"] + sum(each["lends"] + each["cached"] - each["from_depot"] for each in own) +
                         sum(ring["provided"] for ring in filled))
                requested = lane["requested"] + sum(each["requested"] for each in own)
                counted = {name: lane[name] for name in ("bytes", "alignment", "capacity", "free", "high_water", "empty",
                                                         "refills", "flushes")}
                counted |= {"cached": sum(each["cached"] for each in own), "lends": lends,
                            "user": (lends - drops - requested) % WORD, "kernel_request": requested % WORD,
                            "kernel_ring": sum(ring["filled"] for ring in filled)}
                self.assertEqual(counted, {name: size[name] for name in counted})
        self.assertGreater(self.numbers["user"], 0)

    def test_receivers(self):
        seen = [{name: receiver[name] for name in RECEIVER} for receiver in self.segment.records("receiver").values()]
        self.assertEqual(seen, [{name: receiver[name] for name in RECEIVER} for receiver in self.numbers["receivers"]])

    def test_every_field_says_what_it_is(self):
        kinds = self.segment.kinds
        for name, (start, stride, count, fields) in kinds.items():
            self.assertLessEqual(start + stride * count, self.segment.file_bytes, name)
            for field in fields:
                self.assertIn(field.kind, ("identity", "text", "gauge", "counter"), field)
                self.assertIn(field.unit, ("", "bytes"), field)
                self.assertTrue(field.name and field.meaning, field)
                self.assertLessEqual(field.offset + field.bytes * field.count, stride, field)


if __name__ == "__main__":
    unittest.main()
