"""A move, watched from outside: what must hold of every one, and what it cost."""

import time

from watcher import Client, await_answer, check_sequence, fetch
from world import eventually


def say(text):
    print(text, flush=True)


def plain_reboot(lab, witness, linode, limit=60):
    """The same guest's stop and boot with no copy at all, as the same client sees it: the limit of any downtime."""
    begun = time.monotonic()
    client = Client(linode.address)
    client.start()
    boot = await_answer(linode.address, "/boot")
    time.sleep(0.5)
    lab.member_power(linode, "reboot")
    eventually("it booted again", lambda: (fetch(linode.address, "/boot") or boot) != boot, limit)
    time.sleep(0.5)
    client.end()
    lab.await_status(linode, "running", limit)
    return {"downtime": client.downtime(), "gap": witness.gap(linode.id, begun)}


def move(lab, witness, linode, click=None, limit=180):
    """One click, watched: on the Linode's own offer, unless another is given (it returns the migration's number). Returns
    what it cost."""
    page_before = await_answer(linode.address)
    boots_before = await_answer(linode.address, "/boots").split()
    client = Client(linode.address)
    client.start()
    time.sleep(0.5)
    clicked = time.monotonic()
    migration = (click or lab.member_migrates)(linode)
    lab.await_migration(migration, ("finished", "failed"), limit)
    await_answer(linode.address, limit=limit)
    time.sleep(1.0)
    client.end()

    row = lab.migration(migration)
    assert row["state"] == "finished", f"the migration {row['state']}: {row['failure']} / {row['failure_detail']}"
    assert lab.owner(linode) == row["destination"], "the destination owns it"
    assert witness.look().get(linode.id) == [row["destination"]], "it runs at the destination, and only there"
    assert await_answer(linode.address) == page_before, "the page of the disk is as it was"
    boots = await_answer(linode.address, "/boots").split()
    assert boots[:-1] == boots_before, "it booted once"
    written = check_sequence(await_answer(linode.address, "/seq"), client.acked)
    digests = lab.digests(migration)
    assert len(digests) == len(linode.disks), f"a receipt for every disk, but {digests}"
    for disk, sides in digests.items():
        assert sides["source"] == sides["destination"], f"disk {disk}: {sides}"
        assert sides["source"] in lab.receipt_page(migration), "the member sees the digest"
    warm = lab.job_times(migration, "warm_copy")
    served = client.answered_between(clicked + warm[0], clicked + warm[1]) if warm else 0
    assert warm, "there was a warm pass"
    # A small disk is copied between two of the client's questions.
    assert served or warm[1] - warm[0] < 0.5, f"the guest did not answer while the warm pass ran ({warm})"
    assert not witness.overlaps, f"two runners: {witness.overlaps}"
    seconds = max(warm[1] - warm[0], 0.001)
    assert row["foretold_ms"] and row["running_at"], "the downtime was foretold, and measured"
    told = {"told_s": int(row["foretold_ms"]) / 1000, "most_s": int(row["foretold_most_ms"]) / 1000,
            "measured_s": lab.seconds(row["stopped_at"], row["running_at"])}
    switch = {kind: lab.job_times(migration, kind) for kind in ("stop_seal", "final_copy")}
    return {
        **told, "disks_mib": sum(size for _, _, size in linode.disks), "sent_mib": row["sent_bytes"] / 2**20,
        "passes": row["warm_passes"], "mb_s": row["sent_bytes"] / 1e6 / seconds, "warm_s": seconds, "served": served,
        "switch_s": {kind: end - begin for kind, (begin, end) in switch.items()}, "downtime": client.downtime(clicked), "gap": witness.gap(linode.id, clicked), "acked": client.acked, "written": written,
        "answered_s": client.answered_again(clicked), "whole_s": lab.seconds(row["queued_at"], row["finished_at"]),
    }


def report(title, plain, cost):
    say(f"  {title}: {cost['disks_mib']} MiB of disks; {cost['sent_mib']:.1f} MiB sent, {cost['mb_s']:.0f} MB/s, "
        f"{cost['passes']} warm passes in {cost['warm_s']:.1f} s, {cost['served']} answers meanwhile")
    say(f"    downtime seen from outside {cost['downtime']:.2f} s, of it with no guest anywhere {cost['gap']:.2f} s; the same guest's "
        f"plain stop and boot {plain['downtime']:.2f} s ({plain['gap']:.2f} s); {cost['whole_s']:.1f} s from click to finished")
    say(f"    of that, stop and seal took {cost['switch_s']['stop_seal']:.2f} s, the final copy {cost['switch_s']['final_copy']:.2f} s")
    say(f"    foretold {cost['told_s']:.1f} s, {cost['most_s']:.1f} s at most; measured {cost['measured_s']:.1f} s")
    say(f"    fsynced numbers: {cost['acked']} seen on disk from outside, {cost['written']} there now, no gap")
