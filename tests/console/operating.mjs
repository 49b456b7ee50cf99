// Cases of operation: jobs, reloads, streams.
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { button, edit, expect, go, said, settings } from "./browser.mjs";

export async function a_failed_job_is_retried({ page }) {
  await go(page, "playground");
  await edit(page, "Operation", "mutation { makeInvoice(customer: 7) }");
  await button(page, "Run").click();
  await page.getByRole("region", { name: "Response" }).getByText("makeInvoice").waitFor();
  await go(page, "jobs?status=error");
  const row = page.getByRole("row", { name: /makeInvoice/ });
  // The worker takes it in its own time; the list is loaded again every few seconds.
  await row.waitFor({ timeout: 20_000 });
  await page.getByText("1 failed").waitFor();
  const id = (await row.getByRole("rowheader").textContent()).trim();
  await row.getByRole("link", { name: id }).click();
  await page.getByRole("region", { name: "Errors of the last attempt" }).first().waitFor();
  await button(page, `Retry ${id}`).click();
  await page.getByText("completed", { exact: true }).waitFor({ timeout: 20_000 });
  // A completed job asks first.
  await button(page, `Retry ${id}`).click();
  await page.getByRole("heading", { name: "Retry a completed job?" }).waitFor();
  await page.keyboard.press("Escape");
}

export async function a_rejected_reload_says_why({ page }) {
  const file = `${settings.folder}/metadata/actions.graphql`;
  const before = readFileSync(file, "utf8");
  try {
    appendFileSync(file, "\nextend type Query {\n  broken: NoSuchType\n}\n");
    await go(page);
    await button(page, "Reload configuration").click();
    const problem = page.locator(".diagnostics").first();
    await problem.getByText("NoSuchType").first().waitFor();
    expect((await problem.textContent()).includes("^"), "no caret");
  } finally {
    writeFileSync(file, before);
  }
  await button(page, "Reload configuration").click();
  await said(page, /^The configuration was reloaded\.$/);
}

export async function results_over_websocket_and_sse({ page }) {
  for (const transport of ["WebSocket", "SSE"]) {
    await go(page, "playground");
    await edit(page, "Operation", "{ offer(productId: 1) { total } }");
    await page.getByText(transport, { exact: true }).click();
    await button(page, "Run").click();
    await page.getByText('"total": 12.5').waitFor();
    await page.getByText("ended", { exact: true }).waitFor();
  }
}

/** Clicks a link that downloads, and returns the file. */
async function download(page, name) {
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name, exact: true }).click()]);
  return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
}

export async function code_and_schema_can_be_read_and_downloaded({ page }) {
  await go(page, "actions/hostile?tab=code");
  await page.getByRole("list", { name: "Files" }).getByRole("button").first().waitFor();
  await page.getByLabel("Framework").selectOption("fastapi");
  await page.getByRole("list", { name: "Files" }).getByText(/\.py$/).first().waitFor();
  const code = await download(page, "Download");
  expect(code.name.endsWith(".tar.gz") && code.bytes[0] === 0x1f && code.bytes[1] === 0x8b, `${code.name} is not an archive`);

  await go(page, "schema?role=user");
  await page.getByText("type Offer").first().waitFor();
  await page.getByLabel("Search", { exact: true }).fill("Invoice");
  await page.getByRole("region", { name: "Schema", exact: true }).getByText("Invoice").first().waitFor();
  const sdl = await download(page, "Download SDL");
  expect(sdl.bytes.toString().includes("type Offer"), "the schema is not in the file");
  const introspection = await download(page, "Download introspection");
  expect(JSON.parse(introspection.bytes.toString()).data.__schema.types.length > 0, "the introspection is not in the file");
  await page.getByLabel("Compared with").selectOption("admin");
  await page.getByRole("heading", { name: "From user to admin" }).waitFor();
  await page.getByRole("region", { name: "Difference from user to admin" }).or(page.getByText("see the same schema")).first().waitFor();
}

export async function jobs_are_purged({ page }) {
  await go(page, "jobs");
  await page.getByRole("rowheader").first().waitFor();
  await button(page, "Purge").click();
  const dialog = page.locator("dialog[open]");
  await dialog.getByLabel("Older than").fill("1s");
  await button(dialog, "Delete").click();
  await page.locator(".toast", { hasText: /^\d+ jobs? deleted\./ }).waitFor();
}

export async function checks_and_the_doctor_run({ page }) {
  await go(page);
  await button(page, "Check files and handlers").click();
  await page.getByRole("region", { name: "Checks", exact: true }).getByText("passed").first().waitFor({ timeout: 30_000 });
  await button(page, "Run the doctor").click();
  await page.getByRole("region", { name: "Doctor" }).getByText("passed").first().waitFor({ timeout: 30_000 });
}

export const CASES = [a_failed_job_is_retried, a_rejected_reload_says_why, results_over_websocket_and_sse, code_and_schema_can_be_read_and_downloaded, jobs_are_purged, checks_and_the_doctor_run];
