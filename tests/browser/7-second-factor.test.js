// A member sets a second factor up by the picture's key, signs in with a code, with a recovery code, and without JavaScript.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import * as demo from "./lib/demo.js";
import { Session, launch } from "./lib/browser.js";

const HERE = "/members/accounts/second-factor";
let browser, member, key;
let recovery = [];

before(async () => {
  browser = await launch();
  member = await Session.open(browser);
  await member.signIn(demo.otherMember);
});
after(() => browser?.close());

/** What an app shows (RFC 6238), `steps` half minutes from now. */
function code(steps = 0) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...key].map((letter) => letters.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const bytes = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = createHmac("sha1", bytes).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** As far as the page that asks for a code. */
async function half(session) {
  await session.go("/login");
  await session.page.getByLabel("E-mail address").fill(demo.otherMember.email);
  await session.page.getByLabel("Password").fill(demo.otherMember.password);
  await session.button("Sign in").click();
  assert.equal(await session.heading(), "Your code");
}

async function send(session, typed) {
  await session.page.getByLabel("Code").fill(typed);
  await session.button("Sign in").click();
}

test("a second factor is set up by the picture or its key", async () => {
  await member.go("/members/accounts");
  await member.link("Set a second factor up").click();
  const picture = member.page.getByRole("img", { name: "The key as a picture for your app's camera" });
  const box = await picture.boundingBox();
  assert.ok(box.width > 150 && Math.abs(box.width - box.height) < 1, JSON.stringify(box));
  key = (await member.page.locator("main code").innerText()).replaceAll(" ", "");
  assert.match(key, /^[A-Z2-7]{32}$/);
  await member.page.getByLabel("Code").fill(code(-1));
  await member.button("Turn it on").click();
  assert.equal(await member.heading(), "Your recovery codes");
  recovery = (await member.page.locator("main pre").innerText()).trim().split(/\s+/);
  assert.equal(recovery.length, 10);
  await member.link("I have kept them: go on").click();
  assert.match(await member.text(), /Recovery codes left\s+10/);
  member.clean();
});

test("signing in takes a code, and each is good once", async () => {
  await member.button("Sign out").click();
  await half(member);
  await send(member, "000 000");
  assert.match(await member.text(), /not right, or was used already/);
  await send(member, code());
  await member.button("Sign out").waitFor();
  assert.equal(new URL(member.page.url()).pathname, "/members/");
  member.clean("422");
});

test("a recovery code stands for one, without JavaScript too", async () => {
  const plain = await Session.open(browser, { javaScriptEnabled: false });
  await half(plain);
  await send(plain, recovery[0].toUpperCase());
  await plain.button("Sign out").waitFor();
  await plain.go(HERE);
  assert.match(await plain.text(), /Recovery codes left\s+9/);
  plain.clean();
});
