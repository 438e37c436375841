#!/usr/bin/env python3
"""The real move: two User Mode Linux hosts, the portal, a member's click through its pages, and an outside client that
never stops asking. See README.md beside this file."""

import argparse
import json
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))

import forward  # noqa: E402
import world  # noqa: E402
from home import comes_home, panics_there  # noqa: E402
from fleet import Linode  # noqa: E402
from hosts import Lab  # noqa: E402
from moves import move, plain_reboot, report, say  # noqa: E402
from portal import MEMBER, PORT, STAFF  # noqa: E402
from reboots import reboots  # noqa: E402
from times import Chosen  # noqa: E402
from watcher import Client, Witness, await_answer, check_sequence  # noqa: E402
from world import eventually  # noqa: E402

BIG_MB = 4096
# A copy that takes long enough to be hit.
HIT_MB = 512
# How much more downtime than 64 MiB a disk of 4 GiB, half of it holes, may cost; in seconds.
MORE_DOWNTIME = {"ext4": 1.5, "xfs": 0.3}


def moves(lab, witness, args):
    results = {}
    for linode in lab.linodes:
        lab.bring_up(linode)
    for linode in lab.linodes:
        plain = plain_reboot(lab, witness, linode)
        lab.make_offer(linode)
        # One of them at a time of its member's; the others as soon as they are copied.
        chosen = Chosen(lab) if linode is lab.linodes[0] else None
        cost = move(lab, witness, linode, chosen)
        report(linode.label, plain, cost)
        if chosen:
            chosen.judge(cost)
        results.setdefault("big" if linode.data_mb else "small", []).append({"plain": plain, **cost})
    if args.way_back:
        way_back_and_confirm(lab, witness)
    return results


def way_back_and_confirm(lab, witness):
    back, stay = lab.linodes[0], lab.linodes[-1]
    lab.member_way_back(back)
    await_answer(back.address)
    check_sequence(await_answer(back.address, "/seq"), 0)
    assert witness.look().get(back.id) == ["uml1"], "the way back leads to the source"
    lab.member_confirms(stay)
    eventually("the source's disks are purged", lambda: not lab.has_disks("uml1", stay))
    assert lab.has_disks("uml2", stay) and await_answer(stay.address)
    lab.offer_again(back)
    network = (lambda: world.cable("uml2", "down"), lambda: world.cable("uml2", "up"))
    comes_home(lab, witness, back, *network)
    lab.offer_again(back)
    panics_there(lab, witness, back, *network)
    say(f"  way back of {back.label}: done, it runs on uml1; {stay.label}: confirmed, its disks at uml1 are gone")


def faults(lab, witness, args):
    """A move each, and in each one thing that goes wrong at one moment: an agent or the portal killed, or frozen; or a backup
    of the portal's database, that stands in its place again when the move is over."""
    dice = random.Random(args.seed)
    # One undisturbed move says how long a move takes; faults are spread over that.
    first = lab.linodes[0]
    lab.bring_up(first)
    lab.make_offer(first)
    first_move = move(lab, witness, first)
    # Until the guest answers again and a little longer; after that the destination only looks on that it stays up.
    busy = first_move["answered_s"] + 1.5
    finished = failed = 0
    for number, linode in enumerate(lab.linodes[1:], 1):
        fault = dice.choice(["kill", "kill", "freeze", "put back"])
        victim = "portal" if fault == "put back" else dice.choice(["uml1", "uml2", "portal"])
        after, pause = dice.uniform(0, busy), dice.uniform(0.1, 2.0)
        lab.bring_up(linode)
        lab.make_offer(linode)
        client = Client(linode.address)
        client.start()
        time.sleep(0.3)
        migration = lab.member_migrates(linode)
        time.sleep(after)
        step = lab.step(migration)
        strike(lab, fault, victim, pause, migration)
        # What the portal was made to forget, it learns from the hosts.
        eventually("all is said and done", lambda: lab.is_settled(linode, migration), limit=240)
        await_answer(linode.address, limit=60)
        time.sleep(0.5)
        client.end()
        row = lab.migration(migration)
        owner = lab.owner(linode)
        expected = row["destination"] if row["state"] == "finished" else row["source"]
        assert owner == expected, f"{row['state']}, and owned by {owner}"
        assert witness.look().get(linode.id) == [owner], f"runs on {witness.look().get(linode.id)}, owned by {owner}"
        check_sequence(await_answer(linode.address, "/seq"), client.acked)
        assert not witness.overlaps, f"two runners: {witness.overlaps}"
        finished, failed = finished + (row["state"] == "finished"), failed + (row["state"] == "failed")
        say(f"  fault {number}: {fault} {victim} {after:.2f} s after the click (in {step}), for {pause:.1f} s: "
            f"{row['state']}, runs on {owner}, {client.acked} numbers safe, downtime {client.downtime():.1f} s")
        lab.shut_down(linode)
    say(f"  {finished} moves finished, {failed} failed cleanly with the guest at its source; never two runners, nothing lost")
    return {"faults": [{"finished": finished, "failed": failed}]}


def strike(lab, fault, victim, pause, migration):
    if fault == "put back":
        backup = lab.path(f"backup-{migration}.db")
        lab.portal_command("backup", backup)
        lab.await_migration(migration, ("finished", "failed"), limit=240)
        lab.kill(victim)
        lab.put_back(backup)
        lab.revive(victim)
    elif fault == "freeze":
        lab.programs[victim].process.send_signal(signal.SIGSTOP)
        time.sleep(pause)
        lab.programs[victim].process.send_signal(signal.SIGCONT)
    else:
        lab.kill(victim)
        time.sleep(pause)
        lab.revive(victim)


