// What a first visit costs: bytes as they cross the network (headers too), requests, and how far things jump about.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as demo from "./lib/demo.js";
import { DESKTOP, PHONE, Session, each, launch } from "./lib/browser.js";
import { addresses, prepare } from "./lib/pages.js";

const KIB = 1024;
/** Two tabs, one subtab, a hundred rows: the largest list staff see. */
const ROWS = 100;
const JUMP = 0.02;

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

/** Loads a page with an empty cache; answers its requests with their kinds and the bytes that came for them. */
async function cold(who, path, options = {}) {
  const session = await Session.open(browser, { ...options, storageState: signedIn[who] });
  const wire = await session.context.newCDPSession(session.page);
  await wire.send("Network.enable");
  const requests = new Map();
  wire.on("Network.responseReceived", ({ requestId, type, response }) => {
    // The browser draws its own date field with an image that it has inside.
    if (response.url.startsWith("data:")) return;
    requests.set(requestId, { type, url: response.url, encoding: response.headers["content-encoding"] ?? "" });
  });
  wire.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    const request = requests.get(requestId);
    if (request) request.bytes = encodedDataLength;
  });
  await session.page.goto(path, { waitUntil: "networkidle" });
  const jump = await session.page.evaluate(
    () =>
      new Promise((resolve) => {
        let sum = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) sum += entry.value;
        }).observe({ type: "layout-shift", buffered: true });
        setTimeout(() => resolve(sum), 100);
      }),
  );
  await session.close();
  const all = [...requests.values()];
  const sum = (type) => all.filter((one) => !type || one.type === type).reduce((bytes, one) => bytes + (one.bytes ?? 0), 0);
  return {
    all,
    jump,
    requests: all.length,
    total: sum(),
    html: sum("Document"),
    css: sum("Stylesheet"),
    js: sum("Script"),
  };
}

const shown = (name, cost) =>
  `${name}: ${cost.total} bytes in ${cost.requests} requests (HTML ${cost.html}, CSS ${cost.css}, JS ${cost.js}), CLS ${cost.jump.toFixed(4)}`;

for (const who of ["anyone", "member"]) {
  test(`a first visit to the pages of ${who} is small`, async (t) => {
    await each(Object.entries(pages[who]), 4, async ([name, path]) => {
      const cost = await cold(who, path);
      t.diagnostic(shown(name, cost));
      assert.ok(cost.total > 0 && cost.html > 0 && cost.css > 0 && cost.js > 0, "all of it was seen");
      assert.ok(cost.total <= 15 * KIB, `${name}: ${cost.total} bytes`);
      assert.ok(cost.html <= 6 * KIB, `${name}: HTML ${cost.html} bytes`);
      assert.ok(cost.requests <= 5, `${name}: ${cost.requests} requests`);
      assert.ok(cost.css <= 6000, `CSS ${cost.css} bytes`);
      assert.ok(cost.js <= 3000, `JS ${cost.js} bytes`);
      assert.ok(cost.jump <= JUMP, `${name} jumps by ${cost.jump}`);
      for (const { url } of cost.all) assert.equal(new URL(url).origin, demo.url, "no third party");
    });
  });
}

test("pages do not jump about on a phone", async () => {
  for (const who of ["member", "staff"]) {
    await each(Object.entries(pages[who]), 4, async ([name, path]) => {
      const { jump } = await cold(who, path, { viewport: PHONE, isMobile: true, hasTouch: true });
      assert.ok(jump <= JUMP, `${name} jumps by ${jump}`);
    });
  }
});

test("a receipt prints on one page", async () => {
  const session = await Session.open(browser, { storageState: signedIn.member });
  await session.go(pages.member.receipt);
  const pdf = await session.page.pdf({ format: "A4" });
  assert.equal(pdf.toString("latin1").match(/\/Type\s*\/Page[^s]/g).length, 1);
  await session.close();
});

test("staff's list of a hundred registrations is small", async (t) => {
  await fill();
  const staff = await Session.open(browser, { storageState: signedIn.staff });
  await staff.go("/staff/registrations");
  assert.equal(await staff.page.locator('input[name="id"]').count(), ROWS, "a full page");
  await staff.close();
  const cost = await cold("staff", "/staff/registrations", { viewport: DESKTOP });
  t.diagnostic(shown(`${ROWS} registrations`, cost));
  assert.ok(cost.total <= 25 * KIB, `${cost.total} bytes`);
  assert.ok(cost.html <= 14 * KIB, `HTML ${cost.html} bytes`);
  assert.ok(cost.requests <= 5, `${cost.requests} requests`);
  assert.ok(cost.jump <= JUMP, `it jumps by ${cost.jump}`);
});

/** Imports an account with many Linodes; its member sets a password by mail and registers them all. */
async function fill() {
  const email = "many@example.net";
  const numbers = Array.from({ length: ROWS }, (_, index) => index);
  const fleet = {
    format: "xenbeta-fleet-1",
    hosts: [{ name: "uml-99", platform: "uml", role: "source", memory_mb: 65536, disk_mb: 4000000 }],
    accounts: [
      {
        name: "Many Linodes",
        users: [{ email, name: "Mo Many" }],
        linodes: numbers.map((n) => ({
          id: 900000 + n,
          label: `many-${String(n).padStart(3, "0")}`,
          plan: "Linode 128",
          host: "uml-99",
          mac: `fe:fd:cb:99:00:${n.toString(16).padStart(2, "0")}`,
          disks: [{ id: 900000 + n, label: "Debian 3.1", size_mb: 64, filesystem: "ext3" }],
          configs: [
            {
              id: 900000 + n,
              label: "default",
              kernel: "2.6.16-linode15",
              devices: { ubda: 900000 + n },
              root_device: "/dev/ubda",
            },
          ],
        })),
      },
    ],
  };
  const file = join(tmpdir(), `xenbeta-fleet-${process.pid}.json`);
  writeFileSync(file, JSON.stringify(fleet));
  const env = {
    ...process.env,
    DATABASE_URL: join(demo.dir, "portal.db"),
    XENBETA_SECRET: readFileSync(join(demo.dir, "secret"), "utf8"),
  };
  execFileSync(process.env.XENBETA_PROGRAM, ["import", file], { env, timeout: 60_000 });

  const many = await Session.open(browser);
  await many.go("/password/forgot");
  await many.page.getByLabel("E-mail address").fill(email);
  await many.button("Send the link").click();
  const link = await demo.until("the mail with the link", () => resetLink(email), 60, 500);
  await many.go(link);
  const password = "a long enough password";
  await many.page.getByLabel(/password/i).first().fill(password);
  await many.button("Set the password").click();
  await many.signIn({ email, password });
  await many.go("/members/xenbeta");
  for (const box of await many.page.getByRole("checkbox").all()) await box.check();
  await many.button("Register the chosen Linodes").click();
  assert.match(await many.text(), new RegExp(`${ROWS} Linodes are registered`));
  many.clean();
  await many.close();
}

function resetLink(email) {
  const folder = join(demo.dir, "mail");
  for (const name of readdirSync(folder)) {
    if (!name.endsWith(".eml")) continue;
    const text = readFileSync(join(folder, name), "utf8").replace(/=\r?\n/g, "");
    const link = /\/password\/reset\/[\w-]+/.exec(text);
    if (link && text.includes(email)) return link[0];
  }
  return null;
}
