// The same story without JavaScript: every step by forms and links, progress by "Check progress now".

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as demo from "./lib/demo.js";
import { Session, launch } from "./lib/browser.js";
import {
  approveAndConfigure,
  assertReceipt,
  confirmIt,
  openMove,
  openOffer,
  phase,
  register,
  untilPurged,
} from "./lib/steps.js";

const PLAIN = { javaScriptEnabled: false };
let browser, member, staff;

before(async () => {
  browser = await launch();
  [member, staff] = await Promise.all([Session.open(browser, PLAIN), Session.open(browser, PLAIN)]);
});
after(() => browser?.close());

/** Presses "Check progress now" until `done` stands there; returns the phases seen on the way. */
async function check(done, seconds = 180) {
  const seen = new Set();
  await demo.until(
    done,
    async () => {
      const now = await phase(member);
      seen.add(now);
      if (now.startsWith(done)) return true;
      await member.link("Check progress now").click();
      await sleep(200);
      return false;
    },
    seconds,
  );
  return [...seen];
}

test("without JavaScript, a member registers two Linodes and staff configure them", async () => {
  await member.signIn(demo.otherMember);
  await register(member, ["quillon-www", "quillon-legacy"]);
  await staff.signIn(demo.staff);
  await approveAndConfigure(staff, "Quillon", ["quillon-www", "quillon-legacy"]);
  member.clean();
  staff.clean();
});

test("without JavaScript, one click moves, and each look shows how far it is", async () => {
  await openOffer(member, "quillon-www");
  await member.button("Migrate quillon-www").click();
  const seen = await check("Moved. It runs on its new host.");
  assert.ok(seen.length > 2, `phases on the way: ${seen.join(" ")}`);
  await assertReceipt(member, 1);
  member.clean();
});

test("without JavaScript, a 2.4 kernel is accepted, and the way back works", async () => {
  await openOffer(member, "quillon-legacy");
  const accept = member.page.getByLabel(/I accept that “/);
  if (await accept.count()) {
    await member.button("Migrate quillon-legacy").click();
    assert.match(await member.page.title(), /^Error: /);
    await accept.check();
  }
  await member.button("Migrate quillon-legacy").click();
  await check("Moved. It runs on its new host.");
  await member.link("Move quillon-legacy back").click();
  await member.button("Move quillon-legacy back").click();
  await check("Moved");
  await member.go("/members/");
  assert.match(await member.row("quillon-legacy").innerText(), /Running[^]*uml-12/);
  member.clean("status of 422");
});

test("without JavaScript, confirming purges the source", async () => {
  assert.ok(demo.imagesAt("uml-12", "quillon-www").length > 0, "the way back keeps the old copy");
  await openMove(member, "quillon-www");
  await member.link("All is well: confirm").click();
  await confirmIt(member);
  await untilPurged("uml-12", "quillon-www");
  member.clean();
});
