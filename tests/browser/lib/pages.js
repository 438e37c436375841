// Every page of the portal, by name, in a demo where things have happened: moves under way, finished and offered,
// registrations in every state, errors.

import * as demo from "./demo.js";
import { approveAndConfigure, openOffer, register } from "./steps.js";

const { LINODE } = demo;

/** The address of the newest move of a member's Linode. */
export async function newestMove(session, label) {
  await session.go(`/members/linodes/${LINODE[label]}`);
  const moves = session.page.getByRole("table", { name: /^Moves/ });
  return (await moves.count()) ? moves.getByRole("link").first().getAttribute("href") : null;
}

/** The first link on the page at `path` whose address starts with `prefix` and goes on with a number. */
async function firstLink(session, path, prefix) {
  await session.go(path);
  const all = await session.page.locator(`a[href^="${prefix}"]`).evaluateAll((links) => links.map((a) => a.getAttribute("href")));
  return all.find((href) => /^\d+$/.test(href.slice(prefix.length)));
}

/** Brings about what the pages need; harmless where it is there already. `member` and `staff` are signed in. */
export async function prepare(member, staff) {
  await member.go("/members/xenbeta");
  const box = (label) => member.page.getByRole("checkbox", { name: `Register ${label}` });
  const fresh = [];
  for (const label of ["web-01", "staging"]) if (await box(label).count()) fresh.push(label);
  if (fresh.length) {
    await register(member, fresh);
    await approveAndConfigure(staff, "Larkspur", fresh);
  }
  if (fresh.includes("web-01")) {
    await openOffer(member, "web-01");
    await member.button("Migrate web-01").click();
    await demo.until("web-01 has moved", async () => /Moved\. It runs/.test(await member.text()), 180, 500);
  }
}

/**
 * @returns {Promise<{anyone: object, member: object, staff: object}>} address by name, for each who may see it
 */
