"""Three machines (network namespaces on one switch) with etcd, Patroni and PostgreSQL on each, and HAProxy before them: with
the files of packaging/ha, whose addresses are the lab's too. Nothing here is a service of the machine the lab runs on."""

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import world
from world import Program, eventually, run

PACKAGING = os.path.join(world.ROOT, "packaging", "ha")
NODES = {"pg1": "192.0.2.11", "pg2": "192.0.2.12", "pg3": "192.0.2.13"}
SWITCH, PORTALS = "192.0.2.1", ("192.0.2.21", "192.0.2.22")
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]


def ask(url, method="GET", body=None, timeout=2):
    """Status and body; 0 if nobody answered."""
    request = urllib.request.Request(url, method=method, data=body and json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except OSError as error:
        return 0, str(error)


class Node:
    """One machine: its network, and its programs."""

    def __init__(self, name, folder):
        self.name, self.address = name, NODES[name]
        self.dir = os.path.join(folder, name)
        os.makedirs(self.dir)
        run("chown", "postgres", self.dir)
        self.keeper = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        # The process is in its new network once that is another than ours.
        mine = os.readlink("/proc/self/ns/net")
        eventually(f"{name} has a network", lambda: os.readlink(f"/proc/{self.keeper.pid}/ns/net") != mine)
        run("ip", "link", "add", f"{name}-a", "type", "veth", "peer", "name", f"{name}-b")
        run("ip", "link", "set", f"{name}-a", "master", "br0", "up")
        run("ip", "link", "set", f"{name}-b", "netns", self.keeper.pid)
        for words in (["addr", "add", f"{self.address}/24", "dev", f"{name}-b"], ["link", "set", f"{name}-b", "up"], ["link", "set", "lo", "up"]):
            run(*self.within(), "ip", *words)
        self.etcd = Program(f"etcd {name}", [*self.within(), *AS_POSTGRES, "etcd"], self.path("etcd.log"), self.variables("etcd.default"))
        self.patroni = Program(f"patroni {name}", [*self.within(), *AS_POSTGRES, "patroni", self.configuration()],
                               self.path("patroni.log"), self.variables("patroni_env.conf"))

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def within(self):
        return ["nsenter", f"--net=/proc/{self.keeper.pid}/ns/net"]

    def variables(self, file):
        """The file of the first node, as it is on this one."""
        found = {"LC_ALL": "C.UTF-8", "HOME": self.dir}
        with open(os.path.join(PACKAGING, file)) as lines:
            for line in lines:
                if "=" not in line or line.startswith("#"):
                    continue
                key, value = line.strip().split("=", 1)
                if key != "ETCD_INITIAL_CLUSTER":
                    value = value.replace("pg1", self.name).replace(NODES["pg1"], self.address)
                if key.endswith("DATA_DIR"):
                    value = self.path("etcd" if key.startswith("ETCD") else "data")
                found[key] = value
        return found

    def configuration(self):
        """The file that is the same on all of them; its sockets are in nobody's way, and PostgreSQL is what this machine has."""
        newest = sorted(os.listdir("/usr/lib/postgresql"), key=float)[-1]
        with open(os.path.join(PACKAGING, "patroni.yml")) as file:
            text = file.read().replace("/usr/lib/postgresql/15/bin", f"/usr/lib/postgresql/{newest}/bin")
        text = text.replace("\npostgresql:\n", f"\npostgresql:\n  parameters:\n    unix_socket_directories: {self.dir}\n", 1)
        with open(self.path("patroni.yml"), "w") as file:
            file.write(text)
        return self.path("patroni.yml")

    def start(self):
        self.etcd.start()
        self.patroni.start()

    def processes(self):
        """All that is in its network but the keeper of it."""
        net, found = os.readlink(f"/proc/{self.keeper.pid}/ns/net"), []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if int(pid) != self.keeper.pid and os.readlink(f"/proc/{pid}/ns/net") == net:
                    found.append(int(pid))
            except OSError:
                pass
        return found

    def signal(self, number, only=None):
        sent = 0
        for pid in self.processes():
            try:
                with open(f"/proc/{pid}/cmdline") as file:
                    line = file.read()
                if only is None or only in line:
                    os.kill(pid, number)
                    sent += 1
            except OSError:
                pass
        return sent

    def die(self):
        """As if its power had gone. What its programs had started is ours then, as the first of this process namespace: left
        unburied, a dead PostgreSQL would look alive to the next Patroni."""
        dead = set()
        while found := self.processes():
            dead.update(found)
            self.signal(signal.SIGKILL)
            time.sleep(0.02)
        for program in (self.etcd, self.patroni):
            program.process.wait()
        for pid in dead:
            try:
                os.waitpid(pid, 0)
            except OSError:
                pass

    def cut(self, cut):
        run("ip", "link", "set", f"{self.name}-a", "down" if cut else "up")

    def patroni_says(self, path):
        return ask(f"http://{self.address}:8008{path}", timeout=1)[0]


def bury():
    """Patroni leaves PostgreSQL to the first process, which is the lab's here, and waits for it to be gone when it has ended."""
    while True:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as file:
                    _, comm, rest = re.split(r"[()]", file.read(), maxsplit=2)
                state, parent = rest.split()[:2]
                if comm == "postgres" and state == "Z" and int(parent) == os.getpid():
                    os.waitpid(int(pid), os.WNOHANG)
            except (OSError, ValueError):
                pass
        time.sleep(0.2)


class Cluster:
    def __init__(self, folder):
        self.folder = folder
        threading.Thread(target=bury, daemon=True).start()
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "br0", "type", "bridge")
        for address in (SWITCH, *PORTALS):
            run("ip", "addr", "add", f"{address}/24", "dev", "br0")
        run("ip", "link", "set", "br0", "up")
        self.nodes = [Node(name, folder) for name in NODES]
        # Agents speak without TLS to this machine only.
        with open(os.path.join(PACKAGING, "haproxy.cfg")) as file:
            text = file.read().replace(f"bind {SWITCH}:8080", "bind 127.0.0.1:8080")
        with open(os.path.join(folder, "haproxy.cfg"), "w") as file:
            file.write(text)
        self.haproxy = Program("haproxy", ["haproxy", "-db", "-f", os.path.join(folder, "haproxy.cfg")], os.path.join(folder, "haproxy.log"))

    def begin(self):
        for node in self.nodes:
            node.start()
        self.haproxy.start()
        eventually("three servers, one of them a synchronous standby", lambda: self.check() or self.whole(), limit=60, pause=0.3)
        self.psql("CREATE ROLE xenbeta LOGIN PASSWORD 'lab'", database="postgres")
        self.psql("CREATE DATABASE xenbeta OWNER xenbeta", database="postgres")
        return "postgres://xenbeta:lab@192.0.2.1:5000/xenbeta"

    def members(self):
        for node in self.nodes:
            status, text = ask(f"http://{node.address}:8008/cluster", timeout=1)
            if status == 200:
                return json.loads(text)["members"]
        return []

    def whole(self, synchronous=True):
        """All there, on one timeline, streaming."""
        members = self.members()
        if len(members) != len(self.nodes) or any(it["state"] not in ("running", "streaming") for it in members):
            return False
        roles = sorted(it["role"] for it in members)
        timelines = {it.get("timeline") for it in members}
        return len(timelines) == 1 and roles == ["leader", "replica", "sync_standby" if synchronous else "replica"]

    def primary(self, besides=()):
        return next((it for it in self.nodes if it not in besides and it.patroni_says("/primary") == 200), None)

    def configure(self, **settings):
        for node in self.nodes:
            if ask(f"http://{node.address}:8008/config", "PATCH", settings)[0] == 200:
                return
        raise AssertionError("no Patroni took the setting")

    def psql(self, sql, database="xenbeta"):
        return run("psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", sql,
                   f"postgres://postgres:change-me-1@192.0.2.1:5000/{database}?connect_timeout=3")

    def check(self):
        for program in (self.haproxy, *(it.etcd for it in self.nodes), *(it.patroni for it in self.nodes)):
            program.check()

    def logs(self):
        programs = [self.haproxy] + [program for node in self.nodes for program in (node.etcd, node.patroni)]
        return "\n".join(f"--- {it.name}\n{it.tail(1500)}" for it in programs if os.path.exists(it.log))

    def end(self):
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            node.signal(signal.SIGKILL)
