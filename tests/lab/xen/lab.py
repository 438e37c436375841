#!/usr/bin/env python3
"""The real move to real Xen: a User Mode Linux host, Xen hosts in QEMU, the portal, a member's click through its pages, and
an outside client that never stops asking. See README.md beside this file."""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))

import customers  # noqa: E402
import stages  # noqa: E402
import world  # noqa: E402
from hosts import Everywhere, Lab  # noqa: E402
from moves import say  # noqa: E402

# Seconds, about three times what they take on an idle machine of two cores; a busy one gets more, see `slack`.
BEGIN_LIMIT = 300
# In which a Xen host is up on such a machine: one that takes longer is slower in everything that is emulated.
UP = 20
STAGES = {
    # name: (what is done, seconds it may take, the Linodes it wants, is it done without being named)
    "move": (stages.there_and_back, 600, ["debian"], True),
    "graduate": (stages.on_to_production, 480, ["small"], True),
    "tried": (stages.tried, 600, ["small"], True),
    "unbootable": (stages.unbootable, 300, ["broken"], True),
    "home": (stages.home, 600, ["small"], True),
    "weights": (stages.weights, 300, ["light", "heavy"], True),
    "hostile": (stages.hostile, 300, ["hostile"], True),
    "timed": (stages.at_its_time, 360, ["small"], True),
    "short": (stages.there_and_back, 420, ["small"], False),
    "power": (stages.power, 900, ["small"] * len(stages.MOMENTS), False),
}


# By how much this machine is slower than that one, as its Xen hosts' boot showed.
pace = 1.0


def slack():
    """By how much limits are stretched: a machine that others use too is slower, and emulation feels it most."""
    return max(pace, min(4.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


@contextlib.contextmanager
def limited(what, seconds):
    """Ends what hangs: one limit for a whole stage, over those of the steps in it."""
    def late(*_):
        raise AssertionError(f"{what}: not done in {seconds} s")
    seconds = int(seconds * slack())
    begun = time.monotonic()
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    say(f"  ({what}: {time.monotonic() - begun:.0f} s)")


def inside(args, folder):
    wanted, linodes = {}, []
    for stage in args.stage:
        wanted[stage] = []
        for kind in STAGES[stage][2]:
            number = len(linodes) + 1
            linodes.append(customers.made(number, kind))
            wanted[stage].append(linodes[-1])
    roles = ["beta", "production"] if "graduate" in args.stage else ["beta"]
    lab = Lab(folder, linodes, roles, database=args.database, profile=args.profile, store=args.store)
    witness = Everywhere(lab)
    dice = random.Random(args.seed)
    results = {}
    global pace
    try:
        with limited("bringing everything up", BEGIN_LIMIT):
            lab.begin()
        took = ", ".join(f"{host.name} {host.took:.0f} s" for host in lab.xen.values())
        pace = max(1.0, min(4.0, max(host.took for host in lab.xen.values()) / UP))
        say(f"  Xen hosts up: {took}; limits are {slack():.1f} times those of an idle machine")
        stages.BOOT, stages.MOVE = stages.BOOT * slack(), stages.MOVE * slack()
        witness.start()
        for stage in args.stage:
            say(f"{stage}: {STAGES[stage][0].__doc__}")
            with limited(stage, STAGES[stage][1]):
                results[stage] = STAGES[stage][0](lab, witness, wanted[stage], dice)
            assert not witness.overlaps, f"two runners: {witness.overlaps}"
        with open(os.path.join(folder, "results.json"), "w") as file:
            json.dump(results, file)
    except KeyboardInterrupt:
        return 1
    except BaseException as fault:
        kept = tempfile.mkdtemp(prefix="xenbeta-lab-logs-", dir=os.environ.get("XENBETA_LAB_LOGS", "/var/tmp"))
        with limited("keeping the logs", 120):
            lab.keep_logs(kept)
        say(f"FAILED: {fault}\nThe logs of all parts: {kept}")
        raise
    finally:
        lab.end()
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="dev", help="which build of the programs to use")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--store", choices=["lvm", "files"], default="lvm", help="where the Xen hosts have their disks")
    parser.add_argument("--stage", action="append", choices=list(STAGES), help="one or several (default: all but short and power)")
    parser.add_argument("--all", action="store_true", help="the power cuts too")
    parser.add_argument("--short", action="store_true", help="the smallest guest, one Xen host, there and back")
    parser.add_argument("--seed", type=int, default=None, help="of what is left to chance; printed if not given")
    args = parser.parse_args()
    args.seed = args.seed if args.seed is not None else random.randrange(10**6)
    args.stage = ["short"] if args.short else args.stage or [name for name, stage in STAGES.items()
                                                             if stage[3] or (args.all and name == "power")]
    folder = os.environ.get("XENBETA_LAB_INSIDE")
    if folder:
        return inside(args, folder)
    begun = time.monotonic()
    # Inside there is no way to the mirror.
    for what in ["dom0"] + (["debian"] if any("debian" in STAGES[stage][2] for stage in args.stage) else []):
        if subprocess.run([customers.IMAGE, what], stdout=subprocess.DEVNULL).returncode != 0:
            say("FAILED: the images could not be made")
            return 1
    say(f"A UML host and Xen hosts in QEMU, portal on {args.database}, {args.profile} build, seed {args.seed}; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    words = [os.path.abspath(__file__), *sys.argv[1:], "--seed", str(args.seed)]
    status, _ = world.inside(words)
    say(f"{'All asserted, all held' if status == 0 else 'FAILED'}: {time.monotonic() - begun:.0f} s in all.")
    return 0 if status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
