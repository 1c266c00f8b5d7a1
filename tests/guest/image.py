"""The guest's initial file system: a cpio archive put together in memory."""
import os
import pathlib
import re
import shutil
import stat
import subprocess


class Image:
    def __init__(self):
        self.entries = {}  # guest path -> (mode, owner, bytes)

    def add_folder(self, path, mode=0o755, owner=0):
        path = pathlib.PurePosixPath(path)
        for parent in reversed(path.parents):  # the kernel unpacks in this order
            self.entries.setdefault(str(parent), (stat.S_IFDIR | 0o755, 0, b""))
        self.entries[str(path)] = (stat.S_IFDIR | mode, owner, b"")

    def add_bytes(self, path, content, mode=0o644):
        if str(pathlib.PurePosixPath(path).parent) not in self.entries:
            self.add_folder(pathlib.PurePosixPath(path).parent)
        self.entries[str(path)] = (stat.S_IFREG | mode, 0, content)

    def add_file(self, source, path=None):
        """A file of this machine, by default at the same place; a program brings its libraries along."""
        path = path or os.path.abspath(source)
        if path in self.entries:
            return
        content = pathlib.Path(source).read_bytes()
        self.add_bytes(path, content, 0o755 if os.access(source, os.X_OK) else 0o644)
        if content.startswith(b"\x7fELF"):
            for library in libraries_of(source):
                self.add_file(library)

    def add_tree(self, source, path=None):
        source = os.path.abspath(source)
        for folder, _, files in os.walk(source, followlinks=True):
            inside = folder.replace(source, path or source, 1)
            self.add_folder(inside)
            for name in files:
                self.add_file(os.path.join(folder, name), os.path.join(inside, name))

    def write(self, file):
        for number, (path, (mode, owner, content)) in enumerate(self.entries.items(), 1):
            if path != "/":
                file.write(cpio_entry(number, path.lstrip("/"), mode, owner, content))
        file.write(cpio_entry(0, "TRAILER!!!", 0, 0, b""))


def cpio_entry(number, name, mode, owner, content):
    encoded = os.fsencode(name) + b"\0"
    fields = (number, mode, owner, owner, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + "".join(f"{field:08x}" for field in fields).encode() + encoded
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


def libraries_of(program):
    """Every shared object that the loader would map, itself included; none for a static program."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False,
                          env={**os.environ, "LC_ALL": "C"}).stdout
    missing = re.findall(r"(\S+) => not found", said)
    if missing:
        raise FileNotFoundError(f"{program} needs {', '.join(missing)}, which is not here")
    return re.findall(r"(/\S+) \(0x", said)


def find_program(name):
    path = name if "/" in name else shutil.which(name)
    if not path or not os.path.isfile(path):
        raise FileNotFoundError(f"{name}: there is no such program")
    return path
