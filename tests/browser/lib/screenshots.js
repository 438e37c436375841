// screenshots.js FOLDER MOVE: a picture of every page, at a desk, on a phone, and dark, into FOLDER; and as the file MOVE, for
// the README, a move in the middle of its copy.

import { join } from "node:path";
import { DESKTOP, PHONE, Session, launch } from "./browser.js";
import * as demo from "./demo.js";
import { addresses, prepare } from "./pages.js";
import { openOffer } from "./steps.js";

const [folder, move] = process.argv.slice(2);
const WAYS = {
  desktop: { viewport: DESKTOP },
  phone: { viewport: PHONE, hasTouch: true, isMobile: true },
  dark: { viewport: DESKTOP, colorScheme: "dark" },
};

/** The page of a move whose bar stands between its ends. */
async function underWay(browser, storageState, label) {
  const session = await Session.open(browser, { viewport: { width: 960, height: 530 }, storageState });
  await openOffer(session, label);
  await session.button(`Migrate ${label}`).click();
  const bar = session.page.locator('[data-k="bar"]');
  const half = async () => (await bar.count()) && Number(await bar.getAttribute("value")) > 300;
  await demo.until(`${label} is half copied`, half, 60, 20);
  await session.page.screenshot({ path: move });
  await session.close();
}

const browser = await launch();
let taken = 0;
try {
  const [member, staff] = [await Session.open(browser), await Session.open(browser)];
  await member.signIn(demo.member);
  await staff.signIn(demo.staff);
  await prepare(member, staff);
  const pages = await addresses(member, staff);
  const signedIn = {
    anyone: undefined,
    member: await member.context.storageState(),
    staff: await staff.context.storageState(),
  };
  for (const [way, options] of Object.entries(WAYS)) {
    for (const [who, storageState] of Object.entries(signedIn)) {
      const session = await Session.open(browser, { ...options, storageState });
      for (const [name, path] of Object.entries(pages[who])) {
        await session.go(path);
        await session.page.screenshot({ path: join(folder, `${who}-${name}.${way}.png`), fullPage: true });
        taken += 1;
      }
      await session.close();
    }
  }
  // Last, as its Linode is at home on the pages above.
  await underWay(browser, signedIn.member, "staging");
} finally {
  await browser.close();
}
console.log(`${taken} pictures are in ${folder}, and a move is ${move}`);
