/**
 * `npm run test:browser`: a page in a real headless Chromium calls a real keelson process on another origin.
 *
 * CHROMIUM names the browser, where it is not found by itself.
 */

import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";

const TIMEOUT_MS = 90_000;
const BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const ROOT = new URL("../..", import.meta.url).pathname;

function findBrowser(): string {
  const named = process.env.CHROMIUM;
  const candidates = named !== undefined
    ? [named]
    : (process.env.PATH ?? "").split(delimiter).flatMap((directory) => BROWSERS.map((name) => join(directory, name)));
  for (const path of candidates) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next one.
    }
  }
  console.error(
    named === undefined
      ? "no Chromium found: install it (on Debian: apt-get install chromium), or set CHROMIUM to its path"
      : `CHROMIUM=${named} cannot be executed`,
  );
  process.exit(1);
}

const cleanups: (() => void)[] = [];

function fail(message: string): never {
  console.error(message);
  for (const cleanup of cleanups.reverse()) cleanup();
  process.exit(1);
}

/** A server of the page; what the page posts is its result. */
async function servePage(script: string): Promise<{ origin: string; result: Promise<string[]> }> {
  const { promise, resolve } = Promise.withResolvers<string[]>();
  const server = createServer((request, response) => {
    if (request.method === "POST") {
      let body = "";
      request.setEncoding("utf8");
      request.on("data", (text: string) => body += text);
      request.on("end", () => {
        response.end();
        resolve(JSON.parse(body));
      });
    } else if (request.url?.startsWith("/page.js")) {
      response.setHeader("content-type", "text/javascript").end(script);
    } else {
      response.setHeader("content-type", "text/html").end(
        '<!doctype html><meta charset="utf-8"><title>keelson</title><script type="module" src="/page.js"></script>',
      );
    }
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  cleanups.push(() => server.close());
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, result: promise };
}

async function startKeelson(directory: string, origin: string): Promise<string> {
  const probe = createServer();
  await new Promise<void>((listening) => probe.listen(0, "127.0.0.1", listening));
  const { port } = probe.address() as AddressInfo;
  await new Promise((closed) => probe.close(closed));

  const url = `http://127.0.0.1:${port}`;
  const server = spawn(process.execPath, [
    join(ROOT, "src/main.ts"),
    ...["--data-dir", join(directory, "data"), "--name", "browser", "--log-level", "warn", "--cors", origin],
    ...["--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:0"],
  ], { stdio: ["ignore", "inherit", "inherit"] });
  cleanups.push(() => server.kill("SIGKILL"));
  const untilMs = performance.now() + 15_000;
  for (;;) {
    const isReady = await fetch(`${url}/readyz`).then((answer) => answer.ok, () => false);
    if (isReady) return url;
    if (server.exitCode !== null) fail(`keelson ended with ${server.exitCode}`);
    if (performance.now() > untilMs) fail("keelson does not get ready");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function openPage(browser: string, directory: string, name: string, url: string): void {
  const chromium = spawn(browser, [
    ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
    ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    ...[`--user-data-dir=${join(directory, name)}`, url],
  ], { stdio: "ignore", detached: true });
  chromium.on("error", (error) => fail(`cannot start ${browser}: ${error.message}`));
  // The browser's own children end with its process group.
  cleanups.push(() => {
    if (chromium.pid !== undefined && chromium.exitCode === null) process.kill(-chromium.pid, "SIGKILL");
  });
}

const browser = findBrowser();
const directory = mkdtempSync(join(tmpdir(), "keelson-browser-"));
cleanups.push(() => rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));
const script = join(directory, "page.js");
const build = spawnSync(process.execPath, [
  ...["build", join(ROOT, "test/browser/page.ts"), "--target", "browser", "--outfile", script],
], { encoding: "utf8" });
if (build.status !== 0) fail(`cannot build the page: ${build.stderr}`);

const page = await servePage(readFileSync(script, "utf8"));
const foreignPage = await servePage(readFileSync(script, "utf8"));
const api = await startKeelson(directory, page.origin);
setTimeout(() => fail(`no result from the browser after ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS);
openPage(browser, directory, "profile", `${page.origin}/?api=${encodeURIComponent(api)}`);
openPage(browser, directory, "foreign", `${foreignPage.origin}/?api=${encodeURIComponent(api)}&foreign`);

const lines = [...await page.result, ...await foreignPage.result].sort();
for (const line of lines) console.log(line);
for (const cleanup of cleanups.reverse()) cleanup();
const failed = lines.filter((line) => line.startsWith("FAILED")).length;
console.log(
  failed === 0 ? `${lines.length} checks in Chromium passed` : `${failed} of ${lines.length} checks in Chromium failed`,
);
process.exit(failed === 0 ? 0 : 1);
