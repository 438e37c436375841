"""Boots Debian systems under User Mode Linux through the provider's initramfs: to the login on their console and down again,
then as if on Xen as far as UML can (the helpers' changes), and back. `--help` has the options."""

import argparse
import atexit
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import namedtuple

import systems
from systems import Impossible

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
GUEST = os.path.join(ROOT, "tests", "lab", "uml", "guest")
MODULES = "/usr/lib/uml/modules"
HELPERS = "disable_tls,fstab,console,modules,udev_net,updatedb_off"
MEMORY_MB, SWAP_MB, OUT_MB = 192, 64, 16
# On an idle machine; a busy one gets more in proportion.
BOOT_S, STOP_S, SHORT_S = 90, 60, 60
CONSOLE = {"uml": "tty0", "xen": "hvc0"}
# What the helpers keep for themselves.
OURS = re.compile(r"\.xenbeta-orig$|/xenbeta-(console|updatedb)$")
# Puts the guest's /etc on the third disk and turns the guest off.
COPY = 'init=/bin/sh -- -c "tar cf /dev/ubdc /etc; sync; mount -t proc proc /proc; echo o > /proc/sysrq-trigger; sleep 60"'
# The names of Xen for what User Mode Linux has, so that a guest with Xen's names in its files can boot to its login.
AS_ON_XEN = """mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/udev/rules.d
cat > /run/udev/rules.d/50-xen.rules << 'END'
KERNEL=="ubda", SYMLINK+="xvda"
KERNEL=="ubda1", SYMLINK+="xvda1"
KERNEL=="ubdb", SYMLINK+="xvdb"
KERNEL=="tty0", SUBSYSTEM=="tty", SYMLINK+="hvc0", TAG+="systemd"
END
exec /sbin/init
"""
# A card, and nothing at its other end.
NETWORK = 'ip tuntap add tap0 mode tap && ip link set tap0 up && exec "$@"'
# What a guest says that is not well; it is shown, for much of it is the distribution's own.
BAD = re.compile(r"^.*(?:\[.*(?:FAILED|TIME|DEPEND).*\]|failed[ !]\(?|\* .*ERROR|Kernel panic).*$", re.MULTILINE)


def limit(seconds):
    return seconds * (1 + os.getloadavg()[0] / os.cpu_count())


class Broken(Exception):
    pass


def run(*command, **options):
    try:
        return systems.run(*command, **options)
    except (Impossible, subprocess.TimeoutExpired) as why:
        raise Broken(str(why)) from why


class Lab:
    def __init__(self, folder):
        self.folder, self.boots = folder, 0
        versions = os.listdir(MODULES)
        self.initramfs = self.path("initramfs")
        print(run(os.path.join(ROOT, "target", "debug", "xenbeta-agent"), "initramfs", "build", "--modules-dir",
                  os.path.join(MODULES, versions[0]), "--module", "btrfs", "--module", "xfs", "--out", self.initramfs))
        run(GUEST, "preload", self.path("xstate.so"))
        self.kernel = run("sh", "-c", "command -v linux.uml").strip()

    def path(self, *names):
        return os.path.join(self.folder, *names)


