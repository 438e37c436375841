"""Who looks on from outside: a client that asks the guest every 50 ms, and a witness that counts its runners. Neither
knows anything of portal or agents."""

import http.client
import os
import threading
import time


def fetch(address, path, timeout=0.5):
    connection = http.client.HTTPConnection(address, 80, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
        return body if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def await_answer(address, path="/index.html", limit=60, patience=0.5):
    """Asks again and again, and waits so long for each answer: a guest that is short of CPU needs more than a moment."""
    begun = time.monotonic()
    while time.monotonic() - begun < limit:
        body = fetch(address, path, patience)
        if body is not None:
            return body
        time.sleep(0.02)
    raise AssertionError(f"{address}{path}: no answer in {limit} s")


class Client(threading.Thread):
    """Polls `/acked`, the newest number the guest says is on its disk, every 50 ms. An answer that takes longer than
    `patience` counts as none: a moment where downtime is measured, seconds where requests must not be lost."""

    PERIOD = 0.05

    def __init__(self, address, patience=PERIOD * 4):
        super().__init__(daemon=True)
        self.address = address
        self.patience = patience
        self.answers = []  # (when asked, number or None)
        self._ended = threading.Event()

    def run(self):
        due = time.monotonic()
        while not self._ended.is_set():
            now = time.monotonic()
            body = fetch(self.address, "/acked", timeout=self.patience)
            self.answers.append((now, int(body) if body and body.strip().isdigit() else None))
            due = max(due + self.PERIOD, time.monotonic())
            self._ended.wait(due - time.monotonic())

    def end(self):
        self._ended.set()
        self.join()

    @property
    def acked(self):
        return max((number for _, number in self.answers if number is not None), default=0)

    def downtime(self, since=0.0):
        """The longest time between two answers, in seconds."""
        answered = [when for when, number in self.answers if number is not None and when >= since]
        return max((b - a for a, b in zip(answered, answered[1:])), default=float("inf"))

    def answered_again(self, since):
        """The end of that time, in seconds after `since`."""
        answered = [when for when, number in self.answers if number is not None and when >= since]
        return max(zip(answered, answered[1:]), key=lambda pair: pair[1] - pair[0], default=(0, since))[1] - since

    def answered_between(self, begin, end):
        return sum(1 for when, number in self.answers if begin <= when <= end and number is not None)


class Witness(threading.Thread):
    """Reads the host's list of processes, every few milliseconds: the same Linode alive twice is the disaster. UML's
    processes name their Linode and, by its prefix, their host's agent."""

    def __init__(self, prefixes):
        super().__init__(daemon=True)
        self.hosts = {prefix: host for host, prefix in prefixes.items()}
        self.overlaps = []
        self.log = []           # (when, Linode, the hosts it runs on), one entry a change
        self._ended = threading.Event()

    @staticmethod
    def _umid(pid):
        """Of a living UML process, or None."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
            if not words[0].endswith("/linux"):
                return None
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] in "ZX":
                    return None
        except OSError:
            return None
        return next((word.removeprefix("umid=") for word in words if word.startswith("umid=")), None)

    def look(self):
        running = {}
        umids = {self._umid(pid) for pid in os.listdir("/proc") if pid.isdigit()} - {None}
        for prefix, linode in (umid.split("-linode-") for umid in sorted(umids)):
            if prefix in self.hosts:
                running.setdefault(int(linode), []).append(self.hosts[prefix])
        return running

    def gap(self, linode, since):
        """How long the Linode had no runner anywhere, in seconds: downtime without the guest's own stop and boot."""
        log = [(when, hosts) for when, number, hosts in self.log if number == linode and when >= since]
        return sum(later[0] - earlier[0] for earlier, later in zip(log, log[1:]) if not earlier[1])

    def run(self):
        before = {}
        while not self._ended.is_set():
            running = self.look()
            for linode in set(before) | set(running):
                hosts = running.get(linode, [])
                if hosts != before.get(linode, []):
                    self.log.append((time.monotonic(), linode, hosts))
                if len(hosts) > 1:
                    self.overlaps.append((time.monotonic(), linode, hosts))
            before = running
            self._ended.wait(0.01)

    def end(self):
        self._ended.set()
        self.join()


def check_sequence(text, acked):
    """The guest's numbers are 1, 2, 3 … without a gap, and none that it called safe is missing."""
    numbers = [int(line) for line in text.split()]
    for index, number in enumerate(numbers, 1):
        assert number == index, f"the sequence has {number} where {index} belongs"
    assert len(numbers) >= acked, f"{acked} was on disk, but the sequence ends at {len(numbers)}"
    return len(numbers)
