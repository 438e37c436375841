"""A Linode whose network is dead on its new host, or whose kernel panics there: it comes home by itself."""

import time

from moves import say
from watcher import Client, await_answer, check_sequence
from world import eventually


def comes_home(lab, witness, linode, cut, mend, limit=180):
    """`cut` takes the network of the destination away, `mend` gives it back. The Linode has an offer, and serves at its source."""
    lab.member_names_checks(linode, [("80", "/"), ("80", "/acked")], limit_s=30)
    client = Client(linode.address)
    client.start()
    time.sleep(0.5)
    clicked = time.monotonic()
    cut()
    try:
        migration = lab.member_migrates(linode)
        lab.await_migration(migration, ("returning", "returned", "failed", "confirmed"), limit)
        failed = lab.one(f"SELECT state, went_home FROM check_runs WHERE migration_id = {migration}")
        said = [row[0] for row in lab.rows(f"SELECT said FROM check_answers WHERE migration_id = {migration}")]
        assert failed[0] == "failed" and str(failed[1]) in ("1", "t"), f"{failed}: {said}"
        lab.await_migration(migration, ("returned",), limit)
    finally:
        mend()
    await_answer(linode.address, limit=limit)
    home = time.monotonic() - clicked
    _, written = is_home(lab, witness, linode, client, migration)
    page = lab.receipt_page(migration)
    assert "so it went home by itself" in page and said[0] in page, "its member reads why"
    eventually("the mail says which check failed", lambda: any("it goes home" in subject for subject in lab.subjects()))
    say(f"  {linode.label}, no network there: checks said {said}; home by itself {home:.1f} s after the click, "
        f"{client.downtime(clicked):.1f} s without an answer; {client.acked} numbers safe from outside, {written} there now, no gap")


def is_home(lab, witness, linode, client, migration):
    """It runs where it came from, and has all that the client outside knew to be written. Returns the move, and how much that is."""
    time.sleep(0.5)
    client.end()
    row = lab.migration(migration)
    assert lab.owner(linode) == row["source"], "home is where it came from"
    assert witness.look().get(linode.id) == [row["source"]], "it runs at home, and only there"
    written = check_sequence(await_answer(linode.address, "/seq"), client.acked)
    assert not witness.overlaps, f"two runners: {witness.overlaps}"
    return row, written


def panics_there(lab, witness, linode, cut, mend, limit=180):
    """`cut` takes the network of the destination away, `mend` gives it back; the guest panics where it has none."""
    await_answer(linode.address, "/cgi-bin/panic-when-alone")
    client = Client(linode.address)
    client.start()
    time.sleep(0.5)
    begun = time.monotonic()
    cut()
    try:
        migration = lab.member_migrates(linode)
        lab.await_migration(migration, ("finished", "returned", "failed", "confirmed"), limit)
    finally:
        mend()
    noticed = time.monotonic() - begun
    await_answer(linode.address, limit=limit)
    lab.await_status(linode, "running", limit)
    row, written = is_home(lab, witness, linode, client, migration)
    assert row["state"] == "failed", f"it cannot have finished: {row}"
    page = lab.receipt_page(migration) + lab.member.get(f"/members/linodes/{linode.id}").body
    assert "Kernel panic" in page, "its member reads the console's last lines"
    say(f"  {linode.label}, a panic there: failed and said so {noticed:.1f} s after the click; {client.downtime(begun):.1f} s without "
        f"an answer; {client.acked} numbers safe from outside, {written} there now, no gap. The member reads: {row['failure']}")
