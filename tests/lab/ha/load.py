"""What people do meanwhile: acts over HTTP whose acknowledgement is remembered, to be looked for afterwards; and who watches
`/ready`."""

import threading
import time
import urllib.parse

from browser import Browser
from cluster import ask


class Writer(threading.Thread):
    """One person at one thing. `act(number)` does it and raises if it was not acknowledged."""

    def __init__(self, what, act, pause=0.05):
        super().__init__(daemon=True)
        self.what, self.act, self.pause = what, act, pause
        self.acknowledged, self.tried, self.refused = [], 0, 0
        self.went = threading.Event()
        self.halt = threading.Event()
        self.last_word = ""

    def run(self):
        while not self.halt.is_set():
            self.tried += 1
            begun = time.monotonic()
            try:
                self.act(self.tried)
                self.acknowledged.append((self.tried, begun, time.monotonic()))
            except (OSError, AssertionError) as error:
                self.refused += 1
                self.last_word = str(error)[:300]
                time.sleep(0.2)
            except Exception as error:   # half an answer
                self.refused += 1
                self.last_word = repr(error)[:300]
            time.sleep(self.pause)

    def since(self, moment):
        """When the first act after this moment was acknowledged that also began after it."""
        return next((done for _, begun, done in self.acknowledged if begun > moment), None)

    def end(self):
        self.halt.set()
        self.join(timeout=35)


def renamer(url, people, linode):
    """Renames a Linode that is never moved, again and again."""
    browser = Browser(url)
    browser.sign_in(*people)
    path = f"/members/linodes/{linode.id}/rename"
    hidden = [(name, value) for name, value in browser.get(path).form(action="/rename").fields if name != "label"]

    def act(number):
        status, location, text = browser._request("POST", url + path, urllib.parse.urlencode([*hidden, ("label", f"named-{number:06}")]))
        assert status in (302, 303) and "/login" not in (location or ""), f"{status} {location} {text[:200]}"
    return Writer("labels", act)


class Watch(threading.Thread):
    """Asks a portal ten times a second whether it is ready."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.seen, self.halt = url, [], threading.Event()

    def run(self):
        while not self.halt.is_set():
            begun = time.monotonic()
            status, text = ask(f"{self.url}/ready", timeout=3)
            self.seen.append((begun, time.monotonic(), status, text))
            time.sleep(0.1)

    def after(self, moment):
        """Seconds after it: the first no, and the yes after which there was no no any more; and what was wrong."""
        later = [it for it in self.seen if it[0] > moment]
        nos = [it for it in later if it[2] != 200]
        if not nos:
            return None, 0.0, set()
        yes = [it for it in later if it[2] == 200 and it[0] > nos[-1][0]]
        words = {it[3] for it in nos}
        return nos[0][1] - moment, (yes[0][1] - moment) if yes else None, words

    def slowest(self):
        return max((done - begun for begun, done, _, _ in self.seen), default=0)