export async function addresses(member, staff) {
  const move = await newestMove(member, "web-01");
  const bare = (await firstLink(staff, "/staff/jobs", "/staff/jobs/")) ?? null;
  const host = await firstLink(staff, "/staff/hosts", "/staff/hosts/");
  await staff.go("/staff/registrations?state=requested");
  const ids = await staff.page.locator('input[name="id"]').evaluateAll((boxes) => boxes.slice(0, 2).map((box) => box.value));
  const picked = `id=${ids.join("&id=")}`;
  const withdraw = await (async () => {
    await member.go("/members/xenbeta");
    const link = member.page.locator('a[href$="/withdraw"]').first();
    return (await link.count()) ? link.getAttribute("href") : null;
  })();
  const staffBug = await firstLink(staff, "/staff/bugs", "/staff/bugs/");
  await staff.go(staffBug);
  const hide = await staff.page.locator('a[href*="/hide"]').first().getAttribute("href");
  const found = {
    anyone: {
      start: "/",
      "faq-public": "/faq",
      login: "/login",
      forgot: "/password/forgot",
      "forgot-sent": "/password/forgot/sent",
      "reset-bad": "/password/reset/nothing",
    },
    member: {
      linodes: "/members/",
      linode: `/members/linodes/${LINODE["web-01"]}`,
      profile: await firstLink(member, `/members/linodes/${LINODE["web-01"]}`, `/members/linodes/${LINODE["web-01"]}/profiles/`),
      "profile-new": `/members/linodes/${LINODE["web-01"]}/profiles/new`,
      "linode-rename": `/members/linodes/${LINODE["web-01"]}/rename`,
      "linode-never-both": `/members/linodes/${LINODE["web-01"]}/never-both`,
      "linode-checks": `/members/linodes/${LINODE["web-01"]}/checks`,
      "linode-jobs": `/members/linodes/${LINODE["web-01"]}/jobs`,
      disk: await firstLink(member, `/members/linodes/${LINODE["web-01"]}`, `/members/linodes/${LINODE["web-01"]}/disks/`),
      "reverse-name": await firstLink(member, `/members/linodes/${LINODE["web-01"]}`, `/members/linodes/${LINODE["web-01"]}/ips/`),
      "token-revoke": await (async () => {
        await member.go("/members/accounts");
        const link = member.page.locator('a[href$="/revoke"]').first();
        return (await link.count()) ? link.getAttribute("href") : null;
      })(),
      "linode-2.4": `/members/linodes/${LINODE["old-mail"]}`,
      shutdown: `/members/linodes/${LINODE.staging}/shutdown`,
      xenbeta: "/members/xenbeta",
      withdraw,
      migrate: `/members/linodes/${LINODE.staging}/migrate`,
      migration: move,
      receipt: `${move}/receipt`,
      confirm: `${move}/confirm`,
      "way-back": `${move}/way-back`,
      bugs: "/members/bugs",
      bug: await firstLink(member, "/members/bugs", "/members/bugs/"),
      "bug-new": `/members/bugs/new?linode=${LINODE["web-01"]}`,
      "bug-new-second": `/members/bugs/new?linode=${LINODE["web-01"]}&title=network+gone`,
      faq: "/members/faq",
      accounts: "/members/accounts",
      "second-factor-setup": "/members/accounts/second-factor/setup",
      again: "/again?next=/members/",
      fairness: `/members/fairness?linode=${LINODE["web-01"]}&range=hour`,
      "fairness-beta": `/members/fairness?linode=${LINODE["web-01"]}&range=beta`,
      "not-found": "/members/linodes/999999",
      "no-offer": `/members/linodes/${LINODE["old-mail"]}/migrate`,
    },
    staff: {
      dashboard: "/staff/",
      registrations: "/staff/registrations",
      "registrations-approved": "/staff/registrations?state=approved",
      approve: `/staff/registrations/review?${picked}&do=approve`,
      configure: `/staff/registrations/review?${picked}&do=configure`,
      decline: `/staff/registrations/review?${picked}&do=decline`,
      linodes: "/staff/linodes",
      linode: `/staff/linodes/${LINODE["web-01"]}`,
      migrations: "/staff/migrations",
      migration: move?.replace("/members/", "/staff/"),
      receipt: move && `${move.replace("/members/", "/staff/")}/receipt`,
      "roll-back": move && `${move.replace("/members/", "/staff/")}/roll-back`,
      hosts: "/staff/hosts",
      host,
      evacuate: `${host}/evacuate`,
      "host-fairness": `${host}/fairness`,
      "host-new": "/staff/hosts/new",
      fairness: "/staff/fairness",
      weights: `/staff/fairness/weights?kind=linear&base=0&unit_mb=2&linode=${LINODE["web-01"]}&weight=512&reason=A+promise`,
      "host-token": `${host}/token`,
      "host-revoke": `${host}/revoke`,
      bugs: "/staff/bugs",
      bug: staffBug,
      "bug-hide": hide,
      faq: "/staff/faq",
      "faq-new": "/staff/faq/new",
      "faq-entry": await firstLink(staff, "/staff/faq", "/staff/faq/"),
      question: await firstLink(staff, "/staff/faq", "/staff/questions/"),
      programme: "/staff/programme",
      "programme-times": "/staff/programme/times",
      "programme-text": "/staff/programme/texts/brings",
      "programme-end": "/staff/programme/end",
      plan: "/staff/plan",
      graduation: "/staff/graduation",
      "graduation-offer": "/staff/graduation/offer",
      readiness: "/staff/readiness",
      "readiness-limits": "/staff/readiness/limits",
      members: "/staff/members",
      member: await firstLink(staff, "/staff/members", "/staff/members/"),
      "member-reset": "/staff/members/1/send-reset",
      "staff-members": "/staff/members?show=staff&role=owner",
      mail: "/staff/mail",
      "one-mail": await firstLink(staff, "/staff/mail", "/staff/mail/"),
      audit: "/staff/audit",
      "audit-verify": "/staff/audit/verify",
      held: "/staff/held",
      "not-held": `/staff/held/${LINODE["web-01"]}`,
      recovery: "/staff/recovery",
      takeover: `${host}/joint/takeover`,
      waive: `${host}/joint/waive`,
      jobs: "/staff/jobs",
      "jobs-paused": "/staff/jobs/pauses",
      waves: "/staff/waves",
      "wave-new": "/staff/waves/new",
      "waves-pause": "/staff/waves/pause",
      batches: "/staff/batches",
      job: bare,
      "staff-not-found": "/staff/hosts/999999",
    },
  };
  for (const pages of Object.values(found)) {
    for (const [name, path] of Object.entries(pages)) if (!path || path.startsWith("null")) delete pages[name];
  }
  return found;
}
