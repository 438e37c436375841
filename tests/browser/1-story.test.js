// The whole story in two browsers: register, approve, configure, one click, live progress, receipt, way back, confirm.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
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

const ACCOUNT = "Larkspur";
let browser, member, staff;

before(async () => {
  browser = await launch();
  [member, staff] = await Promise.all([Session.open(browser), Session.open(browser)]);
});
after(() => browser?.close());

/**
 * Watches a migration's page until `done` stands there. Every look is told apart by the document it was taken in: values
 * that change inside one document came without a reload.
 */
async function watch(done, seconds = 180) {
  const looks = [];
  const look = async () => {
    try {
      return await member.page.evaluate(() => {
        window.lookedAt ??= String(performance.timeOrigin);
        if (window.jump === undefined) {
          window.jump = 0;
          new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.jump += entry.value;
          }).observe({ type: "layout-shift", buffered: true });
        }
        const text = (key) => document.querySelector(`[data-k="${key}"]`)?.textContent.trim() ?? "";
        return {
          document: window.lookedAt,
          phase: text("phase"),
          progress: text("progress"),
          bar: document.querySelector('[data-k="bar"]')?.value ?? null,
          jump: window.jump,
        };
      });
    } catch {
      return null; // between two documents
    }
  };
  await demo.until(
    `"${done}", last seen: ${JSON.stringify(looks.at(-1))}`,
    async () => {
      const seen = await look();
      if (seen) looks.push(seen);
      return seen?.phase.startsWith(done);
    },
    seconds,
    80,
  );
  return looks;
}

/** In how many documents did `key` take more than one value? */
function changedInPlace(looks, key) {
  const values = new Map();
  for (const look of looks) {
    if (look[key]) values.set(look.document, (values.get(look.document) ?? new Set()).add(look[key]));
  }
  return [...values.values()].filter((seen) => seen.size > 1).length;
}

test("a member signs in and registers two Linodes", async () => {
  await member.go("/");
  await member.link("Sign in").first().click();
  await member.signIn(demo.member);
  assert.equal(await member.heading(), "Linodes");
  await register(member, ["db-01", "old-mail"]);
  member.clean();
});

test("staff approve them and configure a migration for each", async () => {
  await staff.signIn(demo.staff);
  await approveAndConfigure(staff, ACCOUNT, ["db-01", "old-mail"]);
  staff.clean();
});

/** What is put into a live region that stands on the page already: only that is read out. */
async function listen(session) {
  await session.page.exposeBinding("heard", (_, text) => session.heard.push(text));
  session.heard = [];
  await session.page.addInitScript(() => {
    new MutationObserver((changes) => {
      for (const { target } of changes) {
        const element = target.nodeType === Node.ELEMENT_NODE ? target : target.parentElement;
        const region = element?.closest('[role="status"], [aria-live="polite"]');
        if (region) window.heard(region.textContent.trim());
      }
    }).observe(document, { subtree: true, childList: true, characterData: true });
  });
}

test("one click moves db-01, and its page shows that live", async () => {
  await openOffer(member, "db-01");
  await listen(member);
  assert.match(await member.text(), /Root device\s+\/dev\/ubda\s+\/dev\/xvda/);
  assert.equal(demo.imagesAt("uml-17", "db-01").length, 3);
  await member.button("Migrate db-01").click();
  await member.page.getByRole("navigation", { name: "Breadcrumb" }).getByRole("link").last().focus();
  const focused = () => member.page.evaluate(() => document.activeElement.getAttribute("href"));
  const at = await focused();
  const looks = await watch("Moved. It runs on its new host.");
  assert.ok(at && at === (await focused()), "the reader is where they were, on the page that came in its place");
  assert.ok(changedInPlace(looks, "bar") + changedInPlace(looks, "progress") > 0, "progress moved without a reload");
  assert.ok(changedInPlace(looks, "phase") > 0, "the phase changed without a reload");
  await demo.until("the end of the move is read out", () => member.heard.includes("Moved. It runs on its new host."), 10);
  assert.match(await member.page.title(), /^Finished: /);
  for (const look of looks) assert.ok(look.jump <= 0.02, `live values make the page jump by ${look.jump}`);
  const words = looks.map((look) => look.progress).filter(Boolean);
  assert.ok(words.length > 0, "there was progress to read");
  for (const said of words) assert.match(said, /^Pass \d+: (.* left to send, .* sent, .*\/s\.|.* sent in all; now the copy is read once more, .* of .*\.)/);
  await assertReceipt(member, 3);
  assert.match(await member.text(), /Until .* there is a way back/);
  member.clean();
});

test("the 2.4 kernel of old-mail has to be accepted first", async () => {
  await openOffer(member, "old-mail");
  await member.page.getByRole("heading", { name: /My Debian Profile.*2\.4 to 2\.6/ }).waitFor();
  await member.button("Migrate old-mail").click();
  await member.page.getByRole("alert").waitFor();
  assert.match(await member.page.title(), /^Error: /);
  await member.page.getByLabel(/I accept that “My Debian Profile” gets .*2\.6.* in place of .*2\.4/).check();
  await member.button("Migrate old-mail").click();
  await watch("Moved. It runs on its new host.");
  await assertReceipt(member, 1);
  member.clean("status of 422");
});

test("db-01 goes back to its old host", async () => {
  await openMove(member, "db-01");
  const there = await member.page.url();
  await member.link("Move db-01 back").click();
  assert.equal(await member.heading(), "Move db-01 back?");
  await member.button("Move db-01 back").click();
  assert.notEqual(member.page.url(), there, "the way back is a migration of its own");
  await watch("Moved");
  await assertReceipt(member, 3);
  await member.go("/members/");
  assert.match(await member.row("db-01").innerText(), /Running[^]*uml-17/);

  await member.go(there);
  assert.match(await phase(member), /^Moved back/);
  // Nothing is kept once the member is content with that, too.
  await openMove(member, "db-01");
  await member.link("All is well: confirm").click();
  await confirmIt(member);
  for (const host of ["xen-beta-1", "xen-beta-2"]) await untilPurged(host, "db-01");
  await demo.until("one copy of each disk is left", () => demo.imagesAt("uml-17", "db-01").length === 3, 60);
  await member.go("/members/");
  assert.match(await member.row("db-01").innerText(), /Running[^]*uml-17/);
  member.clean();
});

test("confirming old-mail purges its source", async () => {
  assert.equal(demo.imagesAt("uml-12", "old-mail").length, 1, "the way back keeps the old copy");
  await openMove(member, "old-mail");
  await member.link("All is well: confirm").click();
  await confirmIt(member);
  await untilPurged("uml-12", "old-mail");
  await member.go("/members/");
  assert.match(await member.row("old-mail").innerText(), /Running[^]*xen-beta-\d/);
  member.clean();
});
