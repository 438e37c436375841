"""The Xen lab's customers: what their provider's manager knows of them, and their disks. Nothing of theirs knows of Xen."""

import json
import os
import subprocess

import machine
from portal import MEMBER
from world import GATEWAY, GUEST, run

IMAGE = os.path.join(machine.HERE, "image")
UML_KERNEL, XEN_KERNEL = "2.6.16-uml", "6.1-xen"
KERNELS = [
    {"id": UML_KERNEL, "label": "2.6.16 (User Mode Linux)", "platform": "uml", "family": "2.6", "maps_to": XEN_KERNEL},
    {"id": XEN_KERNEL, "label": "6.1 (Xen)", "platform": "xen", "family": "2.6", "maps_to": UML_KERNEL},
]
HELPERS = ["disable_tls", "fstab", "console", "modules", "udev_net", "updatedb_off"]
# Memory, CPU weight. A Debian with systemd wants the larger one under Xen.
PLANS = {"Linode 128": (128, 256), "Linode 256": (256, 256), "Linode 128 heavy": (128, 512)}


class Linode:
    """`kind`: debian (systemd, 1 GiB) or small (busybox, 64 MiB). `change` is given the disk's path before it is ever booted."""

    def __init__(self, number, label, kind, plan=None, change=None):
        self.id, self.label, self.kind, self.change = 1000 + number, label, kind, change
        self.plan = plan or ("Linode 256" if kind == "debian" else "Linode 128")
        self.address = f"10.77.0.{10 + number}"
        self.disks = [(self.id * 10 + 1, "root", 1024 if kind == "debian" else 64)]
        self.data_mb = 0

    def imported(self, host):
        return {
            "id": self.id, "label": self.label, "plan": self.plan, "host": host,
            "mac": f"fe:fd:0a:4d:00:{int(self.address.rsplit('.', 1)[1]):02x}",
            "disks": [{"id": disk, "label": label, "size_mb": size, "filesystem": "ext4"} for disk, label, size in self.disks],
            "configs": [{"id": self.id, "label": "boot", "kernel": UML_KERNEL, "root_device": "ubda", "helpers": HELPERS,
                         "devices": {"ubda": self.disks[0][0]}}],
            "ips": [{"address": self.address, "prefix": 24, "gateway": GATEWAY, "kind": "public"}],
        }

    def make_disks(self, store, epoch=1):
        """Where the agent's file store expects a generation of disks."""
        folder = os.path.join(store, "linodes", str(self.id), f"e{epoch}")
        os.makedirs(folder)
        path = os.path.join(folder, f"{self.disks[0][0]}.img")
        tool = [IMAGE, "guest"] if self.kind == "debian" else [GUEST, "image"]
        run(*tool, path, f"{self.address}/24", GATEWAY, *([self.label] if self.kind == "debian" else []))
        if self.change:
            self.change(path)


def write_into(disk, **files):
    """Replaces files of a disk without mounting it: path to (text, mode)."""
    for number, (path, (text, mode)) in enumerate(files.items()):
        local = f"{disk}.new{number}"
        with open(local, "w") as file:
            file.write(text)
        said = subprocess.run(["debugfs", "-w", "-f", "-", disk], capture_output=True, text=True,
                              input=f"rm {path}\nwrite {local} {path}\nset_inode_field {path} mode 0100{mode}\n")
        os.unlink(local)
        found = run("debugfs", "-R", f"stat {path}", disk)
        assert "Type: regular" in found, f"{path} of {disk}: {said.stdout}{said.stderr}"


def write_fleet(path, linodes, hosts):
    """The file for `xenbeta import`: `hosts` are names with their roles; all Linodes live on the first, the UML one."""
    document = {
        "format": "xenbeta-fleet-1",
        "plans": [{"label": label, "ram_mb": ram, "disk_mb": 8192, "vcpus": 1, "cpu_weight": weight}
                  for label, (ram, weight) in PLANS.items()],
        "kernels": KERNELS,
        "hosts": [{"name": name, "platform": "uml" if role == "source" else "xen", "role": role, "memory_mb": 1024,
                   "disk_mb": 40000 if role == "source" else 7000, "slots": 4,
                   **({"plan": "Linode 128"} if role == "production" else {})}
                  for name, role in hosts.items()],
        "accounts": [{"name": "Lab customers", "users": [{"email": MEMBER[0], "name": "Mara Member"}],
                      "linodes": [linode.imported(next(iter(hosts))) for linode in linodes]}],
    }
    with open(path, "w") as file:
        json.dump(document, file, indent=1)


def made(number, kind):
    """A Linode of one of the kinds that the stages ask for."""
    if kind == "debian":
        return Linode(number, f"deb-{number:02}", "debian")
    if kind == "light":
        return Linode(number, f"light-{number:02}", "small", plan="Linode 128", change=burning)
    if kind == "heavy":
        return Linode(number, f"heavy-{number:02}", "small", plan="Linode 128 heavy", change=burning)
    if kind == "broken":
        return Linode(number, f"broken-{number:02}", "small", change=broken_on_xen)
    if kind == "hostile":
        return Linode(number, f"hostile-{number:02}", "small", change=hostile)
    return Linode(number, f"web-{number:02}", "small")


def burning(disk):
    """It never sleeps from the moment it is asked to at /cgi-bin/burn until it is at /cgi-bin/rest."""
    with open(os.path.join(machine.HERE, "..", "uml", "rootfs", "inittab")) as file:
        usual = file.read()
    run("debugfs", "-w", "-R", "mkdir /www/cgi-bin", disk)
    cgi = "#!/bin/sh\n/bin/{} /run/burn\nprintf 'Content-Type: text/plain\\r\\n\\r\\nok\\n'\n"
    write_into(disk, **{"/etc/inittab": (usual + "::respawn:/etc/burn\n", "644"),
                        "/etc/burn": ("#!/bin/sh\nPATH=/bin\nwhile [ -e /run/burn ]; do :; done\nsleep 0.5\n", "755"),
                        "/www/cgi-bin/burn": (cgi.format("touch"), "755"),
                        "/www/cgi-bin/rest": (cgi.format("rm -f"), "755")})


def broken_on_xen(disk):
    """Boots where it lives; where it is moved to, its first program ends, and the kernel panics."""
    write_into(disk, **{"/sbin/init": ("#!/bin/sh\n/bin/mkdir -p /proc; /bin/mount -t proc proc /proc\n"
                                       "if [ -d /proc/xen ]; then echo 'this guest does not like Xen'; exit 1; fi\n"
                                       "/bin/umount /proc\nexec /bin/init\n", "755")})


def hostile(disk):
    """Files that are no files: what reads them must give up in time and let the guest boot."""
    write_into(disk, **{"/etc/securetty": ("tty0\n" * 2_000_000, "644")})
    run("debugfs", "-w", "-R", "rm /etc/fstab", disk)
    run("debugfs", "-w", "-R", "symlink /etc/fstab ../../../../../../proc/kmsg", disk)
    said = run("debugfs", "-R", "stat /etc/fstab", disk)
    assert "Type: symlink" in said, said
