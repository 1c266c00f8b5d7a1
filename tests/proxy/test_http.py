#!/usr/bin/python3
"""curl against nginx through the proxy: downloads and uploads compared by SHA-256."""

import functools
import hashlib
import os
import unittest

import harness
import wire

SIZES = (0, 1, 511, 512, 513, 4095, 4096, 16385, 1 << 20, 100_000_000)
SMALL = SIZES[:-1]

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 200m;
  keepalive_requests 10000;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/files;
    location /put/ {{ root {folder}; dav_methods PUT; }}
    # Server-side includes hide the length, so that only the end of the connection ends the answer.
    location /close/ {{ alias {folder}/files/; ssi on; ssi_types *; chunked_transfer_encoding off; }}
  }}
}}
"""


def file_digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        nginx, cls.curl_path = harness.need("nginx", "curl")
        if "http_dav_module" not in harness.run([nginx, "-V"]).stderr:
            raise unittest.SkipTest("nginx has no dav module, so it takes no uploads")
        cls.folder = cls.enterClassContext(harness.temp_folder())
        for name in ("files", "put"):
            (cls.folder / name).mkdir()
        cls.digests = {}
        for seed, size in enumerate(SIZES):
            data = wire.content(size, seed)
            (cls.folder / "files" / str(size)).write_bytes(data)
            cls.digests[size] = wire.digest(data)
        port = harness.free_port()
        (cls.folder / "nginx.conf").write_text(CONFIGURATION.format(folder=cls.folder, port=port))
        command = [nginx, "-e", cls.folder / "error.log", "-c", cls.folder / "nginx.conf"]
        cls.enterClassContext(harness.server(command, lambda: harness.listens(port)))
        cls.proxy = cls.enterClassContext(harness.Proxy(port, "--threads", "2"))
        cls.site = f"http://127.0.0.1:{cls.proxy.port}"

    def curl(self, *arguments):
        answer = harness.run([self.curl_path, "--silent", "--show-error", "--fail", *arguments])
        self.assertEqual((answer.returncode, answer.stderr), (0, ""), arguments)
        return answer.stdout

    def test_downloads(self):
        for size in SIZES:
            with self.subTest(size=size):
                target = self.folder / "download"
                self.curl("-o", target, f"{self.site}/{size}")
                self.assertEqual(file_digest(target), self.digests[size])

    def test_uploads(self):
        for size in SIZES:
            with self.subTest(size=size):
                self.curl("-T", self.folder / "files" / str(size), f"{self.site}/put/{size}")
                self.assertEqual(file_digest(self.folder / "put" / str(size)), self.digests[size])

    def test_close_delimited(self):
        for size in SIZES[1:]:  # nginx gives an empty answer its length all the same
            with self.subTest(size=size):
                target, headers = self.folder / "closed", self.folder / "headers"
                self.curl("--http1.0", "-D", headers, "-o", target, f"{self.site}/close/{size}")
                self.assertNotIn("content-length", headers.read_text().lower())
                self.assertEqual(file_digest(target), self.digests[size])

    def test_many_requests_on_one_connection(self):
        requests = [SMALL[number % len(SMALL)] for number in range(600)]
        lines = []
        for number, size in enumerate(requests):
            lines += [f'url = "{self.site}/{size}"', f'output = "{self.folder}/kept.{number}"']
        lines.append(r'write-out = "%{num_connects}\n"')
        (self.folder / "requests").write_text("\n".join(lines))
        connects = self.curl("-K", self.folder / "requests").split()
        self.assertEqual((len(connects), sum(map(int, connects))), (len(requests), 1))
        for number, size in enumerate(requests):
            path = self.folder / f"kept.{number}"
            self.assertEqual(file_digest(path), self.digests[size], f"request {number} of {size} B")
            os.unlink(path)

    def test_parallel_downloads(self):
        sizes = (16385, 1 << 20) * 9 + (100_000_000,) * 2

        def download(number, size):
            self.curl("-o", self.folder / f"parallel.{number}", f"{self.site}/{size}")

        jobs = [functools.partial(download, *item) for item in enumerate(sizes)]
        wire.at_once(*jobs)
        for number, size in enumerate(sizes):
            path = self.folder / f"parallel.{number}"
            self.assertEqual(file_digest(path), self.digests[size], f"download {number} of {size} B")
            os.unlink(path)


if __name__ == "__main__":
    harness.main()
