#!/usr/bin/env python3
"""Failovers under load: two portals behind HAProxy, on PostgreSQL under Patroni and etcd, and real agents whose simulated
guests move meanwhile. The primary dies, stands still, is cut off, hands over on purpose; and once a standby takes over that
lacks committed transactions. Nothing acknowledged may be missing in the first four, and no Linode may run twice in any."""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "common"), HERE]

import portal as lab_portal  # noqa: E402
import world  # noqa: E402
from cluster import PORTALS, Cluster  # noqa: E402
from judge import judge  # noqa: E402
from load import Watch, renamer  # noqa: E402
from portal import MEMBER, SECRET, STAFF, UNASKED, URL, Portal  # noqa: E402
from world import Program, eventually, run  # noqa: E402

HOSTS = {"uml1": ("uml", "source"), "xen1": ("xen", "beta"), "xen2": ("xen", "beta")}
PLAN = {"label": "Linode 64", "ram_mb": 64, "disk_mb": 4096, "vcpus": 1, "cpu_weight": 64}
KERNELS = [{"id": "2.6-uml", "label": "2.6 (User Mode Linux)", "platform": "uml", "family": "2.6", "maps_to": "2.6-xen"},
           {"id": "2.6-xen", "label": "2.6 (Xen)", "platform": "xen", "family": "2.6", "maps_to": "2.6-uml"}]
# A held Linode that is unambiguous is put right within seconds; then staff look.
BY_ITSELF_S = 20
CASES = ["killed", "frozen", "cut off", "switched over", "lossy"]
EACH = 2   # Linodes that are clicked in a case
DONE = ("finished", "confirmed", "returned", "failed", "cancelled", "expired")


def say(*words):
    print(*words, flush=True)


class Linode:
    def __init__(self, number):
        self.id, self.label = 1000 + number, f"web-{number:02}"
        self.address = f"203.0.113.{number}"

    def imported(self):
        return {"id": self.id, "label": self.label, "plan": PLAN["label"], "host": "uml1", "mac": f"fe:fd:00:4d:00:{self.id - 1000:02x}",
                "disks": [{"id": self.id * 10 + 1, "label": "root", "size_mb": 64, "filesystem": "ext4"}],
                "configs": [{"id": self.id, "label": "boot", "kernel": "2.6-uml", "root_device": "ubda", "devices": {"ubda": self.id * 10 + 1}}],
                "ips": [{"address": self.address, "prefix": 24, "gateway": "203.0.113.254", "kind": "public"}]}


