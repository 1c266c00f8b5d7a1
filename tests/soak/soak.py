#!/usr/bin/python3
"""Random life through the proxy: connects, sizes, pauses, half-closes and aborts, every byte checked.

  WEIR_PROXY=build/bin/weir-proxy WEIR_TOOL=build/bin/weir tests/soak/soak.py --minutes 60

Rounds of half a minute; after each, everything is closed and the law must hold with nothing lent. The
same seed gives the same scenarios again, though not the same timing.
"""

import argparse
import functools
import pathlib
import random
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "proxy"))

import harness
import wire

WORKERS = 24
ROUND_SECONDS = 30
LARGEST = 8 << 20
MAY_GROW = 64 << 20


def any_size(dice):
    """Small and large alike: the number of digits is what is random."""
    return int(LARGEST ** dice.random())


def same(sent, received, what):
    if sent != received:
        raise AssertionError(f"{what}: sent {sent}, received {received}")


def exchange(pair, dice):
    for sent, received in wire.exchange([pair], any_size(dice)):
        same(sent, received, "exchange")


def half_close(pair, dice):
    ends = pair if dice.random() < 0.5 else pair[::-1]
    for sent, received in wire.question_and_answer(*ends, any_size(dice), any_size(dice)):
        same(sent, received, "half-close")


def abort(pair, dice):
    """One end resets in the middle of what it sends: the other gets a true beginning and then a reset."""
    source, target = pair if dice.random() < 0.5 else pair[::-1]

    def send_and_reset():
        wire.send(source, size)
        wire.reset(source)

    size = any_size(dice)
    _, (count, received, end) = wire.at_once(send_and_reset, lambda: wire.ending(target))
    same((wire.digest(wire.content(count)), "reset"), (received, end), f"abort after {count} of {size} bytes")


def vanish(pair, dice):
    pair[dice.randrange(2)].close()


def slow_reader(pair, dice):
    source, target = pair if dice.random() < 0.5 else pair[::-1]
    size = any_size(dice)

    def read_slowly():
        first = wire.receive_all(target, size // 2)
        time.sleep(dice.random())
        return wire.digest(first + wire.receive_all(target, size - len(first)))

    (_, sent), received = wire.at_once(functools.partial(wire.send, source, size), read_slowly)
    same(sent, received, "slow reader")


def small_talk(pair, dice):
    for seed in range(dice.randrange(200)):
        wire.talk(*pair, seed)
        if dice.random() < 0.05:
            time.sleep(dice.random() / 10)


SCENARIOS = (exchange, half_close, abort, vanish, slow_reader, small_talk)


class Soak:
    def __init__(self, proxy, upstream):
        self.proxy = proxy
        self.upstream = upstream
        self.connecting = threading.Lock()  # so that each accepted end belongs to its client
        self.done = dict.fromkeys((scenario.__name__ for scenario in SCENARIOS), 0)

    def live(self, seed, deadline):
        """Scenario after scenario until the deadline."""
        dice = random.Random(seed)
        while time.monotonic() < deadline:
            scenario = dice.choice(SCENARIOS)
            with self.connecting:
                client, server = wire.connect(self.proxy), self.upstream.accept()
            with client, server:
                try:
                    scenario((client, server), dice)
                except Exception as error:
                    error.add_note(f"in {scenario.__name__}, worker seed {seed}")
                    raise
            with self.connecting:
                self.done[scenario.__name__] += 1

    def round(self, seed, seconds):
        deadline = time.monotonic() + seconds
        wire.at_once(*(functools.partial(self.live, f"{seed}.{worker}", deadline)
                       for worker in range(WORKERS)))
        return harness.settled(self.proxy.pid)


def run(minutes, seed):
    end = time.monotonic() + 60 * minutes
    with wire.Upstream() as upstream, harness.Proxy(upstream.port, "--threads", "2") as proxy:
        soak = Soak(proxy, upstream)
        first = None
        number = 0
        while (left := end - time.monotonic()) > 0:
            number += 1
            numbers = soak.round(f"{seed}.{number}", min(left, ROUND_SECONDS))
            memory = harness.resident(proxy.pid)
            first = first or memory
            print(f"round {number}: {soak.done}, free {numbers['free']}, cached {numbers['cached']}, "
                  f"in rings {numbers['kernel_ring']}, memory {memory >> 20} MiB", flush=True)
            if memory > first + MAY_GROW:
                raise AssertionError(f"the proxy grew from {first >> 20} to {memory >> 20} MiB")


def main():
    parser = argparse.ArgumentParser(description="Random traffic through weir-proxy, every byte checked.")
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="repeats an earlier run")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"seed {options.seed}, {options.minutes:g} minutes, {WORKERS} connections at a time", flush=True)
    try:
        run(options.minutes, options.seed)
    except KeyboardInterrupt:
        sys.exit(130)
    except (AssertionError, OSError) as error:
        notes = "; ".join(getattr(error, "__notes__", []))
        sys.exit(f"failed with seed {options.seed}: {error} {notes}")


if __name__ == "__main__":
    main()
