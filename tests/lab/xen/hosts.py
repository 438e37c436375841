"""A User Mode Linux host and Xen hosts beside the portal, on one switch."""

import glob
import os
import shutil
import subprocess
import threading
import time

import customers
import machine
import world
from portal import PORT, Portal
from watcher import Witness
from world import GATEWAY, run

PORTAL_URL = f"http://{GATEWAY}:{PORT}"
AGENT, CONFIG, STATE, INITRAMFS = "/usr/local/bin/xenbeta-agent", "/etc/xenbeta/agent.toml", "/var/lib/xenbeta-agent", "/boot/guests.img"
UP_LIMIT = 240
STORES = {"lvm": 'store = "lvm"\nvg = "vg0"', "files": 'store = "files"\ndir = "/srv/linodes"'}


class XenHost:
    """One machine in QEMU and the agent in it; looks like any other program of the lab, so that it can be killed and revived."""

    def __init__(self, name, number, folder, binary, memory, store):
        self.name, self.address, self.binary, self.store = name, f"10.77.0.{1 + number}", binary, STORES[store]
        self.machine = machine.Machine(folder)
        self.machine.describe(name=name, memory=memory, dom0_memory=704, cpus=1, disk=8192, plain=False, netns=None, bridge="br0",
                              address=self.address, owns_netns=False)
        self.log = self.machine.path("share", "agent.log")
        self.process = None
        self.took = None

    def boot(self):
        """The machine comes up, with the witness in it."""
        self.took = self.machine.up(UP_LIMIT)
        self.machine.call(["/lab/witness"], log="/share/witness.log", limit=30)

    def prepare(self, token):
        """What an operator does on a new host: the program, its configuration, the guests' initramfs, enrolment."""
        self.machine.put(self.binary, AGENT)
        version = self.machine.sh("ls /lib/modules").strip()
        self.machine.sh(f"cat >/share/agent.toml; mkdir -p /etc/xenbeta /srv/linodes {STATE}; cp /share/agent.toml {CONFIG}",
                        given=self.config(version).encode())
        # Made outside: it packs 300 modules, and that takes minutes where everything is emulated.
        built = self.machine.path("guests.img")
        modules = self.machine.path("modules")
        if not os.path.exists(built):
            os.makedirs(modules)
            run("debugfs", "-R", f"rdump /usr/lib/modules/{version} {modules}", os.path.join(machine.image(), "root.img"))
            run(self.binary, "initramfs", "build", "--modules-dir", os.path.join(modules, version), "--out", built)
            shutil.rmtree(modules)
        self.machine.put(built, INITRAMFS)
        self.machine.check(AGENT, "enrol", "--config", CONFIG, env={"XENBETA_ENROL_TOKEN": token}, limit=60)
        # A real host has had its programs on disk for long when its power goes.
        self.machine.check("sync", limit=60)

    def config(self, version):
        return f"""
portal = "{PORTAL_URL}"
state_dir = "{STATE}"
slots = 4
[transfer]
listen = "{self.address}:7440"
[disks]
{self.store}
[driver]
kind = "xen"
bridge = "xenbr0"
memory_mb = 1024
create_limit_s = 900
[[driver.kernels]]
id = "{customers.XEN_KERNEL}"
label = "6.1 (Xen)"
family = "2.6"
path = "/boot/vmlinuz-{version}"
initramfs = "{INITRAMFS}"
"""

    # --- as a program ---

    def start(self):
        if not self.machine.pid():
            self.boot()
        self.pid = self.machine.call([AGENT, "run", "--config", CONFIG], log="/share/agent.log", limit=30).pid
        time.sleep(1)
        self.machine.check("kill", "-0", self.pid, limit=30)
        self.process = self
        return self

    def poll(self):
        return None if self.machine.pid() else 1

    def kill(self, _number=9):
        """A power cut, not a mere end of the agent."""
        self.machine.kill()
        path = self.machine.path("share", "domains")
        if os.path.exists(path):
            os.unlink(path)

    def check(self):
        assert self.machine.pid(), f"{self.name}: QEMU ended\n{self.machine.tail('console.log')}"

    def tail(self, size=3000):
        return self.machine.tail("share/agent.log", size) + "\n" + self.machine.tail("console.log", 500)

    def keep_logs(self, folder):
        for name in ("console.log", "qemu.log", "share/agent.log", "share/witness.log"):
            if os.path.exists(self.machine.path(name)):
                shutil.copy(self.machine.path(name), os.path.join(folder, f"{self.name}-{os.path.basename(name)}"))
        try:
            said = self.machine.call(["sh", "-c", "tail -n 200 /var/log/xen/console/* /var/log/xen/*.log; xl list; lvs; ps ax; dmesg | tail -n 50; "
                                      f"ls -la {STATE} {STATE}/*; cat {STATE}/ledger/*"], limit=30)
            with open(os.path.join(folder, f"{self.name}-inside.log"), "wb") as file:
                file.write(said.out + said.err)
        except machine.Broken as fault:
            with open(os.path.join(folder, f"{self.name}-inside.log"), "w") as file:
                file.write(f"{fault}\n")


