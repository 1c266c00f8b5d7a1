#!/usr/bin/python3
"""pgbench and COPY against PostgreSQL through the proxy."""

import glob
import os
import random
import re
import signal
import unittest

import harness
import wire


class Postgres(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        if not folders:
            raise unittest.SkipTest("PostgreSQL is not installed")
        cls.pgbench_path, cls.psql_path = harness.need("pgbench", "psql")
        user = harness.unprivileged("postgres")
        cls.folder = cls.enterClassContext(harness.temp_folder(user))
        data = cls.folder / "data"
        initdb = [f"{folders[-1]}/initdb", "-D", data, "-U", "weir", "-A", "trust", "-E", "UTF8",
                  "--no-locale", "--no-sync"]
        made = harness.run(initdb, cwd="/", **harness.identity(user))
        if made.returncode != 0:
            raise AssertionError(f"initdb: {made.stderr}")
        port = harness.free_port()
        command = [f"{folders[-1]}/postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", cls.folder,
                   "-c", "fsync=off", "-c", "dynamic_shared_memory_type=mmap"]
        cls.database = {"PGHOST": "127.0.0.1", "PGUSER": "weir", "PGDATABASE": "postgres"}
        cls.enterClassContext(harness.server(command, lambda: cls.answers(port), user, end=signal.SIGINT))
        cls.proxy = cls.enterClassContext(harness.Proxy(port, "--threads", "2"))
        cls.run_client([cls.pgbench_path, "-i", "-s", "2", "-q"])

    @classmethod
    def answers(cls, port):
        return cls.ask(port, [cls.psql_path, "-c", "select 1"]).returncode == 0

    @classmethod
    def ask(cls, port, command):
        return harness.run(command, env={**os.environ, **cls.database, "PGPORT": str(port)})

    @classmethod
    def run_client(cls, command):
        answer = cls.ask(cls.proxy.port, command)
        if answer.returncode != 0:
            raise AssertionError(f"{command}: {answer.stderr}{answer.stdout}")
        return answer.stdout + answer.stderr

    def psql(self, statement):
        return self.run_client([self.psql_path, "-X", "-q", "-t", "-A", "-c", statement])

    def test_pgbench(self):
        report = self.run_client([self.pgbench_path, "-c", "8", "-j", "2", "-T", "5"])
        self.assertIn("number of failed transactions: 0 (0.000%)", report)
        done = int(re.search(r"transactions actually processed: (\d+)", report)[1])
        self.assertGreater(done, 0)
        self.assertEqual(int(self.psql("select count(*) from pgbench_history")), done)
        self.assertNotRegex(report, r"(?i)error|abort")

    def test_copy(self):
        source, target = self.folder / "in", self.folder / "out"
        dice = random.Random(2)
        rows = [f"{row}\t{dice.randbytes(dice.randrange(1, 200)).hex()}" for row in range(80_000)]
        source.write_text("\n".join(rows) + "\n")
        self.psql("create table copied (id int, text text)")
        self.psql(rf"\copy copied from '{source}'")
        self.psql(rf"\copy (select * from copied order by id) to '{target}'")
        self.assertEqual(wire.digest(target.read_bytes()), wire.digest(source.read_bytes()))


if __name__ == "__main__":
    harness.main()
