// What people do in the portal, click by click: the same with and without JavaScript.

import assert from "node:assert/strict";
import * as demo from "./demo.js";

/** The member registers Linodes on the beta's page. */
export async function register(member, labels) {
  await member.link("My Accounts").click();
  await member.link("Xen public beta").click();
  for (const label of labels) await member.page.getByRole("checkbox", { name: `Register ${label}` }).check();
  await member.button("Register the chosen Linodes").click();
  const said = await member.page.getByRole("status").first().innerText();
  assert.match(said, labels.length === 1 ? /^Registered\./ : new RegExp(`^${labels.length} Linodes are registered\\.`));
  for (const label of labels) {
    const row = await member.row(label).innerText();
    assert.match(row, /Waiting for review/);
    assert.match(row, /Number \d+ in the queue/);
  }
}

async function choose(staff, account, labels) {
  await staff.page.getByRole("textbox", { name: "Linode or account" }).fill(account);
  await staff.button("Filter").click();
  for (const label of labels) await staff.page.getByRole("checkbox", { name: `Choose ${label}` }).check();
}

const registrations = (count) => (count === 1 ? "1 registration" : `${count} registrations`);

/** Staff approve the registrations, then configure a migration for each; two separate acts. */
export async function approveAndConfigure(staff, account, labels) {
  await staff.page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Members" }).click();
  await choose(staff, account, labels);
  await staff.button("Approve…").click();
  await staff.button(`Approve ${registrations(labels.length)}`).click();
  assert.match(await staff.text(), new RegExp(`${registrations(labels.length)} (is|are) approved\\.`));

  await staff.page.getByRole("navigation", { name: "States" }).getByRole("link", { name: /^Approved/ }).click();
  await choose(staff, account, labels);
  await staff.button("Configure…").click();
  for (const label of labels) assert.match(await staff.row(label).innerText(), /xen-beta-\d/, "a host is proposed");
  await staff.button(`Configure ${registrations(labels.length)}`).click();
  assert.match(await staff.text(), new RegExp(`${registrations(labels.length)} (is|are) configured\\.`));
}

/** The member opens the migrate page from the beta's page and reads it. */
export async function openOffer(member, label) {
  await member.go("/members/xenbeta");
  await member.link(`Migrate ${label}`).click();
  assert.equal(await member.heading(), `Migrate ${label}`);
  for (const name of ["What moves", "What stays as it is", "What changes", "Expected downtime"]) {
    await member.page.getByRole("heading", { name, exact: true }).waitFor();
  }
}

export const phase = (member) => member.page.locator('[data-k="phase"]').innerText();

/** Rows of the receipt; both hosts' digests are there, whole and the same. */
export async function assertReceipt(member, disks) {
  const rows = member.page.getByRole("table", { name: "Digests of each disk on both hosts" }).locator("tbody tr");
  assert.equal(await rows.count(), disks);
  for (let at = 0; at < disks; at += 1) {
    const [source, destination] = await rows.nth(at).locator("td.mono").allInnerTexts();
    assert.match(source, /^[0-9a-f]{64}$/);
    assert.equal(source, destination);
    assert.match(await rows.nth(at).innerText(), /Equal/);
  }
}

/** From the list of Linodes to the page of one's newest move. */
export async function openMove(member, label) {
  await member.go("/members/");
  await member.row(label).getByRole("link", { name: label, exact: true }).click();
  await member.page.getByRole("table", { name: /^Moves/ }).getByRole("link").first().click();
}

/** On the page that asks: yes. */
export async function confirmIt(member) {
  await member.page.getByRole("main").getByRole("button").click();
  await demo.until("it is confirmed", async () => /confirmed/i.test(await phase(member)), 20);
}

/** Waits until nothing is left of a Linode's disks on a host. */
export async function untilPurged(host, label) {
  await demo.until(`${host} has deleted the disks of ${label}`, () => demo.imagesAt(host, label).length === 0, 60);
}
