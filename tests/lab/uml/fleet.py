"""The lab's customers: a manager's data to import, and the disks that belong to it."""

import json
import os

from portal import MEMBER
from world import GATEWAY, GUEST, run

PLAN = {"label": "Linode 64", "ram_mb": 64, "disk_mb": 8192, "vcpus": 1, "cpu_weight": 64}
KERNEL = "2.6.16-uml"
ROOT_MB = 64


class Linode:
    def __init__(self, number, label, data_mb=0):
        self.id, self.label, self.data_mb = 1000 + number, label, data_mb
        self.address = f"10.77.0.{10 + number}"
        self.disks = [(self.id * 10 + 1, "root", ROOT_MB)] + ([(self.id * 10 + 2, "data", data_mb)] if data_mb else [])

    def imported(self, host):
        return {
            "id": self.id, "label": self.label, "plan": PLAN["label"], "host": host,
            "mac": f"fe:fd:0a:4d:00:{int(self.address.rsplit('.', 1)[1]):02x}",
            "disks": [{"id": disk, "label": label, "size_mb": size, "filesystem": "ext4" if label == "root" else "raw"}
                      for disk, label, size in self.disks],
            "configs": [{"id": self.id, "label": "boot", "kernel": KERNEL, "root_device": "ubda",
                         "devices": {f"ubd{letter}": disk for letter, (disk, _, _) in zip("abcd", self.disks)}}],
            "ips": [{"address": self.address, "prefix": 24, "gateway": GATEWAY, "kind": "public"}],
        }

    def make_disks(self, store, epoch=1):
        """Where the agent's file store expects a generation of disks."""
        folder = os.path.join(store, "linodes", str(self.id), f"e{epoch}")
        os.makedirs(folder)
        for disk, label, size in self.disks:
            path = os.path.join(folder, f"{disk}.img")
            if label == "root":
                run(GUEST, "image", path, f"{self.address}/24", GATEWAY)
            else:
                run(GUEST, "data", path, size)


def write(path, linodes, hosts):
    """The file for `xenbeta import`: `hosts` are names with their roles; all Linodes live on the first."""
    document = {
        "format": "xenbeta-fleet-1",
        "plans": [PLAN],
        "kernels": [{"id": KERNEL, "label": "2.6.16 (User Mode Linux)", "platform": "uml", "family": "2.6"}],
        "hosts": [{"name": name, "platform": "uml", "role": role, "memory_mb": 2048, "disk_mb": 40000, "slots": 4}
                  for name, role in hosts.items()],
        "accounts": [{"name": "Lab customers", "users": [{"email": MEMBER[0], "name": "Mara Member"}],
                      "linodes": [linode.imported(next(iter(hosts))) for linode in linodes]}],
    }
    with open(path, "w") as file:
        json.dump(document, file, indent=1)
