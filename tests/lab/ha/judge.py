"""The witness of the simulated guests, judged: as `tests/support/witness.rs` does, and besides that no guest starts
while another of the same Linode has not ended."""

import json


def judge(path, may_overtake=()):
    with open(path) as file:
        lines = sorted((json.loads(line) for line in file), key=lambda line: line["at_ns"])
    newest, running, overlaps, gaps = {}, {}, [], []
    for line in lines:
        linode, event, where = line["linode"], line["event"], (line["host"], line["pid"])
        if event == "start":
            if running.get(linode):
                overlaps.append(f"Linode {linode} starts on {line['host']} while it runs on {running[linode][0]}")
            running[linode] = where
            if line["number"] <= max(newest.get(linode, 0), line["acknowledged"]):
                gaps.append(f"Linode {linode} on {line['host']} begins with {line['number']}, although {line['acknowledged']} was synced")
        elif event in ("stop", "gone"):
            if event == "stop":
                newest[linode] = max(newest.get(linode, 0), line["number"])
            if running.get(linode) == where or event == "gone":
                running.pop(linode, None)
        elif event == "overlap":
            overlaps.append(f"overlap: {line}")
        else:
            gaps.append(f"{event}: {line}")
    return {"running": {linode: where[0] for linode, where in running.items()}, "overlaps": overlaps, "gaps": gaps,
            "starts": sum(line["event"] == "start" for line in lines)}