class Lab(Portal):
    """The portal of the other labs, twice, on a database that moves."""

    def __init__(self, folder, cases, profile):
        linodes = [Linode(number) for number in range(1, 2 + EACH * len(cases))]
        super().__init__(folder, linodes, HOSTS, "postgres", profile)
        self.named, self.movers = linodes[0], linodes[1:]
        self.cluster = Cluster(folder)
        self.watches = []
        self.writer = None

    def write_fleet(self, path):
        hosts = [{"name": name, "platform": platform, "role": role, "memory_mb": 4096, "disk_mb": 200000, "slots": 8}
                 for name, (platform, role) in HOSTS.items()]
        accounts = [{"name": "Lab customers", "users": [{"email": MEMBER[0], "name": "Mara Member"}],
                     "linodes": [linode.imported() for linode in self.linodes]}]
        with open(path, "w") as file:
            json.dump({"format": "xenbeta-fleet-1", "plans": [PLAN], "kernels": KERNELS, "hosts": hosts, "accounts": accounts}, file)

    def rows(self, sql):
        return [tuple(line.split("\t")) for line in self.cluster.psql(sql).splitlines()]

    def begin(self):
        os.chmod(self.folder, 0o755)
        os.environ["DATABASE_URL"], os.environ["XENBETA_SECRET"] = self.cluster.begin(), SECRET
        os.makedirs(self.path("mail"))
        for number, address in enumerate(PORTALS, 1):
            with open(self.path(f"portal{number}.toml"), "w") as file:
                file.write(f'listen = "{address}:8080"\nbase_url = "{URL}"\ntrusted_proxies = ["192.0.2.1"]\n{UNASKED}'
                           f'[mail]\ntransport = "folder"\nfolder = "{self.path("mail")}"\nfrom = "beta@lab.example"\n')
        os.symlink("portal1.toml", self.path("portal.toml"))
        self.portal_command("schema", "up")
        tokens = self.seed()
        for number in (1, 2):
            self.start(f"portal{number}", [self.portal_binary, "serve", "--config", self.path(f"portal{number}.toml")])
        eventually("HAProxy has a portal", lambda: world_answers(), limit=30)
        for host, token in tokens.items():
            config = self.agent_config(host)
            run(self.agent_binary, "enrol", "--config", config, env={**os.environ, "XENBETA_ENROL_TOKEN": token})
            self.start(host, [self.agent_binary, "run", "--config", config])
        self.begin_people()
        self.staff_sets(watch_s=1)
        for linode in self.linodes:
            self.await_status(linode, "offline", limit=90)
        for linode in self.movers:
            self.member_power(linode, "boot")
            self.make_offer(linode)
        for linode in self.movers:
            self.await_status(linode, "running")

    def agent_config(self, host):
        platform, _ = HOSTS[host]
        path = self.path(f"{host}.toml")
        for folder in (f"s-{host}", f"d-{host}"):
            os.makedirs(self.path(folder), exist_ok=True)
        with open(path, "w") as file:
            file.write(f'portal = "{URL}"\nstate_dir = "{self.path("s-" + host)}"\nslots = 4\n'
                       f'[transfer]\nlisten = "127.0.0.1:{7440 + list(HOSTS).index(host)}"\n'
                       f'[disks]\nstore = "files"\ndir = "{self.path("d-" + host)}"\n'
                       f'[driver]\nkind = "simulated"\nhost = "{host}"\nwitness = "{self.path("witness")}"\n'
                       f'addresses = "{self.path("addresses")}"\nplatform = "{platform}"\nwrite_every_ms = 20\nprovision_missing = true\n')
        return path

    def begin_load(self):
        self.watches = [Watch(f"http://{address}:8080") for address in PORTALS]
        self.writer = renamer(URL, MEMBER, self.named)
        for thread in (*self.watches, self.writer):
            thread.start()

    def verdict(self):
        return judge(self.path("witness"))

    def state(self, linode):
        found = self.one(f"SELECT id, state, coalesce(step, '') FROM migrations WHERE linode_id = {linode.id} ORDER BY id DESC LIMIT 1")
        return found and (int(found[0]), found[1], found[2])

    def end(self):
        for thread in (*self.watches, *([self.writer] if self.writer else [])):
            thread.halt.set()
        super().end()
        self.cluster.end()


def world_answers():
    return lab_portal.Browser(URL)._request("GET", f"{URL}/ready")[0] == 200


# --- one failover each ---

def killed(lab, old):
    old.die()
    yield "the primary's machine loses its power (kill -9 of all on it)"
    old.start()


def frozen(lab, old):
    old.signal(signal.SIGSTOP)
    yield "the primary's machine stands still (SIGSTOP of all on it)"
    old.signal(signal.SIGCONT)


def cut_off(lab, old):
    old.cut(True)
    yield "the primary's machine is cut off"
    old.cut(False)


def switched_over(lab, old):
    candidate = next(it["name"] for it in lab.cluster.members() if it["role"] == "sync_standby")
    run(*old.within(), "patronictl", "-c", old.path("patroni.yml"), "switchover", "--master", old.name, "--candidate", candidate,
        "--force", "xenbeta", env={**os.environ, "LC_ALL": "C.UTF-8"})
    yield "handed over on purpose (patronictl switchover)"


def lossy(lab, old):
    lab.cluster.configure(synchronous_mode=False, synchronous_mode_strict=False)
    eventually("no standby is synchronous", lambda: lab.cluster.psql("SHOW synchronous_standby_names", "postgres").strip() == "", pause=0.3)
    # What is committed from here on reaches no standby.
    lab.deaf_from = time.monotonic()
    assert old.signal(signal.SIGSTOP, only="walsender replicator") == 2, "two standbys follow"
    yield "(asynchronous) what follows reaches no standby"
    lab.died_at = time.monotonic()
    old.die()
    yield "the primary's machine loses its power, with what only it had"
    old.start()


FAULTS = dict(zip(CASES, [killed, frozen, cut_off, switched_over, lossy]))


class Report:
    def __init__(self):
        self.failovers, self.violations, self.lost, self.stuck, self.longest = 0, [], 0, 0, 0.0
        self.clicks, self.meant = [], 0


