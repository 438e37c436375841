// A demo of this test's own on a free port: started before, ended after, its folder removed.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const START_MS = 120_000;

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

export async function startDemo() {
  const program = process.env.XENBETA_BIN;
  if (!program) throw new Error("XENBETA_BIN must name the xenbeta program (scripts/test-browser sets it)");
  const folder = await mkdtemp(join(tmpdir(), "xenbeta-browser-"));
  const port = await freePort();
  const child = spawn(program, ["demo", "--listen", `127.0.0.1:${port}`, "--data", join(folder, "demo")], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (piece) => (output = (output + piece).slice(-20_000)));
  }
  let ended = false;
  const end = new Promise((done) => child.on("exit", () => done((ended = true))));
  // A run that is cut off leaves no portal behind.
  process.on("exit", () => child.kill("SIGKILL"));

  const data = join(folder, "demo");
  const until = Date.now() + START_MS;
  let about;
  while (!about) {
    if (ended || Date.now() > until) throw new Error(`the demo did not come up:\n${output}`);
    try {
      const told = JSON.parse(await readFile(join(data, "demo.json"), "utf8"));
      if ((await fetch(`${told.url}/ready`)).ok) about = told;
    } catch {
      await pause(100);
    }
  }
  return {
    ...about,
    data,
    output: () => output,
    async stop() {
      child.kill("SIGTERM");
      await Promise.race([end, pause(15_000)]);
      child.kill("SIGKILL");
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

// The folders below the demo's data that hold disks of this Linode: one a host that has a copy.
export async function copiesOf(data, linode) {
  const found = [];
  async function look(folder) {
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
      if (!entry.isDirectory()) continue;
      const path = join(folder, entry.name);
      if (entry.name === String(linode) && folder.endsWith("/linodes")) {
        if ((await readdir(path)).length > 0) found.push(path);
      } else {
        await look(path);
      }
    }
  }
  await look(data);
  return found;
}
