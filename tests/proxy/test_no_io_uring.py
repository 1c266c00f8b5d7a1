#!/usr/bin/python3
"""Where io_uring is forbidden, as in Docker's default profile: weir-proxy and weir-echo (the variable WEIR_ECHO names
it) go on by epoll and say so; a strategy that needs io_uring is refused."""

import errno
import functools
import os
import shutil
import unittest

import harness
import no_io_uring
import wire
from no_io_uring import forbid_io_uring

WEIR_ECHO = harness.program("WEIR_ECHO")
MEGABYTE = 1 << 20
FORBIDDEN = "io_uring_disabled.*seccomp"


@unittest.skipUnless(no_io_uring.KNOWN, no_io_uring.UNKNOWN)
class NoIoUring(unittest.TestCase):
    def check_degraded(self, server, why=FORBIDDEN):
        """It says so once, whatever the number of its threads, and `weir stat` shows it."""
        lines = [line for line in server.said().splitlines() if "epoll" in line]
        self.assertEqual(len(lines), 1, server.said())
        self.assertRegex(lines[0], rf"^{server.name}: .*degraded to epoll: .*{why}")
        shown = harness.stat(server.pid)["receivers"]
        self.assertEqual({(receiver["strategy"], receiver["chosen"]) for receiver in shown}, {("epoll", True)})

    def check_relays(self, path=harness.WEIR_PROXY, **how):
        with (wire.Upstream() as upstream,
              harness.Proxy(upstream.port, "--threads", "2", path=path, before_exec=forbid_io_uring, **how) as proxy):
            pairs = [self.enterContext(wire.relayed(proxy, upstream)) for _ in range(8)]
            for sent, received in wire.exchange(pairs, 4 * MEGABYTE):
                self.assertEqual(received, sent)
            self.check_degraded(proxy)
            for pair in pairs:
                wire.talk(*pair)
                for end in pair:
                    end.close()

    def test_the_proxy_relays(self):
        self.check_relays()

    def test_so_it_does_for_an_ordinary_user(self):
        user = harness.unprivileged("nobody")
        if not user:
            self.skipTest("the other tests run as an ordinary user already")
        folder = self.enterContext(harness.temp_folder(user))
        program = shutil.copy(harness.WEIR_PROXY, folder / "weir-proxy")
        trial = harness.run([program, "--help"], **harness.identity(user))
        if trial.returncode != 0:
            self.skipTest(f"an ordinary user cannot run a copy of weir-proxy: {trial.stderr}")
        self.check_relays(path=program, user=user, env={"WEIR_PAGES": "4k"})

    def test_the_echo_server_answers(self):
        with harness.Server(WEIR_ECHO, "--threads", "2", before_exec=forbid_io_uring) as echo:
            for number in range(8):
                with wire.connect(echo) as client:
                    message = wire.content(100_000, seed=number)
                    _, answer = wire.at_once(lambda: client.sendall(message),
                                             lambda: wire.receive_all(client, len(message)))
                    self.assertEqual(answer, message)
            self.check_degraded(echo)

    def test_whichever_call_is_refused(self):
        """A policy may forbid one of the calls alone, and old kernels refuse what the memlock limit does not cover."""
        for call in no_io_uring.CALLS:
            for error, why in ((errno.EPERM, FORBIDDEN), (errno.ENOSYS, "Linux 5.10"), (errno.ENOMEM, "ulimit -l")):
                with self.subTest(call=call, error=errno.errorcode[error]):
                    forbid = functools.partial(forbid_io_uring, error, (call,))
                    with (harness.Server(WEIR_ECHO, "--threads", "2", before_exec=forbid) as echo,
                          wire.connect(echo) as client):
                        wire.talk(client, client)
                        self.check_degraded(echo, f"{call}.*{why}")
                    self.refuse(forbid, "ring", f"{call}.*{why}")

    def refuse(self, forbid, strategy, words):
        answer = harness.run([WEIR_ECHO, "--listen", "127.0.0.1:0", "--recv", strategy], timeout=10,
                             preexec_fn=forbid, env=dict(os.environ))
        self.assertEqual((answer.returncode, answer.stdout), (1, ""), answer.stderr)
        self.assertRegex(answer.stderr, rf"\Aweir-echo: [^\n]*io_uring[^\n]*{words}[^\n]*\n\Z")

    def test_what_was_asked_for_by_name_is_said(self):
        """Where epoll was asked for nothing is degraded, whether io_uring is forbidden or not."""
        for before_exec in (None, forbid_io_uring):
            with harness.Server(WEIR_ECHO, "--recv", "epoll", before_exec=before_exec) as echo:
                self.assertNotIn("degraded to epoll", echo.said())
                shown = harness.stat(echo.pid)["receivers"]
                self.assertEqual([receiver["strategy"] for receiver in shown], ["epoll"])

    def test_what_needs_io_uring_is_refused(self):
        for error, words in ((errno.EPERM, FORBIDDEN), (errno.ENOSYS, "Linux 5.10")):
            for strategy in ("ring", "poll_first"):
                with self.subTest(error=errno.errorcode[error], strategy=strategy):
                    self.refuse(functools.partial(forbid_io_uring, error), strategy, words)


if __name__ == "__main__":
    harness.main()
