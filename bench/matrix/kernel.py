"""What the kernel holds for a connection that waits, by its slab caches. They count the whole machine's objects, so that
nothing else may come or go meanwhile, which is seen to here."""
import contextlib
import re
import resource
import socket
import struct
import time

import live
import machine

PATIENCE = 90  # seconds
SAYS = bytes(range(256)) * 64  # 16 KiB
FILES_OF_OUR_OWN = 200
DOUBT = 0.2  # sockets of others a connection: with as many in what is subtracted, less than half an object


def slabs():
    """Objects of each cache, and their size; empty for ordinary users, who may not know."""
    rows = (line.split() for line in machine.text_of("/proc/slabinfo").splitlines()[2:])
    return {row[0]: (int(row[1]), int(row[3])) for row in rows}


def sockets():
    """All of TCP's, and how many more are about to go."""
    text = machine.text_of("/proc/net/sockstat")
    orphans, closed, there = map(int, re.search(r"^TCP: .*orphan (\d+) tw (\d+) alloc (\d+)", text, re.M).groups())
    return there, orphans + closed


def wait_until_gone(few):
    """Until there are but a few connections on their way out. The kernel keeps a closed one for a minute, and what a
    server left open when it ended, and io_uring had in hand, is closed after that end."""
    end, before = time.monotonic() + PATIENCE, None
    while time.monotonic() < end:
        there, going = sockets()
        if going <= few and before is not None and abs(there - before) <= few:
            return
        before = there
        time.sleep(0.2)
    raise live.Failed(f"more than {few:.0f} connections of others come and go: leave the machine alone")


def growth_by(open_one, connections):
    """Objects a connection in each cache, a second after so many were opened, each of two sockets."""
    few = DOUBT * connections
    if slabs():
        wait_until_gone(few)
    (there, _), before = sockets(), slabs()
    for _ in range(connections):
        open_one()
    time.sleep(1)
    (now, _), after = sockets(), slabs()
    if after and abs(now - there - 2 * connections) > few:
        raise live.Failed("connections of others came or went meanwhile: leave the machine alone")
    return {name: (count - before.get(name, (0, 0))[0]) / connections for name, (count, _) in after.items()}


def connect(port):
    """A socket that leaves nothing behind when it is closed."""
    client = socket.create_connection(("127.0.0.1", port), PATIENCE)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return client


def converse(client, answers):
    """16 KiB by `client`, which come back when they went to a server."""
    client.sendall(SAYS)
    received = b""
    while len(received) < len(SAYS):
        part = answers.recv(len(SAYS))
        if not part:
            raise live.Failed("the server closed a connection")
        received += part
    if received != SAYS:
        raise live.Failed("what came back is not what was sent")


def open_silent(opened, listener):
    """A connection where nobody waits for data."""
    client = opened.enter_context(connect(listener.getsockname()[1]))
    server = opened.enter_context(listener.accept()[0])
    converse(client, server)
    converse(server, client)


def open_served(opened, port):
    client = opened.enter_context(connect(port))
    converse(client, client)


_silent = {}


def silent_growth(most):
    """What a connection has whoever serves it: two sockets and their files. Measured once."""
    if not _silent and slabs():
        count = min(most, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FILES_OF_OUR_OWN) // 2)
        with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as opened:
            _silent.update(growth_by(lambda: open_silent(opened, listener), count))
    return _silent


def memory(opened, port, connections):
    """What a connection that waits has, beyond one that nobody waits for, in whole objects: parts of one are of other
    doings. A cache may go by the name of another for objects of that size. They stay open for as long as `opened`."""
    silent = silent_growth(connections)
    growth = growth_by(lambda: open_served(opened, port), connections)
    more = {name: round(growth[name] - silent.get(name, 0)) for name in growth}
    more = {name: count for name, count in sorted(more.items()) if count > 0}
    if not growth:
        return {}
    sizes = {name: size for name, (_, size) in slabs().items()}
    return {"kernel": sum(count * sizes[name] for name, count in more.items()),
            "objects": ", ".join(f"{count} {name} of {sizes[name]} B" for name, count in more.items())}
