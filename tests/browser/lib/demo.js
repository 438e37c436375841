// The demo that the tests click through: who can sign in to it, and what its hosts have on their disks.

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** The demo's folder: `run` names it. */
export const dir = process.env.XENBETA_DEMO_DIR;
if (!dir) throw new Error("XENBETA_DEMO_DIR is not set: start the tests by tests/browser/run");

const told = JSON.parse(readFileSync(join(dir, "demo.json"), "utf8"));
export const url = told.url;
export const member = told.member;
export const otherMember = told.other_member;
export const staff = told.staff;

/** Linodes of the sample fleet that the tests use; each test file has its own, so that none finds another's traces. */
export const LINODE = {
  "web-01": 4101,
  "db-01": 4102,
  "old-mail": 4103,
  staging: 4104,
  "shop-01": 4141,
  "quillon-www": 4105,
  "quillon-dev": 4106,
  "quillon-legacy": 4107,
};

/** The image files that a host has of a Linode: whole copies and parts of copies. */
export function imagesAt(host, label) {
  const folder = join(dir, "hosts", host, "disks", "linodes", String(LINODE[label]));
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".img"));
}

/**
 * Asks `probe` until it answers something true, and returns that.
 * @param {string} what said in the error after `seconds`
 */
export async function until(what, probe, seconds = 30, everyMs = 100) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > end) throw new Error(`after ${seconds} s, not yet: ${what}`);
    await sleep(everyMs);
  }
}
