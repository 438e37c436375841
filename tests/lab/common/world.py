"""The lab's world: a network namespace with a switch and a bridge for each host, in a process namespace of its own, so that
everything started in it ends with it."""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import forward

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
GUEST = os.path.join(ROOT, "tests", "lab", "uml", "guest")
GATEWAY = "10.77.0.1"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def inside(arguments, demo=None):
    """Runs this program again in new namespaces; returns its status and what it left in `results.json`. The namespaces
    are gone afterwards, whatever happened."""
    name = f"xblab{os.getpid()}"
    folder = tempfile.mkdtemp(prefix="xenbeta-lab-", dir=os.environ.get("XENBETA_LAB_TMP", "/var/tmp"))
    child = None

    def clean(*_):
        if child and child.poll() is None:
            child.kill()   # --kill-child ends the process namespace, and with it everything in it
            child.wait()
        subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL)
        if not os.environ.get("XENBETA_LAB_KEEP"):
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(clean)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    run("ip", "netns", "add", name)
    command = ["ip", "netns", "exec", name, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
               sys.executable, *arguments]
    child = subprocess.Popen(command, env={**os.environ, "XENBETA_LAB_INSIDE": folder, "XENBETA_LAB_PID": str(os.getpid())})
    try:
        if demo:
            open_doors(demo, folder, child)
        status = child.wait()
    except KeyboardInterrupt:
        # The copy inside got the same signal; it has a moment to end things itself.
        try:
            status = child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            status = 1
    results = None
    if os.path.exists(os.path.join(folder, "results.json")):
        with open(os.path.join(folder, "results.json")) as file:
            results = json.load(file)
    atexit.unregister(clean)
    clean()
    return status, results


def first_uid(number):
    """The users of a host's guests: labs run side by side, and agents of one machine do not share them. Those of tests/agent/uml
    begin at 1,000,000,000."""
    return 100_000 + (int(os.environ["XENBETA_LAB_PID"]) % 40_000 * 2 + number % 2) * 10_000


def open_doors(listen, folder, child):
    """Waits until the demo is up, then lets a browser on this machine in, and says so."""
    ready = os.path.join(folder, "ready.json")
    while not os.path.exists(ready):
        if child.poll() is not None:
            return
        time.sleep(0.1)
    with open(ready) as file:
        demo = json.load(file)
    address, port = listen.rsplit(":", 1)
    doors = list(enumerate(demo["doors"]))
    forward.in_background([forward.outside(address, int(port) + number, path) for number, (_, path) in doors])
    print(demo["text"] + "".join(f"  {what}: http://{address}:{int(port) + number}/\n" for number, (what, _) in doors)
          + "\nIt runs until Ctrl-C (or a TERM to this process); nothing is left behind then.", flush=True)


def network(hosts):
    """`br0` is the provider's switch, with the gateway's address; each host has a bridge on a cable to it."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "addr", "add", f"{GATEWAY}/24", "dev", "br0")
    run("ip", "link", "set", "br0", "up")
    for host in hosts:
        run("ip", "link", "add", f"br-{host}", "type", "bridge")
        run("ip", "link", "add", f"{host}-a", "type", "veth", "peer", "name", f"{host}-b")
        run("ip", "link", "set", f"{host}-a", "master", "br0", "up")
        run("ip", "link", "set", f"{host}-b", "master", f"br-{host}", "up")
        run("ip", "link", "set", f"br-{host}", "up")


def cable(host, state):
    """Pulls a host's cable to the switch, or puts it back: its guests reach nobody, and nobody reaches them."""
    run("ip", "link", "set", f"{host}-a", state)


class Program:
    """A program of the project that can be killed and started again; its output goes to a file."""

    def __init__(self, name, command, log, env=None):
        self.name, self.command, self.log = name, [str(word) for word in command], log
        self.env = {**os.environ, **(env or {})}
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env=self.env, start_new_session=True)
        return self

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait()

    def check(self):
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.tail()}"

    def tail(self, size=3000):
        with open(self.log, "rb") as log:
            return log.read()[-size:].decode("utf-8", "replace")


def eventually(what, look, limit=60, pause=0.05):
    begun = time.monotonic()
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() - begun > limit:
            raise AssertionError(f"{what}: not within {limit} s")
        time.sleep(pause)