class Guest:
    """One boot. `words` are for the kernel's command line; `script` is at the beginning of the third disk."""

    def __init__(self, lab, name, platform, words="", script=""):
        lab.boots += 1
        self.console, self.began = lab.path(f"{name}.{lab.boots:02}.{platform}.console"), time.monotonic()
        system, out = systems.SYSTEMS[name], lab.path("out")
        with open(out, "w") as file:
            file.write(script)
            file.truncate(OUT_MB << 20)
        root = system.root if system.root.startswith("ubda") else "ubda"
        # By a link of its own: a UML that reboots runs its program again, and ends when the link is gone.
        self.leave, self.name = lab.path("linux"), f"xbimages{os.getpid()}"
        if not os.path.lexists(self.leave):
            os.symlink(lab.kernel, self.leave)
        self.socket = lab.path("umid", self.name, "mconsole")
        env = dict(os.environ)
        if os.path.exists(lab.path("xstate.so")):
            env["LD_PRELOAD"] = lab.path("xstate.so")
        with open(self.console, "wb") as console:
            self.process = subprocess.Popen(
                ["unshare", "--net", "sh", "-c", NETWORK, "sh", "setarch", "-R", self.leave, f"mem={MEMORY_MB}M",
                 f"ubda={lab.path('root')}", f"ubdb={lab.path('swap')}", f"ubdc={out}", f"initrd={lab.initramfs}",
                 f"root=/dev/{root}", "con=null", "con0=null,fd:2", "ssl=null", "eth0=tuntap,tap0,fe:fd:0a:4d:00:09",
                 f"umid={self.name}", f"uml_dir={lab.path('umid')}/", f"xb.platform={platform}", f"xb.root=/dev/{root}",
                 f"xb.helpers={HELPERS}", "net.ifnames=0", "ro", *filter(None, words.split(" ", 3))],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True, env=env)
        atexit.register(self.kill)

    def kill(self):
        atexit.unregister(self.kill)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def said(self):
        with open(self.console, errors="replace") as file:
            return file.read().replace("\r", "")

    def notes(self):
        return [line[9:] for line in self.said().splitlines() if line.startswith("xenbeta: ")]

    def wait(self, what, holds, seconds):
        """Until it holds; how long that was since the guest's start."""
        end = time.monotonic() + limit(seconds)
        while not holds():
            if time.monotonic() > end:
                self.kill()
                raise Broken(f"{what}: not within {limit(seconds):.0f} s\n{self.said()[-3000:]}")
            if self.process.poll() is not None and not holds():
                raise Broken(f"{what}: the guest ended before\n{self.said()[-3000:]}")
            time.sleep(0.1)
        return time.monotonic() - self.began

    def ended(self, seconds):
        self.wait("the guest's end", lambda: self.process.poll() is not None, seconds)
        atexit.unregister(self.kill)
        if not re.search(r"reboot: (Power down|Restarting system|System halted)", self.said()):
            raise Broken(f"the guest did not end by itself\n{self.said()[-3000:]}")

    def stop(self):
        """As the agent does: the leave to reboot is taken, then the keys are pressed."""
        os.unlink(self.leave)
        # The answer goes to an address of the guest's network namespace.
        run("nsenter", f"--net=/proc/{self.process.pid}/ns/net", "uml_mconsole", self.socket, "cad", timeout=60)
        begun = time.monotonic()
        self.ended(STOP_S)
        return time.monotonic() - begun


Booted = namedtuple("Booted", "platform booted stopped notes bad")


def multi_user(lab, name, platform="uml"):
    if platform == "xen":
        guest = Guest(lab, name, platform, "init=/bin/sh -- /dev/ubdc", AS_ON_XEN)
    else:
        guest = Guest(lab, name, platform)
    # What comes before the login says on which terminal it is. Newer systemd's has it open, and its name is the kernel's.
    where = rf"(?:^Debian GNU/Linux \S+ {name} {CONSOLE[platform]}$|Started.*Serial Getty on {CONSOLE[platform]}\b)"
    login = re.compile(rf"{where}.*^{name} login: ", re.MULTILINE | re.DOTALL)
    booted = guest.wait(f"the login on {CONSOLE[platform]}", lambda: login.search(guest.said()), BOOT_S)
    swap = re.compile(r"swap on /dev/(ubdb|xvdb)")
    guest.wait("swap", lambda: swap.search(guest.said()), SHORT_S)
    stopped = guest.stop()
    clean(lab, name)
    bad = sorted({line.strip() for line in BAD.findall(guest.said())})
    return Booted(platform, booted, stopped, guest.notes(), bad)


def clean(lab, name):
    """What the guest left is whole, by its file system's own checker."""
    system, disk = systems.SYSTEMS[name], lab.path("root")
    if system.fs == "btrfs":
        run("btrfs", "check", "--readonly", disk)
    elif system.fs == "xfs":
        run("xfs_repair", "-n", "-f", disk)
    else:
        part = f"{disk}?offset={systems.FIRST * systems.SECTOR}" if system.root == "ubda1" else disk
        state = re.search(r"Filesystem state: *(.*)", run("dumpe2fs", "-h", part)).group(1)
        if state != "clean":
            raise Broken(f"the root is {state} after the guest's end")
        run("e2fsck", "-fn", part)


def etc(lab, name, platform):
    """The guest's /etc after its helpers ran, and what they said."""
    guest = Guest(lab, name, platform, COPY)
    guest.ended(SHORT_S)
    with open(lab.path("out"), "rb") as file:
        archive = tarfile.open(fileobj=io.BytesIO(file.read()))
    files = {}
    for member in archive:
        content = archive.extractfile(member).read() if member.isreg() or member.islnk() else None
        files["/" + member.name] = (member.type in (tarfile.REGTYPE, tarfile.LNKTYPE), member.mode, member.uid, member.gid,
                                    "" if member.islnk() else member.linkname, content)
    return files, guest.notes()


