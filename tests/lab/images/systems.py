"""Root disks of Debian systems as customers have them under User Mode Linux: nothing in them knows of Xen. Made with
debootstrap, kept in ~/.cache/xenbeta-lab under a hash of what they are made from; nothing is mounted."""

import fcntl
import glob
import hashlib
import inspect
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections import namedtuple

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "xenbeta-lab")
UUID = "6f0c1d52-8a0e-4a7e-9d5c-2b7e4c1f9a10"
# To the partition, where there is one.
SECTOR, FIRST = 512, 2048

# `root` is how fstab calls it: LABEL, UUID, or a device.
System = namedtuple("System", "suite init root fs packages")
PACKAGES = ["e2fsprogs", "ifupdown", "iproute2", "kmod", "logsave", "netbase", "procps", "udev"]
SYSTEMS = {
    "debian11-systemd": System("bullseye", "systemd", "LABEL", "ext4", ["systemd-sysv", "dbus"]),
    "debian12-systemd": System("bookworm", "systemd", "UUID", "ext4", ["systemd-sysv", "dbus"]),
    "debian13-systemd": System("trixie", "systemd", "ubda1", "ext4", ["systemd-sysv", "dbus"]),
    "debian12-systemd-btrfs": System("bookworm", "systemd", "ubda", "btrfs", ["systemd-sysv", "btrfs-progs"]),
    "debian12-sysvinit": System("bookworm", "sysvinit", "ubda", "ext3", ["sysvinit-core"]),
    "debian13-sysvinit-xfs": System("trixie", "sysvinit", "ubda", "xfs", ["sysvinit-core", "xfsprogs"]),
    "debian12-openrc-btrfs": System("bookworm", "openrc", "LABEL", "btrfs", ["openrc", "btrfs-progs"]),
    "debian12-runit": System("bookworm", "runit", "ubda", "ext4", ["runit-init"]),
}


class Impossible(Exception):
    """This machine cannot make that image; why."""


