// screenshots.js FOLDER: a picture of every page, at a desk, on a phone, and dark.

import { join } from "node:path";
import { DESKTOP, PHONE, Session, launch } from "./browser.js";
import * as demo from "./demo.js";
import { addresses, prepare } from "./pages.js";

const folder = process.argv[2];
const WAYS = {
  desktop: { viewport: DESKTOP },
  phone: { viewport: PHONE, hasTouch: true, isMobile: true },
  dark: { viewport: DESKTOP, colorScheme: "dark" },
};

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
} finally {
  await browser.close();
}
console.log(`${taken} pictures are in ${folder}`);