def click(lab, linode, report):
    """A click that is tried again until it is acknowledged or refused for a reason."""
    try:
        migration = lab.member_migrates(linode)
    except (OSError, AssertionError, AttributeError) as error:
        return str(error)[:200]
    report.clicks.append((linode, migration))
    return migration


def one(lab, case, linodes, returning, report, dice):
    """The fault, with moves on their way there and back; then all is to come to an end."""
    lab.check()
    old = eventually("there is a primary", lab.cluster.primary)
    fault = FAULTS[case](lab, old)
    for linode in returning:
        lab.member_turns_back(linode)
    for linode in linodes[:1]:
        click(lab, linode, report)
    time.sleep(dice.uniform(0.1, 1.5))
    moment = time.monotonic()
    what = next(fault)
    late = [click(lab, linode, report) for linode in linodes[1:]]
    if case == "lossy":
        # Long enough that moves end which the standby never hears of.
        time.sleep(dice.uniform(1.0, 5.0))
        moment = time.monotonic()
        what = next(fault)
    say(f"{case}: {what}; primary was {old.name}")
    new = eventually("another takes over", lambda: lab.cluster.primary(besides=[old]), limit=60, pause=0.05)
    took = time.monotonic() - moment
    try:
        written = eventually("an act is acknowledged again", lambda: lab.writer.since(moment + took), limit=60)
    except AssertionError:
        say(f"the last answer was: {lab.writer.last_word}; {len(lab.writer.acknowledged)} were acknowledged")
        raise
    eventually("both portals are ready", lambda: all(it.seen and it.seen[-1][2] == 200 and it.seen[-1][0] > moment + took for it in lab.watches), limit=60)
    time.sleep(1.0)
    ready = [it.after(moment) for it in lab.watches]
    longest = max((yes for _, yes, _ in ready if yes is not None), default=0.0)
    report.failovers += 1
    report.longest = max(report.longest, longest)
    words = sorted(set().union(*(words for _, _, words in ready)))
    first = ["never unready" if no is None else f"no after {no:.1f} s, yes after {yes:.1f} s" for no, yes, _ in ready]
    say(f"  {new.name} is the primary after {took:.1f} s; /ready: {'; '.join(first)} {words}; an act is acknowledged after {written - moment:.1f} s")
    for _ in fault:
        pass
    settle(lab, case, linodes, returning, late, report)
    if case == "lossy":
        lab.cluster.configure(synchronous_mode=True)
    eventually("the cluster is whole again", lambda: lab.cluster.whole(case != "lossy") or lab.cluster.whole(), limit=90, pause=0.3)


def believe(lab):
    """One click of staff for each Linode that is held and stays so, as its page says."""
    for linode, in lab.rows("SELECT linode_id FROM holds"):
        page = lab.staff.get(f"/staff/held/{linode}/believe")
        lab.staff.submit(page.form(action=f"/staff/held/{linode}/believe"))
        say(f"  staff believe the hosts about Linode {linode}")


def settle(lab, case, linodes, returning, late, report):
    """All moves end, and every Linode runs once, where the portal says."""
    begun = time.monotonic()
    for linode, answer in zip(linodes[1:], late):
        # A click that was not acknowledged may have been taken or not; whoever sees no move clicks again.
        state = lab.state(linode)
        if not isinstance(answer, int) and state[1] == "offered":
            eventually("the click is taken", lambda: isinstance(click(lab, linode, report), int) or lab.state(linode)[1] != "offered", limit=40, pause=0.5)
    waiting = [*linodes, *returning]

    def still():
        running = lab.verdict()["running"]
        left = []
        for linode in waiting:
            state = lab.state(linode)
            lost = case == "lossy" and state and state[1] == "offered"
            owner, status = lab.one(f"SELECT h.name, l.status FROM linodes l JOIN hosts h ON h.id = l.host_id WHERE l.id = {linode.id}")
            well = status == "running" and running.get(linode.id) == owner
            if not well or not (lost or state[1] in DONE):
                left.append((linode.label, state, f"portal: {owner} {status}", f"witness: {running.get(linode.id)}"))
        return left
    left = []

    def ended():
        nonlocal left
        left = still()
        # What puts itself right has done so by then.
        if left and time.monotonic() - begun > BY_ITSELF_S:
            believe(lab)
        return not left
    try:
        eventually("moves end", ended, limit=90, pause=0.3)
    except AssertionError:
        report.stuck += len(left)
        say(f"  STUCK: {left}")
    held = lab.rows("SELECT * FROM holds")
    recovery = lab.one("SELECT recovery_since, recovery_why FROM portal")
    ends = [lab.state(linode) for linode in waiting]
    say(f"  moves: {', '.join(f'{it[1]}' for it in ends if it)}, {time.monotonic() - begun:.1f} s later"
        + (f"; held: {held}" if held else "") + (f"; recovering: {recovery}" if recovery and recovery[0] else ""))


