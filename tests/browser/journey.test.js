// What the product is for, by clicks alone: two Linodes registered, approved and configured, moved by one click each; one
// goes back, the other is confirmed and its old copy deleted. Once with scripts, once without.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { approveAndConfigure, click, finished, hostOf, launch, person, receipt, register } from "./browser.js";
import { copiesOf, startDemo } from "./demo.js";

for (const scripts of [true, false]) {
  describe(scripts ? "with scripts" : "without scripts", () => {
    let browser, demo, member, staff, chosen;
    const homes = new Map();
    const moves = new Map();

    before(async () => {
      [browser, demo] = await Promise.all([launch(), startDemo()]);
      const options = { javaScriptEnabled: scripts };
      member = await person(browser, demo, demo.member, options);
      staff = await person(browser, demo, demo.staff, options);
    });
    after(async () => {
      await browser?.close();
      await demo?.stop();
    });

    test("a member registers two Linodes", async () => {
      chosen = await register(member, 2);
      for (const { label } of chosen) homes.set(label, await hostOf(member, label));
    });

    test("staff approve them and configure their migrations", async () => {
      for (const { label } of chosen) await approveAndConfigure(staff, label);
    });

    test("one click moves each, with progress to watch and equal digests at the end", async () => {
      for (const linode of chosen) {
        moves.set(linode.label, await click(member, linode));
        const phases = await finished(member, scripts);
        console.log(`# ${linode.label}: ${phases.join(" > ")}`);
        if (scripts) assert.ok(phases.length >= 2, "no progress was to be seen");
        const disks = await receipt(member);
        assert.ok(disks.length > 0);
        for (const { disk, source, destination, verdict } of disks) {
          assert.match(source, /[0-9a-f]{16}/, disk);
          assert.equal(source, destination, disk);
          assert.match(verdict, /equal|same/i);
        }
        assert.notEqual(await hostOf(member, linode.label), homes.get(linode.label));
        assert.equal((await copiesOf(demo.data, linode.id)).length, 2, "the old copy is kept");
      }
    });

    test("a second look at the migrate page offers no second move", async () => {
      const response = await member.goto(`/members/linodes/${chosen[0].id}/migrate`);
      assert.ok(response.status() < 500);
      assert.equal(await member.getByRole("button", { name: /^Migrate / }).count(), 0);
    });

    test("the way back brings one home, with its data", async () => {
      const { label } = chosen[0];
      await member.goto(moves.get(label));
      await member.getByRole("link", { name: `Move ${label} back` }).click();
      await member.getByRole("button", { name: `Move ${label} back` }).click();
      const until = Date.now() + 90_000;
      for (;;) {
        await member.goto(moves.get(label));
        if ((await member.getByText("Moved back to the old host.").count()) > 0) break;
        assert.ok(Date.now() < until, "the way back does not end");
        await pause(200);
      }
      await member.getByRole("link", { name: /^The way back of/ }).click();
      for (const { disk, source, destination } of await receipt(member)) assert.equal(source, destination, disk);
      assert.equal(await hostOf(member, label), homes.get(label));
    });

    test("confirming the other deletes its old copy and keeps the one it runs on", async () => {
      const { label, id } = chosen[1];
      await member.goto(moves.get(label));
      await member.getByRole("link", { name: "All is well: confirm" }).click();
      await member.getByRole("button", { name: `Confirm the move and delete the old copy of ${label}` }).click();
      await member.getByText("Moved and confirmed.").waitFor();
      const until = Date.now() + 60_000;
      while ((await copiesOf(demo.data, id)).length > 1) {
        assert.ok(Date.now() < until, "the old copy is still there");
        await pause(200);
      }
      assert.equal((await copiesOf(demo.data, id)).length, 1);
      assert.notEqual(await hostOf(member, label), homes.get(label));
    });

    test("nothing went wrong in the browser", () => {
      assert.deepEqual([...member.faults, ...staff.faults], []);
    });
  });
}