def demo(lab):
    """Everything up, the first Linode offered, and doors for a browser outside; until somebody ends it."""
    for linode in lab.linodes:
        lab.bring_up(linode)
    lab.make_offer(lab.linodes[0])
    targets = [("The portal", "127.0.0.1", PORT)] + [(f"What {linode.label} serves", linode.address, 80) for linode in lab.linodes]
    paths = [os.path.join(lab.folder, f"door{number}") for number in range(len(targets))]
    forward.in_background([forward.within(path, address, port) for path, (_, address, port) in zip(paths, targets)])
    text = "\n".join([
        "Two real User Mode Linux hosts, uml1 (source) and uml2 (beta), in a network namespace.",
        f"  Member: {MEMBER[0]}, password: {MEMBER[1]}",
        f"  Staff:  {STAFF[0]}, password: {STAFF[1]}",
        f"  {lab.linodes[0].label} has its offer: one click moves it. The others wait to be registered.", ""])
    with open(os.path.join(lab.folder, "ready.part"), "w") as file:
        json.dump({"text": text, "doors": [(what, path) for (what, _, _), path in zip(targets, paths)]}, file)
    os.rename(os.path.join(lab.folder, "ready.part"), os.path.join(lab.folder, "ready.json"))
    while True:
        lab.check()
        time.sleep(1)


def inside(args, folder):
    small = args.faults + 1 if args.faults else args.reboot + 1 if args.reboot else 2 if args.way_back or args.demo else 1
    linodes = [Linode(number, f"web-{number:02}", HIT_MB if args.faults else 0) for number in range(1, small + 1)]
    if args.big and not args.faults and not args.reboot:
        linodes.append(Linode(small + 1, f"db-{small + 1:02}", BIG_MB))
    if args.reboot:
        # Many guests on few processors: what counts is that each goes on.
        os.environ["XENBETA_LAB_PACE"] = "3"
    lab = Lab(folder, linodes, store=args.store, database=args.database, profile=args.profile)
    witness = Witness(lab.prefixes())
    try:
        lab.begin()
        witness.start()
        if args.demo:
            demo(lab)
        stage = faults if args.faults else reboots if args.reboot else moves
        results = stage(lab, witness, args)
        with open(os.path.join(folder, "results.json"), "w") as file:
            json.dump(results, file)
    except KeyboardInterrupt:
        return
    except BaseException:
        say(lab.logs())
        raise
    finally:
        lab.end()


def compare(store, results):
    """By the time with no guest anywhere: the rest of the downtime is the guest's own stop and boot, which varies by more
    from one to the next than what is looked for."""
    small, big = (min(r["gap"] - r["plain"]["gap"] for r in results[kind]) for kind in ("small", "big"))
    more = big - small
    say(f"  {store}: 4 GiB half-sparse costs {more:+.2f} s more downtime than 64 MiB (at most {MORE_DOWNTIME[store]} s wanted)")
    return more <= MORE_DOWNTIME[store]


def command_for(store, args):
    words = [word for word in sys.argv[1:] if word not in ("--store", "ext4", "xfs")]
    return [os.path.abspath(__file__), *words, "--store", store, "--seed", str(args.seed)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="dev", help="which build of the programs to use")
    parser.add_argument("--store", action="append", choices=["ext4", "xfs"], help="where disks are (default: both, one after the other)")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--no-big", dest="big", action="store_false", help="leave the 4 GiB disk out")
    parser.add_argument("--no-way-back", dest="way_back", action="store_false")
    parser.add_argument("--faults", type=int, default=0, metavar="N",
                        help="N moves, in each an agent or the portal killed or frozen, or the database put back")
    parser.add_argument("--reboot", type=int, default=0, metavar="N",
                        help="no move: a host with N guests is rebooted, as planned and by a loss of power")
    parser.add_argument("--seed", type=int, default=None, help="of the faults; printed if not given")
    parser.add_argument("--demo", action="store_true", help="leave portal and hosts running for a person")
    parser.add_argument("--listen", default="127.0.0.1:8080", help="where a browser reaches the demo")
    args = parser.parse_args()
    args.seed = args.seed if args.seed is not None else random.randrange(10**6)
    folder = os.environ.get("XENBETA_LAB_INSIDE")
    if folder:
        args.store = args.store[0]
        inside(args, folder)
        return 0
    good = True
    busy = os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
    if busy:
        say(f"This machine is busy (load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores): downtime is printed, but not judged.")
    for store in args.store or (["ext4"] if args.faults or args.reboot or args.demo else ["ext4", "xfs"]):
        results = {}
        # Machines are noisy: what takes too long once is measured again, and the best of it counts.
        for _ in range(1 if busy or args.profile == "dev" else 3):
            say(f"Two UML hosts, disks on {store}, portal on {args.database}, {args.profile} build"
                + (f", {args.faults} faults, seed {args.seed}" if args.faults else ""))
            status, found = world.inside(command_for(store, args), demo=args.listen if args.demo else None)
            if status != 0:
                say(f"FAILED on {store}")
                return 1
            for kind, costs in (found or {}).items():
                results.setdefault(kind, []).extend(costs)
            if not ("big" in results and "small" in results):
                break
            if compare(store, results):
                break
        else:
            good = False
    if good:
        say("All asserted, all held.")
    elif busy or args.profile == "dev":
        say("All asserted held; the downtime wanted is only asked of an optimised build on a quiet machine.")
    else:
        say("Everything held but the downtime wanted.")
    return 0 if good or busy or args.profile == "dev" else 1


if __name__ == "__main__":
    sys.exit(main())
