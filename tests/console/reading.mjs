// Cases of every screen: axe-core in both themes, widths, the keyboard alone.
import { axe, edit, expect, go, lookForCanaries, newSession, shot } from "./browser.mjs";

const TABS = ["definition", "handler", "transform", "permissions", "relationships", "policies", "try", "failures", "code"];
const SCREENS = [
  "", "playground", "actions", "actions?new=create", "actions?new=derive", "actions?view=permissions", "import", "jobs", "schema", "settings", "metrics", "no-such-screen",
  ...TABS.map((tab) => `actions/offer?tab=${tab}`),
];

async function settled(page, path) {
  await go(page, path);
  await page.locator("h1, h3").first().waitFor();
  await page.waitForFunction(() => !document.querySelector('.progress, .editor[data-ready="false"]'));
}

/** Pages that are looked at side by side, as each waits now and then. */
const PAGES = 3;

async function everyScreen(browser, theme, width) {
  const { context, page, problems } = await newSession(browser, { colorScheme: theme, viewport: { width, height: 800 } });
  const left = [...SCREENS];
  const pages = [page, ...(await Promise.all(Array.from({ length: PAGES - 1 }, () => context.newPage())))];
  await Promise.all(
    pages.map(async (page) => {
      for (let path = left.shift(); path !== undefined; path = left.shift()) {
        await settled(page, path);
        const found = [...(await axe(page)), ...(await isWide(page))];
        problems.push(...found.map((one) => `${path || "overview"}, ${theme}, ${width}: ${one}`));
        await lookForCanaries(page, problems);
        await shot(page, `${(path || "overview").replace(/[/?=&]/g, "-")}-${theme}-${width}`);
      }
    }),
  );
  await context.close();
  expect(problems.length === 0, problems.join("; "));
}

async function isWide(page) {
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  return excess > 0 ? [`${excess} pixels too wide`] : [];
}

export const every_screen_is_accessible_in_light = ({ browser }) => everyScreen(browser, "light", 1400);
export const every_screen_is_accessible_in_dark = ({ browser }) => everyScreen(browser, "dark", 360);

/** Presses Tab until this has the focus. */
async function tabTo(page, name, limit = 60) {
  for (let count = 0; count < limit; count += 1) {
    const focused = await page.evaluate(() => {
      let at = document.activeElement;
      while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
      const visible = at ? getComputedStyle(at).outlineStyle !== "none" || at.closest(".editor, .segments label, .cm-editor") !== null : true;
      return { name: at?.getAttribute("aria-label") ?? at?.labels?.[0]?.textContent ?? at?.textContent ?? "", visible };
    });
    if (focused.name.trim().startsWith(name)) {
      expect(focused.visible, `the focus on ${name} is not visible`);
      return;
    }
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not reach ${name}`);
}

export async function everything_by_keyboard({ page }) {
  await go(page);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.keyboard.press("Tab");
  await tabTo(page, "Skip to content", 2);
  await page.keyboard.press("Enter");
  for (const [key, title] of [["p", "Playground"], ["a", "Actions"], ["i", "Import OpenAPI"], ["j", "Jobs"], ["s", "Schema"], ["e", "Settings"], ["m", "Metrics"], ["o", "Overview"]]) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await page.getByRole("heading", { name: title, level: 1 }).waitFor();
  }
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: /Search/ }).and(page.locator(":focus")).waitFor();
  await page.keyboard.type("offer");
  await page.getByRole("option", { name: /^offer/, selected: true }).waitFor();
  const findings = await axe(page);
  expect(findings.length === 0, findings.join("; "));
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: /offer$/, level: 1 }).waitFor();
  await tabTo(page, "Definition");
  await page.keyboard.press("ArrowRight");
  await page.getByRole("tab", { name: "Handler & headers", selected: true }).waitFor();

  await page.keyboard.press("g");
  await page.keyboard.press("p");
  await page.locator('.editor[data-ready="true"]').first().waitFor();
  await tabTo(page, "Operation");
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText("{ offer(productId: 1) { total } }");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("region", { name: "Response" }).getByText("12.5").waitFor();
  // Tab leaves the editor.
  await tabTo(page, "Run");

  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await page.getByRole("heading", { name: "Actions", level: 1 }).waitFor();
  await tabTo(page, "Create action");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Create an action" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("heading", { name: "Create an action" }).waitFor({ state: "detached" });
}

export async function the_editor_completes_names_of_the_schema({ page }) {
  await go(page, "playground");
  await page.waitForLoadState("networkidle");
  await edit(page, "Operation", "{ off");
  await page.keyboard.press("Control+Space");
  await page.locator(".cm-tooltip-autocomplete").getByText("offer").first().waitFor();
}

export const CASES = [every_screen_is_accessible_in_light, every_screen_is_accessible_in_dark, everything_by_keyboard, the_editor_completes_names_of_the_schema];