def without_ours(files):
    return {path: about for path, about in files.items() if not OURS.search(path)}


def differences(before, after):
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def text(files, path):
    return files[path][5].decode()


def check_xen(name, uml, xen):
    """What must be so on Xen: every disk by its name there, and the init's login on hvc0."""
    system = systems.SYSTEMS[name]
    wanted = re.sub(r"^/dev/ubd", "/dev/xvd", text(uml, "/etc/fstab"), flags=re.MULTILINE)
    if text(xen, "/etc/fstab") != wanted:
        raise Broken(f"fstab on Xen:\n{text(xen, '/etc/fstab')}")
    login = {"systemd": "/etc/systemd/system/getty.target.wants/serial-getty@hvc0.service",
             "openrc": "/etc/runlevels/default/agetty.hvc0", "runit": "/etc/runit/runsvdir/default/getty-hvc0"}.get(system.init)
    if login and login not in xen:
        raise Broken(f"no {login} on Xen")
    if system.init == "sysvinit" and not re.search(r"^0:.*getty .* hvc0$", text(xen, "/etc/inittab"), re.MULTILINE):
        raise Broken("no login on hvc0 in inittab")


def one(lab, name):
    run("cp", "--sparse=always", "--reflink=auto", systems.image(name), lab.path("root"))
    with open(lab.path("swap"), "wb") as file:
        file.truncate(SWAP_MB << 20)
    run("mkswap", lab.path("swap"))
    boots = [multi_user(lab, name)]
    uml, notes = etc(lab, name, "uml")
    if notes:
        raise Broken(f"helpers have something to do where all is well: {notes}")
    xen, changes = etc(lab, name, "xen")
    check_xen(name, uml, xen)
    boots.append(multi_user(lab, name, "xen"))
    if boots[1].notes:
        raise Broken(f"the helpers' second run: {boots[1].notes}")
    back, _ = etc(lab, name, "uml")
    differ = differences(without_ours(uml), without_ours(back))
    if differ:
        raise Broken(f"not as before after there and back: {differ}")
    boots.append(multi_user(lab, name))
    return boots, changes


def short(notes):
    return "; ".join(re.sub(r" \(the first original .*\)", "", note.split(": ", 1)[-1]) for note in notes)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="the systems, and no more")
    parser.add_argument("system", nargs="*", help="only these")
    options = parser.parse_args()
    if options.list:
        for name, system in systems.SYSTEMS.items():
            print(name, *system[:4])
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix="xenbeta-images-", dir=os.environ.get("XENBETA_LAB_TMP", "/var/tmp"))
    lab, failed, rows = Lab(folder), False, []
    for name in options.system or systems.SYSTEMS:
        system = systems.SYSTEMS[name]
        row = [name, system.init, f"{system.root} {system.fs}"]
        try:
            boots, changes = one(lab, name)
        except Impossible as why:
            rows.append([*row, "SKIPPED", str(why), ""])
            print(f"SKIPPED {name}: {why}", flush=True)
            continue
        except Broken as why:
            failed = True
            rows.append([*row, "FAILED", str(why).splitlines()[0], ""])
            print(f"FAILED {name}: {why}", flush=True)
            continue
        rows.append([*row, ", ".join(f"{boot.booted:.0f}" for boot in boots), short(changes), "yes"])
        print(f"{name}: load {os.getloadavg()[0]:.0f} on {os.cpu_count()} processors")
        for boot in boots:
            print(f"    as on {boot.platform}: login after {boot.booted:.1f} s, down in {boot.stopped:.1f} s",
                  short(boot.notes), *boot.bad, sep="\n        ", flush=True)
    print("\n| system | init | root | booted: uml, as on xen, uml (s) | changes for Xen | there and back byte-equal |\n|" + " --- |" * 6)
    for row in rows:
        print(f"| {' | '.join(row)} |")
    if failed or os.environ.get("XENBETA_LAB_KEEP"):
        print(f"consoles are kept in {folder}")
        for name in ("root", "swap", "out", "initramfs"):
            if os.path.exists(lab.path(name)):
                os.unlink(lab.path(name))
    else:
        shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
