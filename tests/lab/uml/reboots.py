"""A host with many guests is rebooted: as planned (`xenbeta-guests.service` does what is done here), and as by a loss of power. What a
reboot takes from a host is taken here: its processes, its taps and its boot's name. Not its page cache, so that more than what was
fsynced survives."""

import os
import signal
import time
import uuid

import world
from moves import say
from watcher import await_answer, check_sequence
from world import eventually, run

BOOT_ID = "/proc/sys/kernel/random/boot_id"
HOST = "uml1"


def reboots(lab, witness, _args):
    *up, off = lab.linodes
    name_boot(lab, first=True)
    boot_all(lab, up)
    say(f"  {len(up)} guests run on {HOST}; one Linode is off, by its member's word")
    planned(lab, witness, up)
    power_cut(lab, witness, up)
    assert lab.status(off) == "offline" and off.id not in witness.look(), "what its member had shut down was booted"
    assert not witness.overlaps, f"two runners: {witness.overlaps}"
    return {}


def planned(lab, witness, linodes):
    safe = acked(linodes)
    begun = time.monotonic()
    lab.programs[HOST].kill(signal.SIGTERM)
    said = run(lab.agent_binary, "stop-guests", "--config", lab.path(f"{HOST}.toml"))
    ends = [line.split(": ")[1] for line in said.splitlines()]
    took = time.monotonic() - begun
    assert not witness.look(), "guests run on"
    assert ends.count("shut down") == len(linodes), f"not all were shut down: {said}"
    say(f"  planned: {len(linodes)} guests shut down in {took:.1f} s, none by force")
    come_back(lab, linodes, safe)


def power_cut(lab, witness, linodes):
    safe = acked(linodes)
    for pid in [lab.programs[HOST].process.pid, *guests_processes()]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    lab.programs[HOST].process.wait()
    eventually("the power is off", lambda: not witness.look())
    say(f"  loss of power: {len(linodes)} guests ended at once")
    come_back(lab, linodes, safe)


def come_back(lab, linodes, safe):
    """The host boots; nobody asks for its guests."""
    for name in os.listdir("/sys/class/net"):
        if name.startswith(lab.prefixes()[HOST]):
            run("ip", "link", "delete", name)
    name_boot(lab)
    begun = time.monotonic()
    lab.revive(HOST)
    for linode in linodes:
        lab.await_status(linode, "running", limit=600)
    for linode in linodes:
        check_sequence(await_answer(linode.address, "/seq", limit=60), safe[linode.id])
    numbers = sum(safe.values())
    say(f"    all back {time.monotonic() - begun:.1f} s after the agent started; {numbers} fsynced numbers, no gap, none lost")


def acked(linodes):
    return {linode.id: int(await_answer(linode.address, "/acked", limit=60)) for linode in linodes}


def boot_all(lab, linodes):
    for linode in linodes:
        lab.member_power(linode, "boot")
    for linode in linodes:
        lab.await_status(linode, "running", limit=600)
        await_answer(linode.address, limit=60)


def name_boot(lab, first=False):
    with open(lab.path("boot_id"), "w") as file:
        file.write(f"{uuid.uuid4()}\n")
    if first:
        # In this process's mount namespace only.
        run("mount", "--bind", lab.path("boot_id"), BOOT_ID)


def guests_processes():
    """All that run as a guest's user."""
    found = []
    first = world.first_uid(1)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if first <= os.stat(f"/proc/{pid}").st_uid < first + 10_000:
                found.append(int(pid))
        except FileNotFoundError:
            pass
    return found
