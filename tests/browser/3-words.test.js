// Words as long as they may be, and phones: nothing is wider than the screen, what is out of sight is hinted at, what is drawn
// can be read.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as demo from "./lib/demo.js";
import { DESKTOP, PHONE, Session, launch } from "./lib/browser.js";

const LABEL = "quillon-legacy";
const LONG = "m".repeat(64);
const TITLE = "w".repeat(100);
const WIDTHS = [DESKTOP, PHONE, { width: 320, height: 640 }];
const linode = `/members/linodes/${demo.LINODE[LABEL]}`;

let browser, member, staff;

before(async () => {
  browser = await launch();
  [member, staff] = [await Session.open(browser), await Session.open(browser)];
  await member.signIn(demo.otherMember);
  await staff.signIn(demo.staff);
});
after(() => browser?.close());

async function rename(label) {
  await member.go(`${linode}/rename`);
  await member.page.getByRole("textbox").fill(label);
  await member.page.getByRole("main").getByRole("button").click();
}

/** What is wider than the screen, or sticks out of it, where nothing scrolls. */
async function wide(session, paths) {
  const found = [];
  for (const path of paths) {
    await session.go(path);
    for (const viewport of WIDTHS) {
      await session.page.setViewportSize(viewport);
      const said = await session.page.evaluate(() => {
        const width = document.documentElement.clientWidth;
        const out = [...document.querySelectorAll("main h1, main a, main button, main dd, main label")].filter((el) => {
          if (el.closest(".scroll, .vh, pre, nav") || !el.checkVisibility()) return false;
          const box = el.getBoundingClientRect();
          return box.right > width + 1 || box.left < -1;
        });
        return { page: document.documentElement.scrollWidth - width, out: out.map((el) => el.textContent.trim().slice(0, 40)) };
      });
      if (said.page > 0) found.push(`${path} is ${said.page} px too wide on ${viewport.width} px`);
      for (const text of said.out) found.push(`${path} on ${viewport.width} px: ${text}`);
    }
  }
  return found;
}

test("the longest words make no page wider than the screen", async () => {
  await rename(LONG);
  await member.go(`/members/bugs/new?linode=${demo.LINODE[LABEL]}&title=${TITLE}`);
  await member.page.getByLabel("What happened").fill(TITLE);
  await member.button("Open the bug").click();
  const thread = new URL(member.page.url()).pathname;
  const theirs = [
    "/members/",
    "/members/xenbeta",
    linode,
    `${linode}/shutdown`,
    `${linode}/jobs`,
    `/members/fairness?linode=${demo.LINODE[LABEL]}`,
    "/members/bugs",
    thread,
    `/members/bugs/new?title=${TITLE}`,
  ];
  const found = await wide(member, theirs);
  found.push(...(await wide(staff, ["/staff/bugs", thread.replace("members", "staff"), `/staff/registrations?q=${LONG}`])));
  await rename(LABEL);
  member.clean();
  staff.clean();
  assert.deepEqual(found, []);
});

test("no button lies over a fact", async () => {
  await rename(LONG);
  await member.go(linode);
  for (const viewport of WIDTHS) {
    await member.page.setViewportSize(viewport);
    const over = await member.page.evaluate(() => {
      const [facts, buttons] = ["dl.facts dd", "main .row a.button, main .row button"].map((all) => [...document.querySelectorAll(all)]);
      const lies = (one, other) => one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
      return buttons.filter((button) => facts.some((fact) => lies(button.getBoundingClientRect(), fact.getBoundingClientRect()))).length;
    });
    assert.equal(over, 0, `${viewport.width} px`);
  }
  await rename(LABEL);
  member.clean();
});

test("on a phone charts can be read, times stand on one line, and a table's rows keep their names", async () => {
  const phone = await Session.open(browser, { viewport: PHONE, isMobile: true, hasTouch: true, storageState: await member.context.storageState() });
  const { page } = phone;
  await demo.until("there are samples", async () => {
    await phone.go(`/members/fairness?linode=${demo.LINODE[LABEL]}&range=hour`);
    return (await page.locator("figure.chart").count()) > 0;
  }, 60, 1000);
  const sizes = await page.locator(".chart .y span, .chart .x span").evaluateAll((all) => all.map((el) => parseFloat(getComputedStyle(el).fontSize)));
  assert.ok(sizes.length >= 5 && Math.min(...sizes) >= 12, `${sizes}`);
  const lines = await page.locator(".scroll time").evaluateAll((all) => all.map((el) => el.getClientRects().length));
  assert.ok(lines.length > 0 && Math.max(...lines) === 1, "a time is one line");
  const over = await page.locator(".scroll tbody th").evaluateAll((all) => all.filter((el) => el.scrollWidth > el.clientWidth + 1).length);
  assert.equal(over, 0, "and lies over no figure");
  const region = page.getByRole("region", { name: /^Usage/ });
  const header = region.locator("tbody th").first();
  const left = (await header.boundingBox()).x;
  await region.evaluate((el) => (el.scrollLeft = 200));
  assert.equal((await header.boundingBox()).x, left, "the row's name stays");
  const shade = await region.evaluate((el) => getComputedStyle(el).backgroundAttachment);
  assert.match(shade, /local/, "what is out of sight casts a shadow");
  phone.clean();
  await phone.close();
});

test("staff's groups and the pages of one are a row each on a phone, and the present ones are in sight", async () => {
  const phone = await Session.open(browser, { viewport: PHONE, isMobile: true, hasTouch: true, storageState: await staff.context.storageState() });
  for (const path of ["/staff/", "/staff/registrations", "/staff/programme", "/staff/audit"]) {
    await phone.go(path);
    for (const row of [".tabbar", ".subbar"]) {
      const bar = phone.page.locator(`${row} ul`);
      assert.ok((await bar.boundingBox()).height <= 60, `${path} ${row}`);
      const current = await phone.page.locator(`${row} [aria-current]`).boundingBox();
      assert.ok(current.x >= 0 && current.x + current.width <= PHONE.width + 1, `${path} ${row}: ${JSON.stringify(current)}`);
    }
  }
  phone.clean();
  await phone.close();
});
