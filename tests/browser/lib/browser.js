// Real Chromium, with every complaint it makes kept: console errors (a refused policy is one), uncaught exceptions,
// failed requests. A test ends with `session.clean()`, which fails on any that it did not name.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import * as demo from "./demo.js";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 390, height: 844 };

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: FLAGS,
  });
}

/** Does `act` for each of the items, so many at a time: most of a page's time is waiting. */
export async function each(items, atATime, act) {
  const rest = [...items];
  const one = async () => {
    while (rest.length) await act(rest.shift());
  };
  await Promise.all(Array.from({ length: atATime }, one));
}

/** One person at one browser: a context, a page, and what went wrong there. */
export class Session {
  /** @param options of playwright's newContext */
  static async open(browser, options = {}) {
    const context = await browser.newContext({
      baseURL: demo.url,
      viewport: DESKTOP,
      locale: "en-GB",
      ...options,
    });
    context.setDefaultTimeout(20_000);
    return new Session(context, await context.newPage());
  }

  constructor(context, page) {
    this.context = context;
    this.page = page;
    this.complaints = [];
    this.watch(page);
  }

  watch(page) {
    page.on("console", (message) => {
      if (message.type() === "error") this.complaints.push(`${page.url()}: console: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.complaints.push(`${page.url()}: exception: ${error.message}`));
    page.on("requestfailed", (request) => {
      const why = request.failure()?.errorText ?? "";
      // Leaving a page ends its stream of events.
      if (why !== "net::ERR_ABORTED") this.complaints.push(`${request.url()}: ${why}`);
    });
  }

  /** What Chromium complained of since the last call, with `expected` (text in it) left out. */
  clean(...expected) {
    const rest = this.complaints.filter((said) => !expected.some((part) => said.includes(part)));
    this.complaints = [];
    assert.deepEqual(rest, [], "the browser complained");
  }

  async go(path) {
    const answer = await this.page.goto(path);
    return answer?.status();
  }

  /** Signs in by the form. */
  async signIn(person) {
    await this.go("/login");
    await this.page.getByLabel("E-mail address").fill(person.email);
    await this.page.getByLabel("Password").fill(person.password);
    await this.button("Sign in").click();
    await this.button("Sign out").waitFor();
  }

  link(name, exact = true) {
    return this.page.getByRole("link", { name, exact });
  }

  button(name, exact = true) {
    return this.page.getByRole("button", { name, exact });
  }

  /** The row of a table that is about `label`. */
  row(label) {
    return this.page.getByRole("row").filter({ has: this.page.getByRole("rowheader", { name: label }) });
  }

  heading() {
    return this.page.getByRole("heading", { level: 1 }).innerText();
  }

  /** The whole page as a reader sees it. */
  text() {
    return this.page.locator("body").innerText();
  }

  async close() {
    await this.context.close();
  }
}
