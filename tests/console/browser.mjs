// A browser and its pages: what a page must never do is noted while the cases run.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(new URL("../engines/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const settings = {
  url: process.env.CONSOLE_URL ?? "http://127.0.0.1:8001/console/",
  token: process.env.CONSOLE_TOKEN ?? "",
  folder: process.env.CONSOLE_FOLDER ?? "",
  upstream: process.env.CONSOLE_UPSTREAM ?? "postgraphile",
  handlerPort: Number(process.env.CONSOLE_HANDLER_PORT ?? 0),
  shots: process.env.CONSOLE_SHOTS ?? "",
};
export const origin = new URL(settings.url).origin;

/** Secrets of the program and its files: in no document, storage, address, request or response of the console. */
const CANARIES = ["c4nary-static-header", "c4nary-offer-key", "c4nary-admin-secret"];

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-background-networking"] });
}

/** A session of its own, and the problems that its pages have. */
export async function newSession(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, acceptDownloads: true, ...options });
  const problems = [];
  context.setDefaultTimeout(30_000);
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`));
  });
  context.on("request", (request) => {
    const { url } = { url: request.url() };
    if (!url.startsWith(`${origin}/console`) && !url.startsWith("blob:")) problems.push(`a request left the console: ${url}`);
    withoutCanaries(problems, `request ${url}`, url + (request.postData() ?? ""));
  });
  context.on("response", async (response) => {
    const body = await response.text().catch(() => "");
    withoutCanaries(problems, `response of ${response.url()}`, body + JSON.stringify(response.headers()));
  });
  context.on("page", (page) => watch(page, problems));
  if (settings.token && options.loggedIn !== false) await logIn(context);
  return { context, problems, page: await context.newPage() };
}

function watch(page, problems) {
  page.on("pageerror", (error) => problems.push(`page error: ${error.message}`));
  page.on("console", (message) => {
    const text = message.text();
    // Chromium says of every response with an error status that it could not load it; the cases look at those themselves.
    if (message.type() === "error" && !text.startsWith("Failed to load resource")) problems.push(`console: ${text}`);
  });
}

function withoutCanaries(problems, where, text) {
  for (const canary of CANARIES) if (text.includes(canary)) problems.push(`${canary} in ${where}`);
}

async function logIn(context) {
  const response = await context.request.post(`${settings.url}api/login`, { data: { token: settings.token }, headers: { origin } });
  if (!response.ok()) throw new Error(`login: ${response.status()}`);
}

/** What is stored in the page and shown on it. */
export async function lookForCanaries(page, problems) {
  const seen = await page.evaluate(() => {
    const all = (root) => [...root.querySelectorAll("*")].map((one) => `${one.value ?? ""} ${one.shadowRoot ? one.shadowRoot.textContent + all(one.shadowRoot) : ""}`).join(" ");
    return [document.documentElement.outerHTML, all(document), JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie, location.href].join("\n");
  });
  withoutCanaries(problems, `the page ${page.url()}`, seen);
  return seen;
}

/** Serious and critical findings of axe-core. */
export async function axe(page) {
  await page.evaluate(`${axeSource};0`);
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).slice(0, 3).join(", ")}`);
  });
}

export const go = (page, path = "") => page.goto(settings.url + path, { waitUntil: "load" });

/** Replaces the text of an editor as one who types would. */
export async function edit(page, label, text) {
  const editor = page.locator('.editor[data-ready="true"]').getByRole("textbox", { name: label, exact: true }).last();
  await editor.click();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText(text);
}

export const button = (scope, name) => scope.getByRole("button", { name, exact: true });

/** Saves what the dialog shows, and waits until the program says that it did. */
export async function save(page) {
  const dialog = page.locator("dialog[open]").last();
  await dialog.locator(".diff").first().waitFor();
  await button(dialog, "Save").click();
  await dialog.waitFor({ state: "detached" });
  await said(page, /^Saved[:.]/);
}

/** Waits for a message of the page, and says which came if it was another one. */
export async function said(page, wanted) {
  const last = page.locator(".toast > :first-child").last();
  await last.waitFor();
  const text = await last.textContent();
  expect(wanted.test(text), `the page says: ${text}`);
}

export function expect(condition, message) {
  if (!condition) throw new Error(message);
}

export async function shot(page, name) {
  if (settings.shots) await page.screenshot({ path: `${settings.shots}/${name}.png`, fullPage: true });
}
