// What people do that no page asked for: two clicks at once, the back button, other people's Linodes, old and stolen forms,
// texts that are too long. Each has a clear answer, in the layout, and nothing half done.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as demo from "./lib/demo.js";
import { Session, launch } from "./lib/browser.js";
import { approveAndConfigure, openOffer, register } from "./lib/steps.js";

const LONG = "x".repeat(300);
let browser, member, other, staff;

before(async () => {
  browser = await launch();
  [member, other, staff] = await Promise.all([Session.open(browser), Session.open(browser), Session.open(browser)]);
  await member.signIn(demo.otherMember);
  await other.signIn(demo.member);
  await staff.signIn(demo.staff);
});
after(() => browser?.close());

/** The page is an error in the portal's own layout, with a reference and a way back. */
async function assertErrorPage(session, heading) {
  assert.match(await session.heading(), heading);
  await session.link("Linode Platform Manager").waitFor();
  assert.match(await session.text(), /Reference: \w+/);
  assert.ok((await session.page.getByRole("main").getByRole("link").count()) > 0, "there is a way back");
}

const moves = async (label) => {
  await member.go(`/members/linodes/${demo.LINODE[label]}`);
  return member.page.getByRole("table", { name: /^Moves/ }).locator("tbody tr").count();
};

test("a double click, the same form from two windows, and the back button move a Linode once", async () => {
  await register(member, ["quillon-dev"]);
  await approveAndConfigure(staff, "Quillon", ["quillon-dev"]);
  // A second window of the same member, on the same form, without the script that holds back a second press.
  const second = await Session.open(browser, {
    javaScriptEnabled: false,
    storageState: await member.context.storageState(),
  });
  const form = `/members/linodes/${demo.LINODE["quillon-dev"]}/migrate`;
  await second.go(form);
  await openOffer(member, "quillon-dev");
  await Promise.all([member.button("Migrate quillon-dev").dblclick(), second.button("Migrate quillon-dev").click()]);
  await member.page.waitForURL(/\/members\/migrations\/\d+$/);
  await second.page.waitForURL(/\/members\/migrations\/\d+$/);
  const address = member.page.url();
  assert.equal(second.page.url(), address, "both windows are led to the same move");

  await member.page.goBack();
  // However the browser shows the old page, sending it again leads to the move that is there.
  const again = member.page.getByRole("main").getByRole("button", { name: /^(Migrate|Choose this time for) quillon-dev$/ });
  if (await again.count()) await again.click();
  await member.page.waitForURL(address);
  await demo.until("quillon-dev has moved", async () => /Moved\. It runs/.test(await member.text()), 180, 500);
  assert.equal(await moves("quillon-dev"), 1);

  // And once more when all is over.
  await second.page.goBack();
  const late = second.button("Migrate quillon-dev");
  if (await late.count()) await late.click();
  assert.equal(await moves("quillon-dev"), 1);
  member.clean();
  second.clean();
  await second.close();
});

test("a form that was stopped on its way says that it is sent, and can be sent again", async () => {
  const path = "/members/accounts/profile";
  await other.go("/members/accounts");
  const sent = [];
  await other.page.route(`**${path}`, (route) => (sent.push(route) > 1 ? route.continue() : undefined));
  // The page itself presses and takes notes: while a page waits for the next one, the browser answers no question about it.
  const notes = () => other.page.evaluate(() => window.notes);
  await other.page.evaluate((action) => {
    const form = document.querySelector(`form[action="${action}"]`);
    const button = form.querySelector("button");
    const look = () => [button.getAttribute("aria-disabled") ?? "free", form.querySelector("[data-sending]")?.textContent.trim() ?? ""].join(" ");
    window.notes = [];
    new MutationObserver(() => { if (window.notes.at(-1) !== look()) window.notes.push(look()); })
      .observe(form, { subtree: true, childList: true, attributes: true });
    setTimeout(() => button.click(), 100);
    setTimeout(() => button.click(), 2000);
  }, path);
  await demo.until("it is sent", () => sent.length === 1);
  await sleep(3000);
  // As when somebody presses Escape.
  await sent[0].abort("aborted");
  await demo.until("it is let go of", async () => (await notes()).length === 3, 15);
  assert.deepEqual(await notes(), ["true ", "true Sending …", "free "]);
  assert.equal(sent.length, 1, "the second press did nothing meanwhile");
  await other.page.locator(`form[action="${path}"]`).getByRole("button").click();
  await other.page.getByRole("status").filter({ hasText: "Your profile is saved." }).waitFor();
  assert.equal(sent.length, 2);
  await other.page.unroute(`**${path}`);
  other.clean();
});

