// Cases of security: text that is not markup, secrets that are not shown, other origins, the login.
import { request as send } from "node:http";
import { button, edit, expect, go, launch, lookForCanaries, newSession, origin, settings } from "./browser.mjs";

export async function markup_in_names_and_responses_is_inert({ page, problems }) {
  for (const path of ["actions", "actions/offer", "actions/offer?tab=handler", "schema", "import"]) {
    await go(page, path);
    await page.getByRole("heading").first().waitFor();
    await page.waitForLoadState("networkidle");
  }
  await go(page, "playground");
  await edit(page, "Operation", "{ offer(productId: 1) { note } hostile { total } }");
  await button(page, "Run").click();
  await page.getByRole("region", { name: "Response" }).getByText("onerror").first().waitFor();
  await go(page, "actions/hostile?tab=failures");
  await page.getByRole("heading", { name: "Last failures" }).waitFor();
  await page.waitForLoadState("networkidle");
  expect((await page.evaluate(() => globalThis.hostile)) === undefined, "markup was executed");
  expect((await page.locator("img").count()) === 0, "markup became an element");
  await lookForCanaries(page, problems);
}

const TOKEN = `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(JSON.stringify({ sub: "c4nary-claim", exp: 4102444800 })).toString("base64url")}.c4nary-signature`;

/** What the reader types as an identity is in the memory of the page and nowhere else. */
export async function identities_are_not_stored({ page, context, problems }) {
  await go(page, "playground");
  await page.getByText("Token", { exact: true }).click();
  await page.getByLabel("Token", { exact: true }).last().fill(TOKEN);
  await page.getByText(/expires in/).waitFor();
  await page.getByLabel("Headers", { exact: true }).fill("x-secret: c4nary-typed-header");
  await edit(page, "Operation", '{ offer(productId: 1) { total } __type(name: "c4nary-literal") { name } }');
  await button(page, "Run").click();
  await page.getByText(/^status \d+$/).waitFor();
  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href, document.cookie]));
  const cookies = JSON.stringify((await context.cookies()).map(({ value }) => value));
  expect(!(stored + cookies).includes("c4nary"), `stored: ${stored} ${cookies}`);
  expect(stored.includes("offer"), "the history is not kept");
  await page.reload();
  await page.getByRole("heading", { name: "Playground" }).waitFor();
  expect((await page.getByLabel("Headers", { exact: true }).inputValue()) === "", "headers outlive the page");
  await lookForCanaries(page, problems);
}

/** One request with exactly these headers, as no browser would send it. */
function exchange(method, path, headers, body = "") {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(settings.url);
    const request = send({ hostname, port, method, path, headers, setHost: !headers.host }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

export async function other_origins_and_hosts_are_rejected() {
  const json = { "content-type": "application/json" };
  const post = (headers) => exchange("POST", "/console/api/reload", { ...json, ...headers }, "{}");
  const foreign = await post({ origin: "http://evil.example" });
  expect(foreign.status === 403, `another origin: ${foreign.status}`);
  const site = await post({ "sec-fetch-site": "cross-site" });
  expect(site.status === 403, `another site: ${site.status}`);
  const host = await post({ host: "evil.example" });
  expect(host.status === 421, `another host: ${host.status}`);
  const page = await exchange("GET", "/console/", { host: "evil.example" });
  expect(page.status === 421, `a page for another host: ${page.status}`);
  const form = await exchange("POST", "/console/api/reload", { "content-type": "text/plain", origin }, "{}");
  expect(form.status === 415 || form.status === 401, `a form: ${form.status}`);
}

export async function without_a_token_only_the_login_page() {
  for (const path of ["", "actions", "actions/offer"]) {
    const { status, headers } = await exchange("GET", `/console/${path}`, {});
    expect(status === 303 && headers.location === "/console/login", `/console/${path}: ${status} ${headers.location}`);
  }
  for (const path of ["overview", "actions", "settings", "metrics", "schema?role=admin", "jobs"]) {
    const { status, text } = await exchange("GET", `/console/api/${path}`, {});
    expect(status === 401, `${path}: ${status} ${text}`);
  }
  const login = await exchange("GET", "/console/login", {});
  expect(login.status === 200 && login.text.includes("Admin token"), `login: ${login.status}`);
}

export async function log_in_and_out() {
  const browser = await launch();
  try {
    const { page, context, problems } = await newSession(browser, { loggedIn: false });
    await go(page);
    await page.getByRole("heading", { name: "Pillion console" }).waitFor();
    await page.getByLabel("Admin token").fill("not-the-token");
    await page.keyboard.press("Enter");
    await page.getByText("This is not the admin token.").waitFor();
    await page.getByLabel("Admin token").fill(settings.token);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    const [cookie] = await context.cookies();
    expect(cookie.httpOnly && cookie.sameSite === "Strict" && cookie.path.startsWith("/console"), JSON.stringify({ ...cookie, value: "" }));
    expect(!cookie.value.includes(settings.token), "the cookie is the token");
    const seen = await lookForCanaries(page, problems);
    expect(!seen.includes(settings.token), "the token is on the page");
    await button(page, "Log out").click();
    await page.getByLabel("Admin token").waitFor();
    await go(page, "actions");
    await page.getByLabel("Admin token").waitFor();
    expect(problems.length === 0, problems.join("; "));
  } finally {
    await browser.close();
  }
}

export const CASES = [markup_in_names_and_responses_is_inert, identities_are_not_stored, other_origins_and_hosts_are_rejected];
export const WITH_TOKEN = [without_a_token_only_the_login_page, log_in_and_out, other_origins_and_hosts_are_rejected];