class Lab(Portal):
    listen = f"0.0.0.0:{PORT}"

    def __init__(self, folder, linodes, xen_roles, database, profile, store, memory=2048):
        """`xen_roles`: what the Xen hosts are, `beta` first."""
        names = {f"xen{number}": role for number, role in enumerate(xen_roles, 1)}
        super().__init__(folder, linodes, {"uml1": "source", **names}, database, profile)
        self.xen = {name: XenHost(name, number, self.path(name), self.agent_binary, memory, store)
                    for number, name in enumerate(names, 1)}

    def disks(self, host):
        return self.path("store", host)

    def write_fleet(self, path):
        customers.write_fleet(path, self.linodes, self.hosts)

    def begin(self):
        world.network(["uml1"])
        machine.image()
        boots = [Boot(host) for host in self.xen.values()]
        os.makedirs(self.disks("uml1"))
        for linode in self.linodes:
            linode.make_disks(self.disks("uml1"))
        tokens = self.begin_portal()
        config = self.uml_config()
        run(self.agent_binary, "enrol", "--config", config, env={**os.environ, "XENBETA_ENROL_TOKEN": tokens["uml1"]})
        self.start("uml1", [self.agent_binary, "run", "--config", config])
        self.begin_people()
        for linode in self.linodes:
            self.await_status(linode, "offline")
        for boot in boots:
            boot.finish()
        for name, host in self.xen.items():
            host.prepare(tokens[name])
            self.programs[name] = host.start()

    def uml_config(self):
        modules = sorted(glob.glob("/usr/lib/uml/modules/*"))[-1]
        run(self.agent_binary, "initramfs", "build", "--modules-dir", modules, "--out", self.path("uml-guests.img"))
        os.makedirs(self.path("s-uml1"))
        with open(self.path("uml1.toml"), "w") as file:
            file.write(f"""
portal = "{PORTAL_URL}"
state_dir = "{self.path("s-uml1")}"
slots = 4
[transfer]
listen = "{GATEWAY}:7441"
[disks]
store = "files"
dir = "{self.disks("uml1")}"
[driver]
kind = "uml"
prefix = "u1l"
first_uid = {world.first_uid(1)}
bridge = "br-uml1"
memory_mb = 2048
uml_dir = "{self.path("u-uml1")}"
[[driver.kernels]]
id = "{customers.UML_KERNEL}"
label = "2.6.16 (User Mode Linux)"
family = "2.6"
path = "{subprocess.check_output(["sh", "-c", "command -v linux.uml"], text=True).strip()}"
initramfs = "{self.path("uml-guests.img")}"
""")
        return self.path("uml1.toml")

    def end(self):
        super().end()
        for host in self.xen.values():
            host.machine.kill()

    def keep_logs(self, folder):
        """All that could say what went wrong, from every part."""
        for path in [*glob.glob(self.path("*.log")), *glob.glob(self.path("*.toml")), self.path("portal.db")]:
            if os.path.exists(path):
                shutil.copy(path, folder)
        for path in glob.glob(self.path("s-uml1", "driver", "**", "*console*"), recursive=True):
            if os.path.isfile(path):
                shutil.copy(path, os.path.join(folder, "uml1-" + os.path.relpath(path, self.path("s-uml1")).replace("/", "-")))
        for host in self.xen.values():
            host.keep_logs(folder)


class Boot(threading.Thread):
    """A host that comes up while other things are made ready."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.host, self.fault = host, None
        self.start()

    def run(self):
        try:
            self.host.boot()
        except Exception as fault:  # told by `finish`
            self.fault = fault

    def finish(self):
        self.join()
        if self.fault:
            raise self.fault


class Everywhere(Witness):
    """UML processes on one host, xenstore's domains on the others."""

    def __init__(self, lab):
        super().__init__({"uml1": "u1l"})
        self.lab = lab

    def look(self):
        running = super().look()
        for name, host in self.lab.xen.items():
            try:
                with open(host.machine.path("share", "domains")) as file:
                    names = file.read().split()
            except FileNotFoundError:
                continue
            for domain in names:
                owner, _, number = domain.rpartition("-")
                # A trial's clone is no run of its Linode.
                if number.isdigit() and not owner.endswith(".trial"):
                    running.setdefault(int(number), []).append(name)
        return running
