// Every page as it comes: nothing that axe objects to, no error in the console, nothing cut off on a small phone.
// With SCREENSHOTS=folder it also takes pictures: desktop, phone, dark.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { approveAndConfigure, axe, click, finished, launch, person, register } from "./browser.js";
import { startDemo } from "./demo.js";

const PHONE = { width: 320, height: 700 };
const DESKTOP = { width: 1280, height: 900 };
let browser, demo, member, staff, stranger, pages;

before(async () => {
  [browser, demo] = await Promise.all([launch(), startDemo()]);
  member = await person(browser, demo, demo.member);
  staff = await person(browser, demo, demo.staff);
  stranger = await (await browser.newContext({ baseURL: demo.url })).newPage();
  stranger.faults = [];
  const [linode, waiting] = await register(member, 2);
  for (const { label } of [linode, waiting]) await approveAndConfigure(staff, label);
  const move = await click(member, linode);
  await finished(member, true);
  const number = move.split("/").pop();
  pages = [
    [stranger, ["/login", "/password/forgot", "/no-such-page"]],
    [
      member,
      [
        "/members/",
        `/members/linodes/${linode.id}`,
        "/members/accounts",
        "/members/xenbeta",
        `/members/linodes/${waiting.id}/migrate`,
        move,
        `${move}/confirm`,
        `${move}/way-back`,
      ],
    ],
    [
      staff,
      [
        "/staff/",
        "/staff/registrations",
        "/staff/hosts",
        "/staff/hosts/1",
        "/staff/hosts/new",
        "/staff/migrations",
        `/staff/migrations/${number}`,
        "/staff/jobs",
      ],
    ],
  ];
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

async function everyPage(visit) {
  const wrong = [];
  for (const [page, paths] of pages) {
    for (const path of paths) {
      const response = await page.goto(path);
      if (path === "/no-such-page") assert.equal(response.status(), 404);
      else if (response.status() !== 200) wrong.push(`${path}: answered ${response.status()}`);
      for (const what of (await visit(page, path)) ?? []) wrong.push(`${path}: ${what}`);
    }
  }
  assert.deepEqual(wrong, []);
}

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing, ${colorScheme}`, async () => {
    await everyPage(async (page) => {
      await page.emulateMedia({ colorScheme });
      return axe(page);
    });
  });
}

test("a phone 320 pixels wide needs no sideways scrolling", async () => {
  await everyPage(async (page) => {
    await page.setViewportSize(PHONE);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    return wide > PHONE.width ? [`is ${wide} pixels wide`] : [];
  });
});

test("no page broke a rule of its own policy or threw", () => {
  assert.deepEqual([...member.faults, ...staff.faults], []);
});

test("another member's things are not found", async () => {
  const other = await person(browser, demo, demo.other_member);
  for (const path of pages[1][1].filter((path) => /\d/.test(path))) {
    assert.equal((await other.goto(path)).status(), 404, path);
  }
});

const folder = process.env.SCREENSHOTS;
if (folder) test("pictures", async () => {
  await mkdir(folder, { recursive: true });
  for (const [name, size, colorScheme] of [
    ["desktop", DESKTOP, "light"],
    ["phone", { width: 390, height: 844 }, "light"],
    ["dark", DESKTOP, "dark"],
  ]) {
    await everyPage(async (page, path) => {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      const file = `${name}${path.replaceAll("/", "-").replace(/-$/, "")}.png`;
      await page.screenshot({ path: join(folder, file), fullPage: true });
    });
  }
});
