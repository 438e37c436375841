// A member names what is to answer, tries the move on its new host, it moves, its web server does not come up there: it comes home by itself, the member reads
// why, is offered a place again, and this time it works.

import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import * as demo from "./lib/demo.js";
import { Session, launch } from "./lib/browser.js";
import { approveAndConfigure, openOffer, phase, register } from "./lib/steps.js";

const LABEL = "web-01";
let browser, member, staff;

/** On every Xen host: the web server of this Linode does not start there. */
const faults = ["xen-beta-1", "xen-beta-2"].map((host) =>
  join(demo.dir, "hosts", host, "state", "driver", "faults", `no-service-${demo.LINODE[LABEL]}`),
);

before(async () => {
  browser = await launch();
  [member, staff] = await Promise.all([Session.open(browser), Session.open(browser)]);
  await member.signIn(demo.member);
  await staff.signIn(demo.staff);
});
after(() => browser?.close());

test("a member names what is to answer, and sees that it does", async () => {
  await member.go(`/members/linodes/${demo.LINODE[LABEL]}`);
  await member.link("What is to answer", false).click();
  for (const [port, path] of [["22", ""], ["80", "/"]]) {
    await member.page.getByLabel("Port").fill(port);
    await member.page.getByLabel("Path, for a web site").fill(path);
    await member.button("Add the check").click();
  }
  await member.page.getByRole("radio", { name: /^Take it home by itself/ }).check();
  await member.page.getByLabel(/^How long each has to pass/).selectOption("30");
  await member.button("Save what follows").click();
  await member.button("Ask them now").click();
  assert.match(await member.row(/answers 200/).innerText(), /Passes[^]*Answered 200/);
  assert.match(await member.row(/^TCP port 22/).innerText(), /Takes connections/);
  member.clean();
});

test("it is held by a limit for its downtime, and tried on its new host before anything is stopped", async () => {
  await register(member, [LABEL]);
  await approveAndConfigure(staff, "Larkspur", [LABEL]);
  await openOffer(member, LABEL);
  assert.match(await member.text(), /if one fails after the move, it goes home by itself/);
  await member.page.getByText("More choices").click();
  await member.page.getByLabel("How long it may be off at most").selectOption("15");
  await member.button(`Migrate ${LABEL}`).click();
  await demo.until("it is in step", async () => /In step with its copy/.test(await phase(member)), 90, 300);
  await member.link("Try it there").click();
  await member.page.getByRole("main").getByRole("button").click();
  await demo.until("the clone came up", async () => /Tried there: it came up/.test(await member.text()), 90, 300);
  assert.match(await member.text(), /login:/, "its console");
  member.clean();
});

test("its web server does not start on the new host: it comes home by itself", async () => {
  for (const file of faults) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, "");
  }
  await member.link("Choose a time to stop").click();
  await member.page.getByRole("radio", { name: /^As soon as it is copied/ }).check();
  await member.page.getByText("More choices").click();
  await member.page.getByLabel("How long it may be off at most").selectOption("");
  await member.button(`Choose this time for ${LABEL}`).click();
  await demo.until("its checks are asked", async () => /asks its checks now/.test(await phase(member)), 90);
  await demo.until("it is back", async () => (await phase(member)).startsWith("Moved back to the old host."), 120);
  const text = await member.text();
  assert.match(text, /failed after it, so it went home by itself/);
  assert.match(text, /answers 200[^]*Answered 200[^]*Takes no connections there/);
  assert.match(text, /TCP port 22[^]*Takes connections/);
  assert.match(text, /login:/, "the end of its console");
  member.clean();
});

test("it is offered a place again, is tried first by itself, and this time it works", async () => {
  faults.forEach((file) => rmSync(file));
  await staff.go("/staff/registrations?state=approved");
  await staff.page.getByRole("textbox", { name: "Linode or account" }).fill("Larkspur");
  await staff.button("Filter").click();
  await staff.page.getByRole("checkbox", { name: `Choose ${LABEL}` }).check();
  await staff.button("Configure…").click();
  await staff.button("Configure 1 registration").click();
  await openOffer(member, LABEL);
  await member.page.getByLabel("Try it there first, and stop it only if it comes up").check();
  await member.button(`Migrate ${LABEL}`).click();
  const passed = "Each check that passed before the move passes after it.";
  await demo.until("its checks have answered", async () => (await member.text()).includes(passed), 120, 300);
  assert.match(await member.text(), /Tried there: it came up/, "before it was stopped");
  member.clean();
  staff.clean();
});
