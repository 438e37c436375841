"""Two User Mode Linux hosts beside the portal."""

import glob
import os
import subprocess

import fleet
import world
from portal import URL, Portal
from world import run

HOSTS = {"uml1": "source", "uml2": "beta"}


class Lab(Portal):
    def __init__(self, folder, linodes, store, database, profile):
        super().__init__(folder, linodes, HOSTS, database, profile)
        self.store = store

    def prefixes(self):
        return {host: f"u{number}l" for number, host in enumerate(HOSTS, 1)}

    def disks(self, host):
        return self.path("store", host)

    def write_fleet(self, path):
        fleet.write(path, self.linodes, HOSTS)

    def begin(self):
        world.network(HOSTS)
        self.make_store()
        for linode in self.linodes:
            linode.make_disks(self.disks("uml1"))
        for host, token in self.begin_portal().items():
            config = self.agent_config(host)
            run(self.agent_binary, "enrol", "--config", config, env={**os.environ, "XENBETA_ENROL_TOKEN": token})
            self.start(host, [self.agent_binary, "run", "--config", config])
        self.begin_people()
        for linode in self.linodes:
            self.await_status(linode, "offline")

    def make_store(self):
        os.makedirs(self.path("store"))
        if self.store == "xfs":
            with open(self.path("store.xfs"), "wb") as file:
                file.truncate(24 << 30)
            run("mkfs.xfs", "-q", "-m", "reflink=1", self.path("store.xfs"))
            # In this process's mount namespace only: gone with it.
            run("mount", "-o", "loop", self.path("store.xfs"), self.path("store"))
        for host in HOSTS:
            os.makedirs(self.disks(host))

    def agent_config(self, host):
        number = list(HOSTS).index(host) + 1
        path = self.path(f"{host}.toml")
        with open(path, "w") as file:
            file.write(f"""
portal = "{URL}"
state_dir = "{self.path("s-" + host)}"
slots = 4
[transfer]
listen = "127.0.0.1:{7440 + number}"
[disks]
store = "files"
dir = "{self.disks(host)}"
[driver]
kind = "uml"
prefix = "{self.prefixes()[host]}"
first_uid = {world.first_uid(number)}
bridge = "br-{host}"
memory_mb = {max(2048, 80 * len(self.linodes))}
uml_dir = "{self.path(f"u-{host}")}"
[[driver.kernels]]
id = "{fleet.KERNEL}"
label = "2.6.16 (User Mode Linux)"
family = "2.6"
path = "{subprocess.check_output(["sh", "-c", "command -v linux.uml"], text=True).strip()}"
""")
        os.makedirs(self.path("s-" + host), exist_ok=True)
        return path

    def has_disks(self, host, linode):
        return bool(glob.glob(os.path.join(self.disks(host), "linodes", str(linode.id), "e*", "*.img")))
