// Cases in which actions are made and changed: create, derive, import, transform, save in two tabs.
import { readFileSync } from "node:fs";
import { axe, button, edit, expect, go, save, settings } from "./browser.mjs";

const DEFINITION = `type Query {
  quote(productId: Int!): Quote
}

type Quote {
  total: Float!
  currency: String!
}
`;

/** The upstream's field beside which actions are asked for. */
const PRODUCT = { postgraphile: "productById(id: 1)", hasura: "products_by_pk(id: 1)" }[settings.upstream];

export async function create_try_permit_and_query_as_a_role({ page }) {
  await go(page, "actions");
  await button(page, "Create action").click();
  await edit(page, "Definition", DEFINITION.replace("): Quote", "): Quot"));
  await page.getByLabel("Handler", { exact: true }).fill("{{HANDLERS}}/quote");
  const wrong = page.getByRole("list", { name: "Diagnostics of the new action" });
  await wrong.getByText("Quot").first().waitFor();
  expect((await wrong.textContent()).includes("^"), "a diagnostic without its caret");
  await edit(page, "Definition", DEFINITION);
  await page.getByText("quote can be created.").waitFor();
  await button(page, "Preview").click();
  await save(page);
  await page.getByRole("heading", { name: /quote$/ }).waitFor();

  await page.getByRole("tab", { name: "Try" }).click();
  await edit(page, "Arguments", '{ "productId": 1 }');
  await button(page, "Call").click();
  await page.getByRole("region", { name: "Response" }).getByText("99.5").waitFor();
  await page.getByRole("list", { name: "Steps of the request" }).getByText("handler").first().waitFor();

  await page.getByRole("tab", { name: "Permissions" }).click();
  await page.getByLabel("Add a role").fill("clerk");
  await button(page, "Add column").click();
  await page.getByLabel("clerk may call quote").check();
  await button(page, "Preview").click();
  await save(page);
  await page.getByLabel("clerk may call quote").and(page.locator(":checked")).waitFor();

  await queryAs(page, "clerk", '"total": 99.5');
  await queryAs(page, "passerby", "errors");
}

async function queryAs(page, role, expected) {
  await go(page, "playground");
  await page.getByText("Role", { exact: true }).first().click();
  await page.getByLabel("Role", { exact: true }).last().fill(role);
  await edit(page, "Operation", `{ ${PRODUCT} { id } quote(productId: 1) { total } }`);
  await button(page, "Run").click();
  await page.getByRole("region", { name: "Response" }).getByText(expected).first().waitFor();
  if (expected === "errors") return;
  await page.getByRole("tab", { name: "Plan" }).click();
  await page.getByRole("heading", { name: /Upstream/ }).waitFor();
  await page.getByRole("heading", { name: /Action quote/ }).waitFor();
  await page.getByRole("tab", { name: "Timing" }).click();
  await page.getByRole("list", { name: "Steps of the request" }).waitFor();
  await page.getByRole("tab", { name: "Copy as" }).click();
  await page.getByRole("region", { name: "curl" }).getByText("$HASURA_GRAPHQL_ADMIN_SECRET").waitFor();
}

export async function derive_an_action_from_an_operation({ page }) {
  const operation = `query ($id: Int!) { ${PRODUCT.replace("1", "$id")} { id name } }`;
  await go(page, "playground");
  await edit(page, "Operation", operation);
  await button(page, "Derive an action").click();
  const dialog = page.locator("dialog[open]");
  await dialog.getByLabel("Name of the action").fill("findProduct");
  await dialog.getByLabel("Handler", { exact: true }).fill("{{HANDLERS}}/derived");
  await page.getByText("findProduct can be created.").waitFor();
  await button(dialog, "Preview").click();
  await page.getByText("findProduct(id: Int!)").first().waitFor();
  await save(page);
  await page.getByRole("tab", { name: "Try" }).click();
  await edit(page, "Arguments", '{ "id": 1 }');
  await button(page, "Call").click();
  await page.getByRole("region", { name: "Response" }).getByText('"derived"').waitFor();
}