def acknowledged(lab, report, lossy_from, lossy_until):
    """Everything that was acknowledged is in the trail; but what a lossy failover was meant to lose."""
    trail = {row[0] for row in lab.rows("SELECT after FROM audit_events WHERE after LIKE '%named-%'")}
    words = " ".join(trail)
    missing = [(number, begun, done) for number, begun, done in lab.writer.acknowledged if f"named-{number:06}" not in words]
    meant = [it for it in missing if lossy_from and it[2] >= lossy_from and it[1] <= lossy_until]
    report.meant, report.lost = len(meant), len(missing) - len(meant)
    for linode, migration in report.clicks:
        if not lab.one(f"SELECT 1 FROM migrations WHERE id = {migration} AND linode_id = {linode.id} AND queued_at IS NOT NULL"):
            if lossy_from and linode in lab.movers[-EACH:]:
                report.meant += 1
            else:
                report.lost += 1
    say(f"{len(lab.writer.acknowledged)} labels and {len(report.clicks)} clicks acknowledged, {lab.writer.refused} refused; missing: {report.lost}, "
        f"and {report.meant} that were meant to be")


def inside(args, folder):
    dice = random.Random(args.seed)
    cases = args.case or CASES
    lab, report = Lab(folder, cases, args.profile), Report()
    try:
        begun = time.monotonic()
        lab.begin()
        say(f"Three nodes, two portals, three agents, {len(lab.linodes)} Linodes: up in {time.monotonic() - begun:.0f} s")
        lab.begin_load()
        back = []
        for number, case in enumerate(cases):
            linodes = lab.movers[number * EACH:][:EACH]
            one(lab, case, linodes, back, report, dice)
            back = [it for it in linodes if (lab.state(it) or ("",) * 2)[1] == "finished"]
        lab.writer.end()
        acknowledged(lab, report, getattr(lab, "deaf_from", None), getattr(lab, "died_at", None))
        verify = subprocess.run([lab.portal_binary, "audit", "verify", "--config", lab.path("portal.toml")], capture_output=True, text=True)
        say(f"{verify.stdout}{verify.stderr}".strip())
        verdict = lab.verdict()
        report.violations = verdict["gaps"] + ([] if verify.returncode == 0 else ["the audit trail"])
        for trouble in verdict["overlaps"] + report.violations:
            say(f"  {trouble}")
        if "lossy" in cases and not report.meant:
            say("  nothing was lost in the lossy failover: it shows nothing")
            report.violations.append("nothing lost")
        say(f"lab-ha: {report.failovers} failovers, {len(report.violations)} violations, {report.lost} lost writes, "
            f"{len(verdict['overlaps'])} overlaps, {report.stuck} stuck moves; ready after {report.longest:.1f} s (longest)")
        good = not (report.violations or report.lost or verdict["overlaps"] or report.stuck)
        with open(os.path.join(folder, "results.json"), "w") as file:
            json.dump({"good": good}, file)
    except KeyboardInterrupt:
        return
    except BaseException:
        say(lab.cluster.logs(), lab.logs())
        raise
    finally:
        lab.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="dev", help="which build of the programs to use")
    parser.add_argument("--case", action="append", choices=CASES, help="only this one (may be given again)")
    parser.add_argument("--seed", type=int, default=None, help="of the moments; printed if not given")
    args = parser.parse_args()
    folder = os.environ.get("XENBETA_LAB_INSIDE")
    if folder:
        inside(args, folder)
        return 0
    seed = args.seed if args.seed is not None else random.randrange(10**6)
    say(f"seed {seed}")
    status, found = world.inside([os.path.abspath(__file__), *sys.argv[1:], "--seed", str(seed)])
    return 0 if status == 0 and found and found["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
