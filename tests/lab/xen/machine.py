"""A machine in QEMU that runs the image of a Xen host, and the channel to run commands in it."""

import json
import os
import shutil
import signal
import subprocess
import time

from channel import Broken, Busy, Channel, Done  # noqa: F401 (Broken and Done are this module's too)

HERE = os.path.dirname(os.path.abspath(__file__))
PORTS = 4
# An old processor, with what encryption profits of. Emulated newer ones go wrong under Xen: with SMAP a control domain dies
# in its first instructions; with FSGSBASE, AVX and their like, programs in guests now and then find their memory changed.
CPU = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq"


def run(*words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Broken(f"{' '.join(map(str, words))}: {done.returncode} {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout


def image():
    done = subprocess.run([os.path.join(HERE, "image"), "dom0"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Broken("the image could not be made")
    return done.stdout.strip()


class Machine:
    """`folder` holds everything of one machine. `facts` is what it was described as; it survives in `facts.json`."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.process = None
        self.facts = {}
        try:
            with open(self.path("facts.json")) as file:
                self.facts = json.load(file)
        except FileNotFoundError:
            pass

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def describe(self, **facts):
        os.makedirs(self.path("share"), exist_ok=True)
        self.facts = facts
        with open(self.path("facts.json"), "w") as file:
            json.dump(facts, file, indent=1)

    # --- coming and going ---

    def up(self, limit=240):
        """Boots it with the disks it has; returns the seconds that took."""
        if self.pid():
            raise Broken(f"{self.facts['name']} runs already")
        begun = time.monotonic()
        made = image()
        self._network()
        self._disks(made)
        self._initrd(made)
        self._start(made)
        while True:
            if not self.pid():
                raise Broken(f"QEMU ended: {self.tail('qemu.log')}\n{self.tail('console.log')}")
            left = limit - (time.monotonic() - begun)
            if left < 0:
                raise Broken(f"{self.facts['name']}: not up in {limit:.0f} s\n{self.tail('console.log')}")
            try:
                if self.call(["cat", "/run/lab-up"], limit=5).status == 0:
                    return time.monotonic() - begun
            except Broken:
                pass
            time.sleep(0.2)

    def kill(self):
        """A power cut. The disks stay as they are; what the machine had not flushed out of its memory is lost."""
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
            if self.process:
                self.process.wait()
            for _ in range(500):
                if not self.pid():
                    break
                time.sleep(0.01)

    def down(self, keep=False):
        self.kill()
        if self.facts.get("owns_netns"):
            subprocess.run(["ip", "netns", "delete", self.facts["netns"]], stderr=subprocess.DEVNULL)
        elif self.facts:
            subprocess.run([*self._inside(), "ip", "link", "delete", self._tap()], stderr=subprocess.DEVNULL)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def pid(self):
        """QEMU's process; None if it is gone. The folder's name on its command line tells it from a later process."""
        if self.process:
            return self.process.pid if self.process.poll() is None else None
        try:
            with open(self.path("qemu.pid")) as file:
                pid = int(file.read())
            with open(f"/proc/{pid}/cmdline") as file:
                return pid if self.path("root.qcow2") in file.read() else None
        except (OSError, ValueError):
            return None

    def _inside(self):
        return ["ip", "netns", "exec", self.facts["netns"]] if self.facts.get("netns") else []

    def _tap(self):
        return f"t-{self.facts['name']}"[:15]

    def _network(self):
        inside, bridge = self._inside(), self.facts["bridge"]
        if self.facts.get("owns_netns") and not os.path.exists(f"/run/netns/{self.facts['netns']}"):
            run("ip", "netns", "add", self.facts["netns"])
            run(*inside, "ip", "link", "set", "lo", "up")
        if subprocess.run([*inside, "ip", "link", "show", bridge], capture_output=True).returncode != 0:
            run(*inside, "ip", "link", "add", bridge, "type", "bridge")
            run(*inside, "ip", "addr", "add", "10.77.0.1/24", "dev", bridge)
            run(*inside, "ip", "link", "set", bridge, "up")
        subprocess.run([*inside, "ip", "link", "delete", self._tap()], capture_output=True)
        run(*inside, "ip", "tuntap", "add", self._tap(), "mode", "tap")
        run(*inside, "ip", "link", "set", self._tap(), "master", bridge, "up")

    def _disks(self, made):
        if not os.path.exists(self.path("root.qcow2")):
            run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", f"{made}/root.img", self.path("root.qcow2"))
            with open(self.path("data.img"), "wb") as file:
                file.truncate(self.facts["disk"] << 20)

    def _initrd(self, made):
        """Small, and made each time: it carries the lab's own programs, so that the image needs no change for them."""
        tree = self.path("initrd.tree")
        shutil.rmtree(tree, ignore_errors=True)
        os.makedirs(f"{tree}/bin")
        shutil.copy(f"{made}/busybox", f"{tree}/bin/busybox")
        shutil.copytree(f"{made}/modules", f"{tree}/modules")
        shutil.copytree(os.path.join(HERE, "dom0"), f"{tree}/lab")
        os.rename(f"{tree}/lab/initrd", f"{tree}/init")
        os.symlink("/bin/busybox", f"{tree}/lab/init")
        run("sh", "-c", 'cd "$1" && find . | bin/busybox cpio -o -H newc > "$2"', "sh", tree, self.path("initrd"))
        shutil.rmtree(tree)

    def _start(self, made):
        facts = self.facts
        linux = f"root=/dev/vda rw net.ifnames=0 quiet mitigations=off lab.name={facts['name']} lab.address={facts['address']}/24 lab.gateway=10.77.0.1"
        if facts["plain"]:
            boot = ["-kernel", f"{made}/vmlinuz", "-initrd", self.path("initrd"), "-append", f"{linux} console=ttyS0"]
        else:
            xen = f"dom0_mem={facts['dom0_memory']}M,max:{facts['dom0_memory']}M console=com1 com1=115200,8n1 loglvl=warning spec-ctrl=no xpti=no pv-l1tf=no"
            # A comma separates multiboot modules; neither path may have one.
            boot = ["-kernel", f"{made}/xen.elf", "-append", xen,
                    "-initrd", f"{made}/vmlinuz {linux} console=hvc0,{self.path('initrd')}"]
        ports = []
        for number in range(PORTS):
            socket = self.path(f"control{number}")
            if os.path.exists(socket):
                os.unlink(socket)
            # QEMU changes into the folder: a socket's path may have 107 bytes only.
            ports += ["-chardev", f"socket,id=c{number},path=control{number},server=on,wait=off",
                      "-device", f"virtserialport,chardev=c{number},name=control{number}"]
        command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", facts["cpus"],
                   "-m", facts["memory"], "-nodefaults", "-display", "none", "-serial", f"file:{self.path('console.log')}",
                   "-no-reboot", *boot,
                   "-drive", f"file={self.path('root.qcow2')},format=qcow2,if=virtio,cache=writeback,discard=unmap",
                   "-drive", f"file={self.path('data.img')},format=raw,if=virtio,cache=writeback,discard=unmap",
                   "-netdev", f"tap,id=n0,ifname={self._tap()},script=no,downscript=no",
                   "-device", f"virtio-net-pci,netdev=n0,mac={self.mac()},romfile=",
                   "-virtfs", f"local,path={self.path('share')},mount_tag=share,security_model=none",
                   "-device", "virtio-serial-pci", *ports]
        with open(self.path("qemu.log"), "ab") as log:
            self.process = subprocess.Popen([*self._inside(), *map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, cwd=self.folder)
        with open(self.path("qemu.pid"), "w") as file:
            file.write(str(self.process.pid))

    def mac(self):
        return "52:54:00:" + ":".join(f"{int(part):02x}" for part in self.facts["address"].split(".")[1:])

    # --- what is done in it ---

    def call(self, words, limit=120, given=None, env=None, out=None, err=None, log=None):
        """Runs a command in it. Returns a Done: status, out, err (bytes, or written to the files given), error. With `log`
        (a path in the machine) the command is only started, and goes on by itself."""
        begun = time.monotonic()
        while True:
            for number in range(PORTS):
                try:
                    with Channel(self.folder, number) as channel:
                        return channel.call(words, limit, given, env, out, err, log)
                except Busy:
                    continue
            if time.monotonic() - begun > limit:
                raise Broken("every port of the control channel is busy")
            time.sleep(0.05)

    def check(self, *words, **options):
        """The command's output as text; it must succeed."""
        done = self.call([str(word) for word in words], **options)
        if done.status != 0 or done.error:
            raise Broken(f"{self.facts['name']}: {' '.join(map(str, words))}: {done.status} {done.error or ''}\n"
                         f"{done.out[-2000:].decode('utf-8', 'replace')}{done.err[-2000:].decode('utf-8', 'replace')}")
        return done.out.decode("utf-8", "replace")

    def sh(self, text, **options):
        return self.check("sh", "-ec", text, **options)

    def put(self, source, target):
        """A program is stripped on its way: its debugging information is most of it, and TCG is slow."""
        staged = self.path("share", f".put-{os.getpid()}-{time.monotonic_ns()}")
        try:
            if subprocess.run(["strip", "-o", staged, source], capture_output=True).returncode != 0:
                shutil.copy(source, staged)
            os.chmod(staged, os.stat(source).st_mode & 0o777)
            name = os.path.basename(staged)
            self.sh(f'mkdir -p "$(dirname "$1")"; cp "/share/{name}" "$1.part"; chmod {os.stat(source).st_mode & 0o777:o} "$1.part"; mv "$1.part" "$1"'
                    .replace("$1", str(target)), limit=300)
        finally:
            if os.path.exists(staged):
                os.unlink(staged)

    def get(self, source, target):
        staged = f".get-{os.getpid()}-{time.monotonic_ns()}"
        try:
            self.check("cp", "--sparse=always", source, f"/share/{staged}", limit=300)
            shutil.move(self.path("share", staged), target)
        finally:
            if os.path.exists(self.path("share", staged)):
                os.unlink(self.path("share", staged))

    def tail(self, name, size=3000):
        try:
            with open(self.path(name), "rb") as file:
                return file.read()[-size:].decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
