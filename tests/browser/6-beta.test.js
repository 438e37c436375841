// The whole beta, as its people live it: the announcement, a move at a time of the member's own, what it brought, a bug that
// is fixed, a question that becomes an entry, graduation by a second click, and the end. Last of all: it ends the beta.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as demo from "./lib/demo.js";
import { Session, launch } from "./lib/browser.js";
import { approveAndConfigure, assertReceipt, confirmIt, openMove, openOffer, register } from "./lib/steps.js";

const ACCOUNT = "Larkspur";
const LABEL = "shop-01";
const BUG = "The clock of shop-01 stands still after a move";
const QUESTION = "Does my swap space move too?";
const HOUR = 3_600_000;
let browser, stranger, member, staff;

before(async () => {
  browser = await launch();
  [stranger, member, staff] = await Promise.all([Session.open(browser), Session.open(browser), Session.open(browser)]);
  await member.signIn(demo.member);
  await staff.signIn(demo.staff);
});
after(() => browser?.close());

/** Hours that a zone's clocks are ahead of UTC. */
function ahead(format, at) {
  const named = format.formatToParts(at).find((part) => part.type === "timeZoneName").value;
  const [, sign, hours, minutes] = /GMT(?:([+-])(\d+):(\d+))?/.exec(named);
  return sign ? Number(`${sign}${hours}`) + Number(minutes) / 60 : 0;
}

/** The next local time that the clocks of a zone skip, the next they show twice, and when the later of the two is. */
function leaps(zone) {
  const format = new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" });
  const found = { zone };
  const start = Math.ceil(Date.now() / HOUR) * HOUR;
  for (let at = start; !(found.skipped && found.twice); at += HOUR) {
    const [old, now] = [ahead(format, at - HOUR), ahead(format, at)];
    // Half an hour into the gap, or into what comes again.
    const local = new Date(at + Math.min(old, now) * HOUR + HOUR / 2);
    const words = (shift) => new Date(local.getTime() + shift).toISOString().slice(0, 16);
    if (now > old) found.skipped ??= words(0);
    if (now < old) found.twice ??= words(0);
    found.last = at;
  }
  return found;
}

const movedAlready = async () => /Moved\. It runs/.test(await member.text());

test("anyone reads the announcement", async () => {
  assert.equal(await stranger.go("/"), 200);
  const text = await stranger.text();
  for (const said of ["Xen", "/lib/tls", "a way back", "Open"]) assert.ok(text.includes(said), `it says ${said}`);
  await stranger.page.getByRole("main").getByRole("link", { name: "Questions and answers" }).click();
  assert.ok((await stranger.page.getByRole("heading", { level: 2 }).count()) > 1, "the answers can be read");
  stranger.clean();
});

test("a member registers, and staff approve and configure", async () => {
  await staff.go("/staff/programme");
  await staff.page.getByLabel("Days an offer stands").fill("365");
  await staff.button("Save the programme").click();
  // What the stories before moved has its places of this hour; here it is moved within it once more.
  await staff.go("/staff/programme/times");
  await staff.page.getByLabel("Chosen times an hour and host, at most").fill("");
  await staff.button("Save the times").click();
  await register(member, [LABEL]);
  await approveAndConfigure(staff, ACCOUNT, [LABEL]);
  member.clean();
  staff.clean();
});

test("a time is chosen in a zone whose clocks change", async () => {
  const change = ["Europe/Berlin", "Australia/Sydney"].map(leaps).sort((a, b) => a.last - b.last)[0];
  await member.go("/members/accounts");
  await member.page.getByLabel("Time zone").selectOption(change.zone);
  await member.button("Save profile").click();
  await openOffer(member, LABEL);
  const choose = async (time, button = `Migrate ${LABEL}`) => {
    await member.page.getByRole("radio", { name: "At another time", exact: true }).check();
    await member.page.getByLabel("Another time", { exact: true }).fill(time);
    await member.button(button).click();
  };
  await choose(change.skipped);
  assert.match(await member.page.getByRole("alert").innerText(), /skip this time: the nearest are .*:59 and .*:00/);
  await choose(change.twice);
  assert.match(await member.page.getByRole("alert").innerText(), /show this time twice/);
  await member.page.getByRole("radio", { name: /^The second/ }).check();
  await member.button(`Migrate ${LABEL}`).click();
  assert.match(await member.text(), /Copying begins at/);
  // In a quarter of an hour: it is copied at once, and then it holds.
  await member.link("Change the time").click();
  const soon = new Date(Date.now() + 15 * 60 * 1000);
  const clock = new Intl.DateTimeFormat("sv-SE", { timeZone: change.zone, dateStyle: "short", timeStyle: "short" });
  await choose(clock.format(soon).replace(" ", "T"));
  await demo.until(`${LABEL} is in step`, async () => /In step with its copy/.test(await member.text()), 120, 300);
  assert.match(await member.text(), /it stops at/);
  assert.match(await member.text(), /A stop now would take about .* at most/);
  member.clean("status of 422");
});

