"""What weir wants to reach. A goal is a workload, a limit, and what it is a limit of."""
import dataclasses
import fnmatch

import peers


@dataclasses.dataclass
class Goal:
    workload: str  # a pattern
    limit: float
    of: str = "value"  # value: of weir's own; "best": of its ratio to the fastest peer; else of its ratio to that peer
    peer_workload: str = ""  # where the peers' is another

    def applies(self, workload):
        return fnmatch.fnmatch(workload, self.workload)

    def text(self):
        what = {"value": "", "best": " of the best"}.get(self.of, f" of {self.of}")
        return f"at most {self.limit:g}{what}"

    def bound(self, workload, medians):
        """What weir may take. None where it cannot be told: the peer is missing."""
        if self.of == "value":
            return self.limit
        theirs = self.peers(workload, medians)
        return self.limit * min(theirs) if theirs else None

    def judge(self, workload, medians):
        """Whether it is met, and whether that is less than the workload itself costs. None where it cannot be told."""
        bound = self.bound(workload, medians)
        if bound is None:
            return {"met": None, "below the floor": None}
        floor = medians.get(peers.FLOOR, {}).get(workload)
        return {"met": medians["weir"][workload] <= bound, "below the floor": None if floor is None else bound < floor}

    def peers(self, workload, medians):
        names = [workload, workload.replace("-lane", ""), self.peer_workload or workload]
        if not self.peer_workload and workload.startswith("pair/"):
            names.append(workload.replace("pair/", "pair-lane/"))
        others = {peer: values for peer, values in medians.items() if peer not in ("weir", peers.FLOOR)}
        return [values[name] for peer, values in others.items() if self.of in ("best", peer)
                for name in set(names) if name in values]


GOALS = [
    Goal("pair*/*", 0.25, "best"),
    Goal("instructions/pair", 26),
    Goal("instructions/lane", 26),
    Goal("batch/bulk", 0.5),
    Goal("replace/coloured", 0.5, "DPDK"),
    Goal("replace/page-aligned", 1, "DPDK", "replace/coloured"),
    Goal("relay", 0.25, "DPDK"),
    Goal("mixed", 9),
    Goal("resident/mixed", 1.10),
    Goal("set-up/make", 80),
    Goal("set-up/faults", 0),
]


def goals_of(workload):
    return [goal for goal in GOALS if goal.applies(workload)]
