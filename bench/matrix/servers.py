"""The servers that are measured, and how each is started on a processor of its own and stopped."""
import dataclasses
import os
import pathlib
import re
import shutil
import signal

import live
import machine

PROCESSORS = sorted(os.sched_getaffinity(0))[:2]  # the server's, and that of the load and all else
MOST_FILES = 8192
HAPROXY = """
global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 300s
  timeout server 300s
listen relay
  bind 127.0.0.1:{port}
  server echo 127.0.0.1:{upstream}
"""
NGINX = """
load_module {modules}/ngx_stream_module.so;
daemon off;
master_process off;
pid {folder}/nginx.pid;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
stream {{
  server {{
    listen 127.0.0.1:{port};
    proxy_pass 127.0.0.1:{upstream};
  }}
}}
"""
NGINX_MODULES = pathlib.Path("/usr/lib/nginx/modules")


@dataclasses.dataclass
class Row:
    """One that is measured. Its command and its file are told {port}, {upstream}, {pool} and {folder}."""
    name: str
    about: str
    command: list
    settings: dict = dataclasses.field(default_factory=dict)  # of the environment
    is_weir: bool = False
    file: str = ""  # what {folder}/conf has

    def told(self, **what):
        words = {"files": MOST_FILES, "modules": NGINX_MODULES, **what}
        return [word.format(**words) for word in self.command], self.file.format(**words)


class Running(live.Server):
    """A server that listens at `port`, until its block is left, whose end must be a good one."""

    def __init__(self, row, folder, processor, case, upstream=None):
        self.row, self.port = row, live.free_port()
        command, file = row.told(port=self.port, upstream=upstream, pool=case.pool, folder=folder)
        (folder / "conf").write_text(file, encoding="utf-8")
        settings = {**row.settings, **(case.settings if row.is_weir else {})}
        options = case.options if row.is_weir else []
        super().__init__(["taskset", "-c", str(processor), "env", *(f"{name}={settings[name]}" for name in settings),
                          *command, *options], folder / f"{row.name}.log")
        self.pid = self.process.pid
        try:
            self.wait_for(lambda: listens(self.port), row.name)
        except BaseException:
            self.stop()
            raise

    def __exit__(self, kind, *_):
        ended_itself = self.process.poll() is not None
        status = self.stop()
        if kind is KeyboardInterrupt:  # which the server had too
            return
        wrong = ended_itself or status not in ((0,) if self.row.is_weir else (0, -signal.SIGTERM))
        if wrong or (self.row.is_weir and "are back: NO" in self.said()):
            said = (self.said().splitlines() or ["nothing"])[-1]
            raise live.Failed(f"{self.row.name} ended badly (status {status}); it said: {said}")


def listens(port):
    """Asks the kernel, so that no connection is opened for it."""
    return f" 0100007F:{port:04X} 00000000:0000 0A " in machine.text_of("/proc/net/tcp")


def weir_echo(programs, strategy):
    return Row(f"weir {strategy}", "", [f"{programs}/weir-echo", "--listen", "127.0.0.1:{port}"],
               {"WEIR_RECV": strategy}, is_weir=True)


def bench_echo(programs, kind, about=""):
    return Row(kind, about, [f"{programs}/bench-echo", kind, "--listen", "127.0.0.1:{port}", "--pool", "{pool}"])


def echo_servers(programs, output_of):
    """weir-echo by each strategy, the automatic one first, and the others."""
    options = output_of([f"{programs}/weir", "env"])
    form = re.search(r"^WEIR_RECV=.*\n.*\n *takes (.*)$", re.sub(r"\033\[\d*m", "", options), re.M)[1]
    kinds = re.findall(r"^ +(\w+): (.*)$", output_of([f"{programs}/bench-echo", "--help"]), re.M)
    return [*(weir_echo(programs, strategy) for strategy in re.split(", | or ", form)),
            *(bench_echo(programs, *kind) for kind in kinds)]


def relays(programs):
    """weir-proxy and the others that are installed, and the names of those that are not."""
    rows = [Row("weir-proxy", "", [f"{programs}/weir-proxy", "--listen", "127.0.0.1:{port}", "--upstream",
                                   "127.0.0.1:{upstream}"], is_weir=True)]
    missing = []
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    haproxy, nginx = (shutil.which(name, path=path) for name in ("haproxy", "nginx"))
    if haproxy:
        rows.append(Row("HAProxy", f"{machine.version_of('haproxy')}, mode tcp, one thread",
                        [haproxy, "-db", "-f", "{folder}/conf"], file=HAPROXY))
    else:
        missing.append("HAProxy (haproxy)")
    if nginx and (NGINX_MODULES / "ngx_stream_module.so").exists():
        rows.append(Row("nginx", f"{machine.version_of('nginx')}, stream, one process",
                        [nginx, "-p", "{folder}", "-e", "stderr", "-c", "{folder}/conf"], file=NGINX))
    else:
        missing.append("nginx stream (libnginx-mod-stream)")
    return rows, missing