test("another member's Linode, move and registration are not there", async () => {
  await member.go(`/members/linodes/${demo.LINODE["quillon-dev"]}`);
  const move = await member.page.getByRole("table", { name: /^Moves/ }).getByRole("link").first().getAttribute("href");
  const paths = [
    `/members/linodes/${demo.LINODE["quillon-dev"]}`,
    `/members/linodes/${demo.LINODE["quillon-dev"]}/migrate`,
    `/members/linodes/${demo.LINODE["quillon-dev"]}/shutdown`,
    move,
    `${move}/way-back`,
    `${move}/confirm`,
    "/members/linodes/not-a-number",
    "/staff/",
    "/staff/registrations",
    "/nowhere",
  ];
  for (const path of paths) {
    assert.equal(await other.go(path), 404, path);
    await assertErrorPage(other, /^Page not found$/);
  }
  other.clean("status of 404");
});

test("a form is refused when its token is stolen, changed, or of a session that ended", async () => {
  const name = (session) => session.page.getByLabel("Name", { exact: true });
  const stolen = await (async () => {
    await other.go("/members/accounts");
    return other.page.locator('input[name="csrf"]').first().inputValue();
  })();
  await member.go("/members/accounts");
  const before = await name(member).inputValue();
  await name(member).fill("Somebody else");
  await member.page
    .locator('form[action="/members/accounts/profile"] input[name="csrf"]')
    .evaluate((field, value) => (field.value = value), stolen);
  await member.button("Save profile").click();
  await assertErrorPage(member, /form has expired/i);
  assert.match(await member.text(), /Somebody else/, "what was typed is kept");
  await member.go("/members/accounts");
  assert.equal(await name(member).inputValue(), before);
  member.clean("status of 403");

  const leaver = await Session.open(browser);
  await leaver.signIn(demo.otherMember);
  await leaver.go("/members/accounts");
  const window2 = await leaver.context.newPage();
  await window2.goto("/members/accounts");
  await window2.getByRole("button", { name: "Sign out", exact: true }).click();
  await window2.getByRole("heading", { name: "Sign in" }).waitFor();
  await name(leaver).fill("Typed for minutes");
  await leaver.button("Save profile").click();
  await assertErrorPage(leaver, /expired|sign/i);
  assert.match(await leaver.text(), /Typed for minutes/);
  leaver.clean("status of 403");
  await leaver.close();
});

test("texts that are too long are shown again with the fault beside them", async () => {
  await member.go("/members/accounts");
  const before = await member.page.getByLabel("Name", { exact: true }).inputValue();
  await member.page.getByLabel("Name", { exact: true }).fill(LONG);
  await member.button("Save profile").click();
  await assertRefused(member, "name");
  assert.equal(await member.page.getByLabel("Name", { exact: true }).inputValue(), LONG, "what was typed is kept");
  await member.go("/members/accounts");
  assert.equal(await member.page.getByLabel("Name", { exact: true }).inputValue(), before);
  member.clean("status of 422");

  await staff.go("/staff/hosts/new");
  await staff.page.locator("#name").fill(LONG);
  await staff.page.locator("#memory_mb").fill("8192");
  await staff.page.locator("#disk_mb").fill("100000");
  await staff.button("Add the host").click();
  await assertRefused(staff, "name");
  assert.equal(await staff.page.locator("#name").inputValue(), LONG);
  staff.clean("status of 422");

  // A search is no form that changes something: it finds nothing, and says so.
  await staff.go(`/staff/registrations?q=${LONG}`);
  assert.match(await staff.text(), /There are none|too long/i);
  staff.clean("status of 400");
});

async function assertRefused(session, field) {
  assert.match(await session.page.title(), /^Error: /);
  const alert = session.page.getByRole("alert");
  const said = (await alert.getByRole("link").first().innerText()).trim();
  assert.ok(said.length > 10);
  assert.match(await session.page.locator(`#${field}-error`).innerText(), new RegExp(said.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
  assert.equal(await session.page.locator(`#${field}`).getAttribute("aria-invalid"), "true");
}

test("a wrong password says no more than that", async () => {
  const stranger = await Session.open(browser);
  await stranger.go("/login");
  const said = [];
  for (const email of [demo.staff.email, "nobody@example.com"]) {
    await stranger.page.getByLabel("E-mail address").fill(email);
    await stranger.page.getByLabel("Password").fill("not the password");
    await stranger.button("Sign in").click();
    said.push(await stranger.page.getByRole("alert").innerText());
    assert.equal(await stranger.page.getByLabel("E-mail address").inputValue(), email);
    assert.equal(await stranger.page.getByLabel("Password").inputValue(), "");
  }
  assert.equal(said[0], said[1]);
  stranger.clean("status of 4");
  await stranger.close();
});
