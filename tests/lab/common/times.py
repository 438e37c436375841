"""A move at a time that its member chose, with a limit for its downtime: when it stopped, and for how long, as seen by a client
outside who knows nothing of the portal. The guest writes all the time."""

import time

from moves import say

# From the click until it is to stop: long enough to copy what these guests have.
AHEAD_S = 45
# Of those that the form offers.
LIMIT_S = 60
# The product promises a minute; what a guest does while it shuts down is in that.
LATE_S = 60


class Chosen:
    """The click, for `moves.move`; and what must hold of it afterwards."""

    def __init__(self, lab, ahead_s=AHEAD_S, limit_s=LIMIT_S):
        self.lab, self.ahead_s, self.limit_s = lab, ahead_s, limit_s
        self.clicked = self.at = self.migration = None

    def __call__(self, linode):
        self.clicked = time.time()
        self.at = int(self.clicked) + self.ahead_s
        self.migration = self.lab.member_migrates(linode, when=f"slot-{self.at}", down_limit=str(self.limit_s))
        return self.migration

    def judge(self, cost):
        ordered = self.lab.moment(self.lab.migration(self.migration)["stopped_at"]) - self.at
        # The last answer before it was away.
        silent = self.clicked + cost["answered_s"] - cost["downtime"] - self.at
        say(f"    chosen to stop {self.ahead_s} s after the click: ordered {ordered:+.1f} s off, silent from {silent:+.1f} s on; away for "
            f"{cost['downtime']:.1f} s of {self.limit_s} s allowed")
        assert 0 <= ordered <= LATE_S, f"it was told to stop {ordered:.1f} s after the time chosen"
        assert -1 <= silent <= LATE_S, f"it was silent from {silent:.1f} s after the time chosen on"
        assert cost["most_s"] <= self.limit_s, f"{cost['most_s']} s were foretold at most, and {self.limit_s} s allowed"
        assert cost["downtime"] <= self.limit_s, f"it was away for {cost['downtime']:.1f} s"
