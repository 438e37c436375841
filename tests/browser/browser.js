// Debian's Chromium, and people who use it by what they can read.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";
import { chromium } from "playwright-core";

const PATIENCE_MS = 90_000;
const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // Chromium's own sandbox does not work for root, and the only pages are our own.
    args: process.getuid() === 0 ? ["--no-sandbox"] : [],
  });
}

// Somebody with a browser window of their own, signed in.
export async function person(browser, demo, who, options = {}) {
  const context = await browser.newContext({ baseURL: demo.url, ...options });
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(`${page.url()}: ${error}`));
  page.on("console", (line) => line.type() === "error" && page.faults.push(`${page.url()}: ${line.text()}`));
  await page.goto("/login");
  await page.getByLabel("E-mail").fill(who.email);
  await page.getByLabel("Password").fill(who.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  return page;
}

export async function register(page, howMany) {
  await page.goto("/members/xenbeta");
  const boxes = page.getByRole("checkbox", { name: /^Register / });
  assert.ok((await boxes.count()) >= howMany, `only ${await boxes.count()} Linodes can be registered`);
  const chosen = [];
  for (let n = 0; n < howMany; n += 1) {
    const box = boxes.nth(n);
    chosen.push({ label: (await box.getAttribute("aria-label")).slice("Register ".length), id: await box.inputValue() });
    await box.check();
  }
  await page.getByRole("button", { name: "Register the chosen Linodes" }).click();
  for (const { label } of chosen) await page.getByRole("link", { name: `Withdraw ${label}` }).waitFor();
  return chosen;
}

export async function approveAndConfigure(page, label) {
  await page.goto(`/staff/registrations?q=${encodeURIComponent(label)}`);
  await page.getByRole("checkbox", { name: `Choose ${label}`, exact: true }).check();
  await page.getByRole("button", { name: "Approve and configure…" }).click();
  await page.getByRole("heading", { name: "Room before and after" }).waitFor();
  await page.getByRole("button", { name: /^Configure 1 / }).click();
  await page.waitForURL((url) => !url.pathname.endsWith("/review"));
  assert.equal(await page.getByText("These are not:").count(), 0, "the registration was refused");
}

// The one click, with the acceptance of another kernel where it is asked for. Says the migration's address.
export async function click(page, { id, label }) {
  await page.goto(`/members/linodes/${id}/migrate`);
  const accept = page.getByLabel(/^I accept/);
  if ((await accept.count()) > 0) await accept.check();
  await page.getByRole("button", { name: `Migrate ${label}` }).click();
  await page.waitForURL(/\/members\/migrations\/\d+/);
  return new URL(page.url()).pathname;
}

// Waits for the receipt. With scripts the page comes there by itself; without, the reader follows its link.
export async function finished(page, scripts) {
  const seen = new Set();
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const phase = await text(page, '[data-k="phase"]');
    if (phase) seen.add(phase);
    if (/Moved\. It runs|Moved and confirmed/.test(phase ?? "")) break;
    assert.ok(!/failed|Cancelled/.test(phase ?? ""), phase);
    assert.ok(Date.now() < until, `not finished in time: ${[...seen].join(" | ")}`);
    if (scripts) {
      await pause(20);
    } else {
      await page.getByRole("link", { name: "Check progress now" }).click({ timeout: 2000 }).catch(() => {});
      await pause(200);
    }
  }
  await page.getByRole("heading", { name: "Receipt" }).waitFor();
  return [...seen];
}

// What an element says now; nothing while the page is being loaded again.
async function text(page, selector) {
  return page.locator(selector).first().textContent({ timeout: 1000 }).catch(() => null);
}

// Each disk's digests as the two hosts computed them.
export async function receipt(page) {
  const rows = page.getByRole("table", { name: "Digests of each disk on both hosts" }).locator("tbody tr");
  const disks = [];
  for (let n = 0; n < (await rows.count()); n += 1) {
    const cells = rows.nth(n).locator("th, td");
    const [disk, , source, destination, verdict] = await cells.allTextContents();
    disks.push({ disk, source, destination, verdict });
  }
  return disks;
}

// The host a Linode is on, as its owner's list says.
export async function hostOf(page, label) {
  await page.goto("/members/");
  const row = page.getByRole("row").filter({ has: page.getByRole("link", { name: label, exact: true }) });
  return (await row.locator("td").nth(3).textContent()).trim();
}

// Everything axe finds wrong with the page as it stands (WCAG 2.2 AA and its best practices).
export async function axe(page) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html).join(" | ")}`);
}
