// Every page through axe (WCAG 2.2 AA): at a desk, on a phone, light and dark, for visitors, members and staff; no page is
// wider than the phone, and Chromium has nothing to complain of under the portal's own policy.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import axe from "axe-core";
import * as demo from "./lib/demo.js";
import { DESKTOP, PHONE, Session, launch } from "./lib/browser.js";
import { addresses, prepare } from "./lib/pages.js";

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const PLACES = [
  ["desktop", { viewport: DESKTOP }],
  ["phone", { viewport: PHONE, isMobile: true, hasTouch: true }],
];
/** What the colours decide; all else is the same in the dark. */
const COLOURS = ["color-contrast", "link-in-text-block"];
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
    for (const [place, options] of PLACES) {
      // The policy would keep axe out; whether the pages keep to the policy is the next test's question.
      const session = await Session.open(browser, { ...options, storageState: signedIn[who], bypassCSP: true });
      for (const [name, path] of Object.entries(pages[who])) {
        await session.page.emulateMedia({ colorScheme: "light" });
        await session.go(path);
        await session.page.evaluate(axe.source);
        const violations = [["light", await look(session, { type: "tag", values: RULES })]];
        await session.page.emulateMedia({ colorScheme: "dark" });
        violations.push(["dark", await look(session, { type: "rule", values: COLOURS })]);
        for (const [light, ids] of violations) found.push(...ids.map((one) => `${name} (${place}, ${light}): ${one}`));
      }
      await session.close();
    }
    assert.deepEqual(found, []);
  });

  test(`the pages of ${who} fit a phone of 320 px, and the browser has no complaint`, async () => {
    const wide = [];
    const session = await Session.open(browser, { storageState: signedIn[who] });
    for (const [name, path] of Object.entries(pages[who])) {
      await session.go(path);
      for (const viewport of [{ width: 320, height: 640 }, DESKTOP]) {
        await session.page.setViewportSize(viewport);
        const width = await session.page.evaluate(() => document.documentElement.scrollWidth);
        if (width > viewport.width) wide.push(`${name} is ${width} px wide on ${viewport.width} px`);
        const hidden = await session.page.evaluate(statesOutOfSight);
        for (const state of hidden) wide.push(`${name}: “${state}” is out of sight on ${viewport.width} px`);
      }
    }
    session.clean(...FAULTS);
    await session.close();
    assert.deepEqual(wide, []);
  });
}

/** States of rows that one would have to scroll to sideways. */
function statesOutOfSight() {
  const isOut = ({ left, right, width }) => width && (left < 0 || right > innerWidth + 0.5);
  const states = [...document.querySelectorAll("main td > .tag:first-child")];
  return states.filter((tag) => isOut(tag.getBoundingClientRect())).map((tag) => tag.textContent.trim());
}

/** What axe says of the page as it is now: each rule that is broken, and where. */
async function look(session, runOnly) {
  const { violations } = await session.page.evaluate(
    (only) => window.axe.run(document, { runOnly: only, resultTypes: ["violations"] }),
    runOnly,
  );
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
}

test("axe is not blind: it finds what is wrong on a bad page", async () => {
  const session = await Session.open(browser, { bypassCSP: true });
  await session.page.setContent('<html><body><img src="data:,"><input><p style="color:#ddd;background:#fff">pale</p></body></html>');
  await session.page.evaluate(axe.source);
  const found = (await look(session, { type: "tag", values: RULES })).join("\n");
  for (const id of ["image-alt", "label", "color-contrast"]) assert.match(found, new RegExp(`^${id}:`, "m"));
  await session.page.setContent('<html><style>@media (prefers-color-scheme: dark) { p { color: #222; background: #000 } }</style><p>dark</p></html>');
  await session.page.evaluate(axe.source);
  assert.deepEqual(await look(session, { type: "rule", values: COLOURS }), []);
  await session.page.emulateMedia({ colorScheme: "dark" });
  assert.match((await look(session, { type: "rule", values: COLOURS })).join(), /color-contrast/, "and sees the dark");
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
