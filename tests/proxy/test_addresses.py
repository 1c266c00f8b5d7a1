#!/usr/bin/python3
"""Names with several addresses, and addresses that are not to be had: in a network and a hosts file of our own."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

INSIDE = "IN_OWN_NETWORK"  # names the hosts file
SETUP = """ip link set drain up && ip link set hole up && ip addr add 2001:db8::1/64 dev hole nodad &&
    ip addr add fe80::77/64 dev hole nodad && ip neigh replace 2001:db8::2 lladdr 02:00:00:00:00:01 dev hole"""


def enter():
    """Runs this script again, in namespaces of its own."""
    if not shutil.which("ip"):
        sys.exit(77)
    own = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode != 0:
        sys.exit(77)
    with tempfile.NamedTemporaryFile(prefix="weir-hosts-") as hosts:
        setup = f"ip link set lo up && ip link add name hole type veth peer name drain && {SETUP}"
        done = subprocess.run([*own, "sh", "-c", f'{setup} && mount --bind "$0" /etc/hosts && exec "$@"',
                               hosts.name, sys.executable, "-B", *sys.argv],
                              env={**os.environ, INSIDE: hosts.name}, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__" and INSIDE not in os.environ:
    enter()

import harness  # noqa: E402: it takes the programs from the environment, which is to be kept for the second run
import no_io_uring  # noqa: E402
import wire  # noqa: E402

WEIR_ECHO = harness.program("WEIR_ECHO")
WEIR_LOAD = harness.program("WEIR_LOAD")
LOCALHOST = ("127.0.0.1 localhost", "::1 localhost")
HOLE = "2001:db8::2"  # nobody answers there, not even that there is nobody


def hosts(*lines):
    pathlib.Path(os.environ[INSIDE]).write_text("\n".join(lines) + "\n", encoding="ascii")


@contextlib.contextmanager
def setting(name, value):
    path = pathlib.Path("/proc/sys/net", name)
    before = path.read_text(encoding="ascii")
    path.write_text(value, encoding="ascii")
    try:
        yield
    finally:
        path.write_text(before, encoding="ascii")


class Addresses(unittest.TestCase):
    def setUp(self):
        hosts(*LOCALHOST)
        if [each[4][0] for each in socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)] != ["::1", "127.0.0.1"]:
            self.skipTest("names are not looked up in the hosts file, or not those of IPv6 first")

    def check_relays(self, proxy, upstream):
        with wire.relayed(proxy, upstream) as pair:
            wire.talk(*pair)

    def check_echoes(self, server, *hosts_):
        for host in hosts_:
            with self.subTest(host), socket.create_connection((host, server.port), timeout=harness.PATIENCE) as client:
                client.sendall(b"hello")
                self.assertEqual(wire.receive_all(client, 5), b"hello")

    def test_upstream_at_the_second_address(self):
        for recv in ("auto", "epoll"):
            with (self.subTest(recv), wire.Upstream() as upstream,
                  harness.Proxy(upstream.port, "--recv", recv, upstream="localhost") as proxy):
                for _ in range(20):
                    self.check_relays(proxy, upstream)
                self.assertEqual(proxy.complaints(), [])

    def test_address_that_does_not_answer(self):
        """The next one is tried beside it after a quarter of a second, and is the first for later connections."""
        hosts(f"{HOLE} far", "127.0.0.1 far")
        with wire.Upstream() as upstream, harness.Proxy(upstream.port, upstream="far") as proxy:
            self.assertIn(f"[{HOLE}]", proxy.said())
            taken = []
            for _ in range(40):
                began = time.monotonic()
                self.check_relays(proxy, upstream)
                taken.append(time.monotonic() - began)
            self.assertLess(min(taken[1:]), 0.25, "each one waited")

    def test_name_that_moves(self):
        """Not even the first connection after that is turned away."""
        hosts("127.0.0.2 moving")
        with wire.Upstream("127.0.0.2") as upstream, harness.Proxy(upstream.port, upstream="moving") as proxy:
            self.check_relays(proxy, upstream)
            upstream.__exit__()
            hosts("127.0.0.3 moving")
            with wire.Upstream("127.0.0.3", upstream.port) as other:
                self.check_relays(proxy, other)
                self.assertEqual(proxy.complaints(), [])

    def test_all_addresses_fail(self):
        with wire.Upstream() as upstream:
            port = upstream.port
        with harness.Proxy(port, upstream="localhost") as proxy:
            with contextlib.suppress(ConnectionResetError), wire.connect(proxy) as client:
                self.assertEqual(wire.ending(client)[0], 0)
            line = harness.until(proxy.complaints, "it says so")[0]
            for address in (f"[::1]:{port}", f"127.0.0.1:{port}"):
                self.assertIn(f"{address}: Connection refused", line)

    def test_a_cut_while_it_is_connected(self):
        hosts(f"{HOLE} far")
        with harness.Proxy(1, "--grace", "0", upstream="far") as proxy:
            with wire.connect(proxy):
                time.sleep(0.5)
                proxy.process.terminate()
                self.assertEqual(proxy.wait(), 0)

    def test_listening_at_a_name(self):
        with harness.Server(WEIR_ECHO, "--threads", "2", listen="localhost:0") as echo:
            self.assertRegex(echo.said(), rf"listening on \[::1\]:{echo.port} and 127.0.0.1:{echo.port} \(2 threads\)")
            self.check_echoes(echo, "127.0.0.1", "::1")

    def test_listening_at_all_addresses(self):
        for listen in ("*:0", ":0", "[::]:0"):
            for recv in ("auto", "epoll"):
                with self.subTest(listen, recv=recv), harness.Server(WEIR_ECHO, "--recv", recv, listen=listen) as echo:
                    self.assertIn(f"[::]:{echo.port}", echo.said())
                    self.check_echoes(echo, "127.0.0.1", "::1", "2001:db8::1")

    def test_ipv4_written_as_ipv6(self):
        with harness.Server(WEIR_ECHO, listen="[::ffff:127.0.0.1]:0") as echo:
            self.assertIn(f"listening on 127.0.0.1:{echo.port} ", echo.said())
            self.check_echoes(echo, "127.0.0.1")

    def test_address_of_an_interface(self):
        with harness.Server(WEIR_ECHO, listen="[fe80::77%hole]:0") as echo:
            self.assertIn(f"[fe80::77%hole]:{echo.port} ", echo.said())
        self.check_refused(2, "fe80::1%eth0", WEIR_ECHO, "--listen", "[fe80::77]:0")

    def test_without_ipv6(self):
        with setting("ipv6/conf/all/disable_ipv6", "1"), wire.Upstream() as upstream:
            with harness.Proxy(upstream.port, upstream="localhost", listen="localhost:0") as proxy:
                self.assertIn(f"listening on 127.0.0.1:{proxy.port}, ", proxy.said())
                self.check_relays(proxy, upstream)
            with harness.Server(WEIR_ECHO, listen="*:0") as echo:
                self.check_echoes(echo, "127.0.0.1")
        subprocess.run(["sh", "-c", SETUP], capture_output=True, check=False)

    def check_refused(self, status, word, *command, **how):
        answer = harness.run(command, timeout=harness.PATIENCE, **how)
        self.assertEqual((answer.returncode, answer.stdout), (status, ""), answer.stderr)
        self.assertRegex(answer.stderr, rf"\Aweir-[^\n]*{re.escape(word)}[^\n]*\n\Z")

    def test_a_proxy_to_itself(self):
        port = harness.free_port()
        for listen, upstream in (("127.0.0.1", "127.0.0.1"), ("*", "127.0.0.1"), ("", "localhost"), ("[::]", "127.0.0.1"),
                                 ("[::]", "[2001:db8::1]"), ("localhost", "localhost"), ("127.0.0.1", "0.0.0.0"),
                                 ("127.0.0.1", "[::ffff:127.0.0.1]")):
            with self.subTest(listen=listen, upstream=upstream):
                self.check_refused(2, "relay to itself", harness.WEIR_PROXY, "--listen", f"{listen}:{port}",
                                   "--upstream", f"{upstream}:{port}")
        with wire.Upstream() as upstream:  # another address of the same port is not itself
            with harness.Proxy(upstream.port, listen=f"127.0.0.2:{upstream.port}") as proxy:
                self.check_relays(proxy, upstream)

    def test_a_busy_port_of_one_address(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"localhost:{other.getsockname()[1]}"
            self.check_refused(1, "in use", WEIR_ECHO, "--listen", address)

    def test_no_local_ports(self):
        with setting("ipv4/ip_local_port_range", "40000 40003"), contextlib.ExitStack() as stack:
            upstream = stack.enter_context(wire.Upstream(port=50000))
            self.check_refused(1, "net.ipv4.ip_local_port_range", WEIR_LOAD, "--connect", "127.0.0.1:50000",
                               "--connections", "10")
            proxy = stack.enter_context(harness.Proxy(50000, listen="127.0.0.1:50001"))
            for _ in range(20):
                with contextlib.suppress(OSError):
                    stack.enter_context(wire.connect(proxy))
                if proxy.complaints():
                    break
            line = harness.until(proxy.complaints, "it says so")[0]
            self.assertIn("net.ipv4.ip_local_port_range", line)
            self.assertNotIn("is the server running", line)
            del upstream

    @unittest.skipUnless(no_io_uring.KNOWN, no_io_uring.UNKNOWN)
    def test_options_of_sockets_that_are_refused(self):
        setsockopt = no_io_uring.number_of(x86_64=54, aarch64=208)
        self.check_refused(1, "setsockopt", WEIR_ECHO, "--listen", "127.0.0.1:0",
                           preexec_fn=lambda: no_io_uring.forbid([setsockopt]))

    def test_load_at_a_name(self):
        with harness.Server(WEIR_ECHO) as echo:
            done = harness.run([WEIR_LOAD, "--connect", f"localhost:{echo.port}", "--warm-up", "0", "--seconds", "0.2"])
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_export_at_a_name(self):
        with harness.Server(WEIR_ECHO) as echo:
            command = [harness.WEIR_TOOL, "export", str(echo.pid), "--listen", "localhost:0"]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
                urls = re.findall(r"http://(\S+):(\d+)/metrics", process.stderr.readline())
                self.assertEqual({host for host, _ in urls}, {"[::1]", "127.0.0.1"})
                self.assertEqual(len({port for _, port in urls}), 1)
                for host, port in urls:
                    with socket.create_connection((host.strip("[]"), int(port)), timeout=harness.PATIENCE) as client:
                        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                        self.assertIn(b"200", wire.receive_all(client, 12))
                process.terminate()
                self.assertEqual(process.wait(harness.PATIENCE), 0)


if __name__ == "__main__":
    harness.main()
