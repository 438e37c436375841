"""The near end of the control channel: one port of the machine, held by one caller at a time. `dom0/control` is the far end
and says what goes over it."""

import base64
import fcntl
import json
import os
import socket
import time
import uuid


class Broken(Exception):
    """The machine or its channel does not do what it should; the text is for people."""


class Busy(Exception):
    """Somebody else holds this port."""


class Done:
    def __init__(self, status, out, err, error, pid=None):
        self.status, self.out, self.err, self.error, self.pid = status, out, err, error, pid


class Channel:
    def __init__(self, folder, number):
        self.folder, self.number = folder, number

    def __enter__(self):
        self.lock = open(os.path.join(self.folder, f"control{self.number}.lock"), "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.lock.close()
            raise Busy() from None
        self.socket = socket.socket(socket.AF_UNIX)
        # By way of a folder descriptor: a socket's path may have 107 bytes only.
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            self.socket.connect(f"/proc/self/fd/{folder}/control{self.number}")
        except OSError as fault:
            self.__exit__()
            raise Broken(f"no machine answers in {self.folder}: {fault}") from None
        finally:
            os.close(folder)
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.lock.close()

    def call(self, words, limit, given, env, out, err, log):
        number = uuid.uuid4().hex
        request = {"id": number, "command": [str(word) for word in words], "limit": limit, "env": env, "log": log,
                   "input": base64.b64encode(given).decode() if given else None}
        # The empty line ends what an earlier caller may have left half said.
        ends = time.monotonic() + limit + 10
        held, pieces = b"", {"out": b"", "err": b""}
        try:
            self.socket.settimeout(limit + 10)
            self.socket.sendall(b"\n" + json.dumps(request).encode() + b"\n")
            while True:
                self.socket.settimeout(max(0.1, ends - time.monotonic()))
                piece = self.socket.recv(1 << 16)
                if not piece:
                    raise Broken("the machine ended")
                held += piece
                *lines, held = held.split(b"\n")
                for line in lines:
                    answer = self._answer(line, number)
                    if "status" in answer:
                        return Done(answer["status"], pieces["out"], pieces["err"], answer.get("error"), answer.get("pid"))
                    for name, file in (("out", out), ("err", err)):
                        if name in answer:
                            data = base64.b64decode(answer[name])
                            if file is None:
                                pieces[name] += data
                            else:
                                file.write(data)
                                file.flush()
        except OSError as fault:
            raise Broken(f"the machine does not answer: {fault or 'timed out'}") from None

    @staticmethod
    def _answer(line, number):
        """What an earlier caller's command still said is passed over."""
        try:
            answer = json.loads(line)
            return answer if answer.get("id") == number else {}
        except (ValueError, AttributeError):
            return {}