def image(name):
    """The system's root disk, made if it is not there yet; to be copied, not to be used itself."""
    system = SYSTEMS[name]
    recipe = repr((PACKAGES, system)) + inspect.getsource(Tree) + inspect.getsource(disk)
    folder = os.path.join(CACHE, "images")
    os.makedirs(folder, exist_ok=True)
    made = os.path.join(folder, f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.img")
    with open(os.path.join(folder, f"{name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(made):
            print(f"images: making {name} (one to three minutes)", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=folder, prefix=f"{name}.") as work:
                tree = Tree(os.path.join(work, "tree"), name, system)
                disk(tree.path, os.path.join(work, "disk"), system)
                for old in glob.glob(os.path.join(folder, f"{name}-{'?' * 12}.img")):
                    os.unlink(old)
                os.rename(os.path.join(work, "disk"), made)
    return made


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode:
        raise Impossible(f"{command[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
    return done.stdout


def mirror():
    """Where this machine's own apt takes Debian's packages from; nothing if it does not say."""
    fields = "$(CREATED_BY)|$(COMPONENT)|$(ORIGIN)|$(LABEL)|$(REPO_URI)"
    said = subprocess.run(["apt-get", "indextargets", "--format", fields], capture_output=True, text=True).stdout
    found = [line.rsplit("|", 1)[1] for line in said.splitlines() if line.startswith("Packages|main|Debian|Debian|")]
    return [found[0].rstrip("/")] if found else []


class Tree:
    """A system's files: Debian's own, and those that a guest of User Mode Linux has."""

    def __init__(self, path, name, system):
        self.path = path
        debs = os.path.join(CACHE, "debs", system.suite)
        os.makedirs(debs, exist_ok=True)
        packages = ",".join(PACKAGES + system.packages)
        run("debootstrap", "--variant=minbase", f"--cache-dir={debs}", f"--include={packages}", system.suite, path, *mirror())
        getattr(self, system.init)()
        for folder in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(self.at(folder), ignore_errors=True)
            os.makedirs(self.at(folder))
        root = {"LABEL": f"LABEL={name[:12]}", "UUID": f"UUID={UUID}"}.get(system.root, f"/dev/{system.root}")
        options = "errors=remount-ro" if system.fs.startswith("ext") else "defaults"
        checked = 1 if system.fs.startswith("ext") else 0
        self.write("etc/fstab", f"# <file system> <mount point> <type> <options> <dump> <pass>\n"
                                f"{root}\t/\t{system.fs}\t{options},noatime\t0 {checked}\n/dev/ubdb\tnone\tswap\tsw\t0 0\n")
        self.write("etc/hostname", f"{name}\n")
        self.write("etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
        self.write("etc/network/interfaces", "auto lo eth0\niface lo inet loopback\niface eth0 inet static\n"
                                             "    address 10.77.0.9/24\n    gateway 10.77.0.1\n")

    def at(self, path):
        return os.path.join(self.path, path)

    def write(self, path, text, mode=0o644):
        with open(self.at(path), "w") as file:
            file.write(text)
        os.chmod(self.at(path), mode)

    def link(self, target, path):
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        os.symlink(target, self.at(path))

    def systemd(self):
        run("chroot", self.path, "systemctl", "-q", "enable", "getty@tty0")
        run("chroot", self.path, "systemctl", "-q", "mask", "apt-daily.timer", "apt-daily-upgrade.timer")

    def sysvinit(self):
        with open(self.at("etc/inittab")) as file:
            lines = file.read().splitlines()
        for number, line in enumerate(lines):
            if line.endswith(" tty1"):
                lines[number] = "0:2345:respawn:/sbin/getty --noclear 38400 tty0"
            elif "getty 38400 tty" in line and not line.startswith("#"):
                lines[number] = f"#{line}"
        self.write("etc/inittab", "\n".join(lines) + "\n")

    def openrc(self):
        """OpenRC's own init, with its own login; an inittab is there from the init before it."""
        # Of the several that initscripts would do with, debootstrap takes the first, which is at odds with OpenRC.
        self.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        for words in (["update"], ["install", "-y", "--no-install-recommends", "initscripts"]):
            run("chroot", self.path, "apt-get", "-q", *words, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        os.unlink(self.at("usr/sbin/policy-rc.d"))
        self.link("openrc-init", "sbin/init")
        self.link("agetty", "etc/init.d/agetty.tty0")
        self.link("/etc/init.d/agetty.tty0", "etc/runlevels/default/agetty.tty0")
        self.write("etc/inittab", "id:2:initdefault:\n0:2345:respawn:/sbin/getty 38400 tty0\n")

    def runit(self):
        """A login of the customer's on tty0; an inittab is there from the init before it."""
        shutil.copytree(self.at("etc/sv/getty-tty1"), self.at("etc/sv/getty-tty0"), symlinks=True)
        for name in ("run", "finish"):
            with open(self.at(f"etc/sv/getty-tty1/{name}")) as file:
                self.write(f"etc/sv/getty-tty0/{name}", file.read().replace("tty1", "tty0"), 0o755)
        services = "etc/runit/runsvdir/default"
        for name in os.listdir(self.at(services)):
            if name.startswith("getty-"):
                os.unlink(self.at(f"{services}/{name}"))
        self.link("/etc/sv/getty-tty0", f"{services}/getty-tty0")
        self.write("etc/inittab", "id:2:initdefault:\n0:2345:respawn:/sbin/getty 38400 tty0\n")


def disk(tree, path, system):
    label, size = os.path.basename(os.path.dirname(tree)).split(".")[0][:12], 1 << 30
    with open(path, "wb") as file:
        file.truncate(size)
    if system.fs == "btrfs":
        run("mkfs.btrfs", "-q", "-L", label, "-U", UUID, "--rootdir", tree, path)
    elif system.fs == "xfs":
        with open(f"{path}.proto", "w") as file:
            prototype(tree, file)
        run("mkfs.xfs", "-q", "-L", label, "-m", f"uuid={UUID}", "-p", f"{path}.proto", path)
    else:
        first = FIRST * SECTOR if system.root[-1].isdigit() else 0
        run("mke2fs", "-q", "-t", system.fs, "-L", label, "-U", UUID, "-E", f"offset={first}", "-d", tree, path,
            f"{(size - first) >> 10}K")
        if first:
            run("sfdisk", "-q", path, input=f"label: dos\nstart={FIRST}, type=83, bootable\n")


def prototype(tree, out):
    """A list of all files for mkfs.xfs. It knows no sticky bit; nor has Debian names with blanks."""
    out.write("none\n0 0\nd--755 0 0\n")

    def folder(path):
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            about = entry.stat(follow_symlinks=False)
            kind = {stat.S_IFDIR: "d", stat.S_IFREG: "-", stat.S_IFLNK: "l", stat.S_IFCHR: "c", stat.S_IFBLK: "b",
                    stat.S_IFIFO: "p"}[stat.S_IFMT(about.st_mode)]
            bits = ("u" if about.st_mode & 0o4000 else "-") + ("g" if about.st_mode & 0o2000 else "-")
            out.write(f"{entry.name} {kind}{bits}{about.st_mode & 0o777:03o} {about.st_uid} {about.st_gid}")
            if kind == "-":
                out.write(f" {entry.path}")
            elif kind == "l":
                out.write(f" {os.readlink(entry.path)}")
            elif kind in "cb":
                out.write(f" {os.major(about.st_rdev)} {os.minor(about.st_rdev)}")
            out.write("\n")
            if kind == "d":
                folder(entry.path)
                out.write("$\n")

    folder(tree)
    out.write("$\n")


if __name__ == "__main__":
    try:
        for wanted in sys.argv[1:]:
            print(image(wanted))
    except Impossible as why:
        sys.exit(f"images: {why}")
