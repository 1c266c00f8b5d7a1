"""Debian kernels for the guest, fetched by apt with lists of our own, so that this machine's apt is left alone."""
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile

SUITES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "bookworm"}  # the Debian that has each kernel
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Unavailable(Exception):
    """What a guest needs cannot be had here; the text says what, and how to get it."""


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(base, "weir-guest")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        advice = "set XDG_CACHE_HOME to a folder of yours"
        raise Unavailable(f"no place for the guest's kernel ({error}): {advice}") from error
    return folder


def output_of(command, what, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, **options)
    if done.returncode != 0:
        raise Unavailable(f"{what}: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    return done.stdout


def mirrors():
    """Where this machine gets Debian from: its archive and its security archive."""
    archive, security = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
    targets = output_of(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(RELEASE)"], "apt-get")
    for line in targets.splitlines():
        origin, _, rest = line.partition(" http")
        if origin != "Debian" or " " not in rest:
            continue
        uri, release = ("http" + rest).split(" ", 1)
        if release.endswith("-security"):
            security = uri
        elif "-" not in release:
            archive = uri
    return archive, security


def apt_options(suite, folder):
    """Options that make apt work on `suite` in `folder`, for any user."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    archive, security = mirrors()
    signed = f"deb [signed-by={KEYRING}]"
    (folder / "sources.list").write_text(
        f"{signed} {archive} {suite} main\n{signed} {security} {suite}-security main\n", encoding="utf-8")
    settings = {"APT::Sandbox::User": "root", "Acquire::Languages": "none", "Dir::Etc::SourceParts": "/dev/null",
                "Dir::Etc::SourceList": folder / "sources.list", "Dir::State::Lists": folder / "lists",
                "Dir::Cache": folder / "cache"}
    return ["-qq", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]


def download(version, target):
    with tempfile.TemporaryDirectory(prefix="weir-kernel.") as name:
        folder = pathlib.Path(name)
        options = apt_options(SUITES[version], folder)
        output_of(["apt-get", *options, "update"], "cannot read Debian's package lists (is there a network?)")
        pattern = rf"^linux-image-{re.escape(version)}\.[0-9]+.*-cloud-amd64$"
        found = output_of(["apt-cache", *options, "search", "--names-only", pattern], "apt-cache")
        packages = [line.split()[0] for line in found.splitlines() if "bpo" not in line and "deb11" not in line]
        if not packages:
            raise Unavailable(f"Debian {SUITES[version]} has no kernel {version} in its cloud-amd64 packages")
        newest = max(packages, key=lambda package: [int(number) for number in re.findall(r"\d+", package)])
        output_of(["apt-get", *options, "download", newest], f"cannot download {newest}", cwd=folder)
        unpack_kernel(next(folder.glob("*.deb")), target)


def unpack_kernel(package, target):
    part = target.with_name(target.name + ".part")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as unpacked:
        with tarfile.open(fileobj=unpacked.stdout, mode="r|") as files:
            for member in files:
                if member.name.startswith("./boot/vmlinuz-"):
                    with open(part, "wb") as kernel:
                        shutil.copyfileobj(files.extractfile(member), kernel)
    if unpacked.returncode != 0 or not part.exists():
        raise Unavailable(f"no kernel in {package.name}")
    part.rename(target)


def fetch(version):
    """The path of a kernel of that version. Downloaded once; remove the file to get a newer one."""
    target = cache_folder() / f"vmlinuz-{version}"
    with open(target.with_name(target.name + ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            for program in ("apt-get", "dpkg-deb"):
                if not shutil.which(program):
                    raise Unavailable(f"{program} is not installed, and the guest's kernel comes from Debian")
            download(version, target)
    return target