const OPENAPI = `openapi: 3.1.0
info: { title: Pets, version: "1" }
servers: [{ url: "http://pets.example/v1" }]
paths:
  /pets/{id}:
    get:
      operationId: petById
      summary: "A pet <img src=x onerror=\\"window.hostile='openapi'\\">"
      parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
      responses:
        "200": { description: ok, content: { application/json: { schema: { $ref: "#/components/schemas/Pet" } } } }
  /broken:
    get:
      operationId: brokenOperation
      responses:
        "200": { description: ok, content: { application/json: { schema: { $ref: "#/components/schemas/Nothing" } } } }
components:
  schemas:
    Pet: { type: object, required: [name], properties: { name: { type: string } } }
`;

export async function import_openapi_with_one_broken_operation({ page }) {
  await go(page, "import");
  await page.getByText("Text", { exact: true }).click();
  await page.getByLabel("OpenAPI text").fill(OPENAPI);
  await button(page, "Read operations").click();
  await page.getByText("petById(id: Int!): Pet").first().waitFor();
  await page.getByRole("list", { name: "Left out" }).getByText("broken", { exact: false }).first().waitFor();
  await button(page, "Preview").click();
  await save(page);
  await page.getByRole("table").getByRole("link", { name: "petById" }).waitFor();
}

export async function a_transform_with_an_error_shows_its_caret({ page }) {
  await go(page, "actions/offer?tab=transform");
  await page.getByText("Template", { exact: true }).click();
  await edit(page, "Template of the request body", '{ "id": {{$body.input.productId }');
  const wrong = page.getByRole("list", { name: "Errors of the templates" });
  await wrong.waitFor();
  expect((await wrong.textContent()).includes("^"), "no caret");
  await page.getByText("A template has an error, so there is no result").waitFor();
  expect(await button(page, "Preview").isDisabled(), "a template with an error can be saved");
  await edit(page, "Template of the request body", '{ "product": {{$body.input.productId}} }');
  await page.getByRole("region", { name: "Body after" }).getByText('"product"').waitFor();
  await button(page, "Preview").click();
  await save(page);
}

export async function two_tabs_that_save_at_once({ page, context }) {
  const other = await context.newPage();
  for (const [tab, limit] of [[page, "21"], [other, "22"]]) {
    await go(tab, "actions/hostile?tab=handler");
    await tab.getByLabel("Time limit in seconds").fill(limit);
    await button(tab, "Preview").click();
    await tab.locator("dialog[open] .diff").first().waitFor();
  }
  await save(page);
  const dialog = other.locator("dialog[open]");
  await button(dialog, "Save").click();
  await dialog.getByText("The files have changed since this preview, so nothing was written.").waitFor();
  const findings = await axe(other);
  expect(findings.length === 0, findings.join("; "));
  await button(dialog, "Preview again").click();
  await dialog.locator(".diff").getByText("timeout: 21").waitFor();
  await save(other);
}

export async function clone_rename_and_remove({ page }) {
  await go(page, "actions");
  await button(page, "Clone hostile").click();
  await page.getByLabel("New name").fill("guest");
  await button(page, "Preview").click();
  await save(page);
  await page.getByRole("heading", { name: /guest$/, level: 1 }).waitFor();
  await page.getByText("More", { exact: true }).click();
  await button(page, "Rename").click();
  await page.getByLabel("New name").fill("visitor");
  await button(page.locator("dialog[open]"), "Preview").click();
  await save(page);
  await page.getByRole("heading", { name: /visitor$/, level: 1 }).waitFor();
  await button(page, "Remove").click();
  await save(page);
  await page.getByRole("heading", { name: "Actions", level: 1 }).waitFor();
  await page.getByRole("link", { name: "hostile" }).waitFor();
  expect((await page.getByRole("link", { name: "visitor" }).count()) === 0, "the action is still there");
}