test("the time is changed to now, and it moves", async () => {
  await member.link("Change the time").click();
  await member.page.getByRole("radio", { name: /^As soon as it is copied/ }).check();
  await member.button(`Choose this time for ${LABEL}`).click();
  await demo.until(`${LABEL} has moved`, movedAlready, 120, 300);
  await assertReceipt(member, 1);
  assert.match(await member.text(), /Downtime foretold\s+About .* at most/);
  member.clean();
});

test("what it got before and after can be seen", async () => {
  await demo.until("samples of after the move", async () => {
    await member.go(`/members/fairness?linode=${demo.LINODE[LABEL]}`);
    return (await member.page.getByRole("heading", { name: "Before and after the move" }).count()) > 0;
  }, 60, 1000);
  const chart = member.page.getByRole("img").first();
  await chart.waitFor();
  member.clean();
});

test("a bug is reported, confirmed and fixed", async () => {
  await member.go(`/members/linodes/${demo.LINODE[LABEL]}`);
  await member.link(`Report a bug with ${LABEL}`).click();
  await member.page.getByLabel("What it is about, in one line").fill(BUG);
  await member.button("Look for similar bugs").click();
  await member.page.getByLabel("What happened").fill("It says noon, **always**.");
  await member.button("Open the bug").click();
  const thread = new URL(member.page.url()).pathname;
  for (const [state, said] of [["Confirmed", "We see it too."], ["Fixed", "The new kernel keeps the time."]]) {
    await staff.go("/staff/bugs");
    await staff.link(BUG, false).click();
    await staff.page.getByLabel("State").selectOption({ label: state });
    await staff.button("Save").click();
    await staff.page.getByLabel("Your reply").fill(said);
    await staff.button("Send the reply").click();
    await member.go(thread);
    const text = await member.text();
    assert.ok(text.includes(said) && text.includes(state), `${state}: ${text}`);
  }
  member.clean();
  staff.clean();
});

test("a question becomes an entry of the FAQ", async () => {
  await member.go("/members/faq");
  await member.page.getByLabel("Your question").fill(QUESTION);
  await member.button("Ask").click();
  await staff.go("/staff/faq");
  await staff.link(QUESTION).click();
  await staff.page.getByLabel("Answer").fill("Yes: **every** disk image moves.");
  await staff.button("Publish as an entry").click();
  await stranger.go("/faq");
  await stranger.page.getByRole("heading", { name: QUESTION }).waitFor();
  await member.go("/members/faq");
  assert.match(await member.text(), /It is answered above/);
  member.clean();
  staff.clean();
});

test("it graduates by a second click", async () => {
  await openMove(member, LABEL);
  await member.link("All is well: confirm").click();
  await confirmIt(member);
  await staff.go("/staff/graduation");
  await staff.page.getByRole("textbox").first().fill(LABEL);
  await staff.button("Filter").click();
  await staff.link("Offer 1 place…").click();
  await staff.page.getByRole("main").getByRole("button").click();
  await openOffer(member, LABEL);
  assert.match(await member.text(), /xen-prod-1/);
  await member.button(`Migrate ${LABEL}`).click();
  await demo.until(`${LABEL} has moved again`, movedAlready, 120, 300);
  await member.link("All is well: confirm").click();
  await confirmIt(member);
  await member.go("/members/xenbeta");
  assert.match(await member.row(LABEL).innerText(), /Graduated/);
  member.clean();
  staff.clean();
});

test("staff close the beta, look at the figures, and end it", async () => {
  await staff.go("/staff/programme");
  await staff.page.getByRole("radio", { name: /^Closed/ }).check();
  await staff.button("Save the programme").click();
  await stranger.go("/");
  assert.match(await stranger.text(), /closed to new registrations/i);
  await staff.go("/staff/readiness");
  assert.match(await staff.text(), /Functionality and performance/);
  await staff.go("/staff/programme");
  await staff.link("End the beta…").click();
  assert.match(await staff.text(), /No Linode is stopped, moved or deleted by this/);
  await staff.button("End the beta").click();
  await stranger.go("/");
  assert.match(await stranger.text(), /ended/);
  await demo.until("registrations that waited are closed", async () => {
    await staff.go("/staff/registrations?state=requested");
    return /There are none|None/.test(await staff.text());
  }, 60, 500);
  staff.clean();
  stranger.clean();
});
