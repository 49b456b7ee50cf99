// Cases of operation: jobs, reloads, streams.
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { button, edit, expect, go, settings } from "./browser.mjs";

export async function a_failed_job_is_retried({ page }) {
  await go(page, "playground");
  await edit(page, "Operation", "mutation { makeInvoice(customer: 7) }");
  await button(page, "Run").click();
  await page.getByRole("region", { name: "Response" }).getByText("makeInvoice").waitFor();
  await go(page, "jobs?status=error");
  const row = page.getByRole("row", { name: /makeInvoice/ });
  // The worker takes it in its own time; the list is loaded again every few seconds.
  await row.waitFor({ timeout: 20_000 });
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
  await page.locator(".toast", { hasText: "The configuration was reloaded." }).waitFor();
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

export const CASES = [a_failed_job_is_retried, a_rejected_reload_says_why, results_over_websocket_and_sse];