/** The program runs as a user who may write everything, so that the browser is told otherwise. */
export async function a_folder_that_cannot_be_written_gives_a_patch({ page, context }) {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.route("**/api/changes/preview", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), writable: false, not_writable_because: "Read-only file system" } });
  });
  await go(page, "actions/offer?tab=handler");
  await page.getByLabel("Time limit in seconds").fill("17");
  await button(page, "Preview").click();
  const dialog = page.locator("dialog[open]");
  await dialog.getByText("The files cannot be written from here: Read-only file system.").waitFor();
  expect((await button(dialog, "Save").count()) === 0, "there is a button that saves");
  await button(dialog, "Copy patch").click();
  await page.getByText("Copied.").waitFor();
  const patch = await page.evaluate(() => navigator.clipboard.readText());
  expect(/^--- .*actions\.yaml\n\+\+\+ /.test(patch) && patch.includes("+      timeout: 17"), `not a patch: ${patch}`);
}

/** The value of a header is never in the browser, and stays in the file when others are added. */
export async function a_masked_header_stays({ page }) {
  await go(page, "actions/offer?tab=handler");
  await button(page, "Add header").click();
  await page.getByLabel("Name of header 3").fill("x-more");
  await page.getByLabel("Variable of header 3").fill("OFFER_KEY");
  await button(page, "Preview").click();
  await page.locator("dialog[open] .diff").getByText("+          value_from_env: OFFER_KEY").waitFor();
  await save(page);
  const file = readFileSync(`${settings.folder}/metadata/actions.yaml`, "utf8");
  expect(file.includes("value: c4nary-static-header") && file.includes("x-more"), "the header's value was replaced");
  expect(file.includes("# What the cases begin with."), "a comment of the file is gone");
}

/** The upstream's names for a product: its type, and the field that finds one. */
const NAMES = { postgraphile: { type: "Product", root: "productById" }, hasura: { type: "products", root: "products_by_pk" } }[settings.upstream];

export async function policies_relationships_and_fields({ page }) {
  await go(page, "actions/offer?tab=policies");
  await button(page, "Change max_retries").click();
  await page.locator("dialog[open]").getByRole("textbox").fill("2");
  await button(page.locator("dialog[open]"), "Preview").click();
  await page.locator("dialog[open] .diff").getByText("max_retries: 2").waitFor();
  await save(page);
  await page.getByRole("row", { name: /max_retries/ }).getByText(/pillion\.yaml:\d+/).waitFor();

  await page.getByRole("tab", { name: "Relationships & fields" }).click();
  const relationship = page.getByRole("group", { name: "New relationship" });
  await relationship.getByLabel("Name of the field").fill("product");
  await relationship.getByLabel("Key: a field of the type").selectOption("productId");
  await relationship.getByLabel("Root field of the upstream").selectOption(NAMES.root);
  await relationship.getByLabel("Argument that gets the key").selectOption("id");
  await button(relationship, "Preview").click();
  await save(page);
  // The forms begin afresh once the saved text is loaded.
  await button(page, "Remove Offer.product").waitFor();

  const field = page.getByRole("group", { name: "New field" });
  await field.getByLabel("Type of the upstream").selectOption(NAMES.type);
  await field.getByLabel("productId comes from").selectOption("id");
  await button(field, "Preview").click();
  await save(page);
  await button(page, `Remove ${NAMES.type}.offer`).waitFor();

  await go(page, "playground");
  await edit(page, "Operation", `{ ${PRODUCT} { id offer { total product { name } } } }`);
  await button(page, "Run").click();
  await page.getByRole("region", { name: "Response" }).getByText('"City bicycle"').waitFor();
}

export const CASES = [
  create_try_permit_and_query_as_a_role,
  derive_an_action_from_an_operation,
  import_openapi_with_one_broken_operation,
  a_transform_with_an_error_shows_its_caret,
  two_tabs_that_save_at_once,
  clone_rename_and_remove,
  policies_relationships_and_fields,
  a_masked_header_stays,
  a_folder_that_cannot_be_written_gives_a_patch,
];
