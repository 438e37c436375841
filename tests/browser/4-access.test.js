// Every page through axe (WCAG 2.2 AA): at a desk, on a phone, light and dark, for visitors, members and staff; no page is
// wider than the phone, and Chromium has nothing to complain of under the portal's own policy.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import axe from "axe-core";
import * as demo from "./lib/demo.js";
import { DESKTOP, PHONE, Session, launch } from "./lib/browser.js";
import { addresses, prepare } from "./lib/pages.js";

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const WAYS = [
  ["desktop, light", { viewport: DESKTOP, colorScheme: "light" }],
  ["desktop, dark", { viewport: DESKTOP, colorScheme: "dark" }],
  ["phone, light", { viewport: PHONE, colorScheme: "light", isMobile: true, hasTouch: true }],
  ["phone, dark", { viewport: PHONE, colorScheme: "dark", isMobile: true, hasTouch: true }],
];
/** Pages that answer with an error on purpose. */
const FAULTS = ["status of 404", "status of 409", "status of 410"];

let browser, pages, signedIn;

before(async () => {
  browser = await launch();
  const [member, staff] = [await Session.open(browser), await Session.open(browser)];
  await member.signIn(demo.member);
  await staff.signIn(demo.staff);
  await prepare(member, staff);
  pages = await addresses(member, staff);
  signedIn = {
    anyone: undefined,
    member: await member.context.storageState(),
    staff: await staff.context.storageState(),
  };
});
after(() => browser?.close());

for (const who of ["anyone", "member", "staff"]) {
  test(`axe finds nothing on the pages of ${who}`, async () => {
    const found = [];
    for (const [way, options] of WAYS) {
      // The policy would keep axe out; whether the pages keep to the policy is the next test's question.
      const session = await Session.open(browser, { ...options, storageState: signedIn[who], bypassCSP: true });
      for (const [name, path] of Object.entries(pages[who])) {
        await session.go(path);
        await session.page.evaluate(axe.source);
        const result = await session.page.evaluate(
          (values) => window.axe.run(document, { runOnly: { type: "tag", values }, resultTypes: ["violations"] }),
          RULES,
        );
        for (const { id, nodes } of result.violations) {
          found.push(`${name} (${way}): ${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
        }
      }
      await session.close();
    }
    assert.deepEqual(found, []);
  });

  test(`the pages of ${who} fit a phone of 320 px, and the browser has no complaint`, async () => {
    const wide = [];
    for (const viewport of [{ width: 320, height: 640 }, DESKTOP]) {
      const session = await Session.open(browser, { viewport, storageState: signedIn[who] });
      for (const [name, path] of Object.entries(pages[who])) {
        await session.go(path);
        const width = await session.page.evaluate(() => document.documentElement.scrollWidth);
        if (width > viewport.width) wide.push(`${name} is ${width} px wide on ${viewport.width} px`);
      }
      session.clean(...FAULTS);
      await session.close();
    }
    assert.deepEqual(wide, []);
  });
}

test("axe is not blind: it finds what is wrong on a bad page", async () => {
  const session = await Session.open(browser, { bypassCSP: true });
  await session.page.setContent('<html><body><img src="data:,"><input><p style="color:#ddd;background:#fff">pale</p></body></html>');
  await session.page.evaluate(axe.source);
  const result = await session.page.evaluate((values) => window.axe.run(document, { runOnly: { type: "tag", values } }), RULES);
  const ids = result.violations.map((one) => one.id);
  for (const id of ["image-alt", "label", "color-contrast"]) assert.ok(ids.includes(id), `${id} in ${ids}`);
  await session.close();
});

test("the policy is in force: a page cannot run what is not its own", async () => {
  const session = await Session.open(browser);
  await session.go("/login");
  const ran = await session.page.evaluate(() => {
    const script = document.createElement("script");
    try {
      script.textContent = "window.injected = true";
      document.head.append(script);
    } catch {
      return "refused";
    }
    return window.injected ? "ran" : "refused";
  });
  assert.equal(ran, "refused");
  assert.ok(session.complaints.length > 0, "and the browser says so, so the other tests would have heard of it");
  await session.close();
});
