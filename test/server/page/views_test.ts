/** The page's views beside the chat, in a real browser against a real server with the embedded model. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Page } from "npm:playwright-core@1.65.1";
import { fragmentOf } from "../../../src/server/page/share.ts";
import { skipIf } from "../../skip.ts";
import { noBrowser, startServedBrowser, violations, watch } from "./browser.ts";

const PATIENCE = 20_000;
const MARKED = "7 * 8 ___ 56. The answer ___ 56.";
const WHOLE = "7 * 8 = 56. The answer is 56.";

/** Selects a part of what an element shows, as a mouse does. */
const SELECT = `(part) => {
  const walker = document.createTreeWalker(
    document.querySelector(".infill .canvas"), NodeFilter.SHOW_TEXT);
  const nodes = [];
  while (walker.nextNode()) nodes.push(walker.currentNode);
  const whole = nodes.map(({ data }) => data).join("");
  const place = (units) => {
    for (const node of nodes) {
      if (units <= node.data.length) return [node, units];
      units -= node.data.length;
    }
  };
  const start = whole.indexOf(part);
  getSelection().setBaseAndExtent(...place(start), ...place(start + part.length));
}`;

const tab = (page: Page, name: string) => page.getByRole("tab", { name }).click();
const textOf = (page: Page, view: string) => page.locator(`.${view} .canvas`).first().innerText();

/** Finds what is wrong in light, dark and on a phone, where nothing may be wider than the screen. */
async function everywhere(page: Page): Promise<void> {
  assertEquals(await violations(page), []);
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  assertEquals(await violations(page), []);
  await page.setViewportSize({ width: 360, height: 780 });
  assertEquals(await violations(page), []);
  const wide: number = await page.evaluate("document.documentElement.scrollWidth");
  assert(wide <= 360, `${wide} pixels wide`);
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
}

Deno.test({
  ...skipIf(noBrowser, "the page's views in a browser"),
  async fn(t) {
    await using started = await startServedBrowser();
    const { browser, server } = started;
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.setDefaultTimeout(PATIENCE);
    const watched = await watch(page);
    await page.emulateMedia({ reducedMotion: "reduce" });
    await page.goto(server.url);

    const filled = async () => {
      await page.locator(".infill .result").getByText(/\d forward pass/).waitFor();
      await page.locator(".infill .pause-sign").waitFor({ state: "detached" });
    };

    await t.step("holes are filled by mouse", async () => {
      await tab(page, "Infill");
      const text = page.getByLabel("Text", { exact: true });
      assertEquals(await text.inputValue(), MARKED);
      await text.fill("7 * 8 = 56. The answer was 56.");
      await page.evaluate("document.querySelector('[name=text]').setSelectionRange(23, 26)");
      await page.getByRole("button", { name: /^Mask/ }).click();
      assertEquals(await text.inputValue(), "7 * 8 = 56. The answer ___ 56.");
      await page.getByRole("button", { name: /^Fill/ }).click();
      await filled();
      assertEquals(await textOf(page, "infill"), WHOLE);
      const tokens = page.locator(".infill .canvas [role=button]");
      assert(await tokens.count() >= 1);
      assertMatch(
        await tokens.first().getAttribute("aria-label") ?? "",
        /^token 'is', step \d+, probability \d\.\d\d$/,
      );
    });

    await t.step("words of the result that are selected are written anew, and back", async () => {
      await page.evaluate(`(${SELECT})("answer is")`);
      const body = page.waitForRequest(/v1\/edits/).then((request) => request.postDataJSON());
      await page.getByRole("button", { name: /^Mask/ }).click();
      assertEquals((await body).spans, [{ start: 16, end: 25 }]);
      await filled();
      assert(await page.locator(".infill .canvas [role=button]").count() >= 1);
      const undo = page.getByRole("button", { name: "Undo" });
      await undo.click();
      assertEquals(await textOf(page, "infill"), WHOLE);
      await undo.click();
      assert(await undo.isHidden() || await undo.isDisabled());
    });

    await t.step("holes are filled by keyboard alone", async () => {
      const text = page.getByLabel("Text", { exact: true });
      await page.getByRole("tab", { name: "Infill" }).focus();
      await page.keyboard.press("/");
      await page.keyboard.press("Control+a");
      await page.keyboard.type("7 * 8 = 56. The answer is 56.");
      await page.keyboard.press("Home");
      for (let i = 0; i < 6; i++) await page.keyboard.press("ArrowRight");
      await page.keyboard.press("Shift+ArrowRight");
      await page.keyboard.press("Control+m");
      assertEquals(await text.inputValue(), "7 * 8 ___ 56. The answer is 56.");
      await page.keyboard.press("Control+Enter");
      await filled();
      assertEquals(await textOf(page, "infill"), WHOLE);
      await page.locator(".infill .canvas [tabindex='0']").focus();
      await page.keyboard.press("Enter");
      await page.getByRole("region", { name: "Token '='" }).waitFor();
      const again = page.waitForRequest(/v1\/edits/);
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await again;
      await filled();
      assertEquals(await textOf(page, "infill"), WHOLE);
      await everywhere(page);
    });

    await t.step("a text without a hole is told so", async () => {
      await page.getByLabel("Text", { exact: true }).fill("No hole.");
      await page.keyboard.press("Control+Enter");
      await page.locator(".infill").getByText("Put ___ where something is missing").waitFor();
    });

    await t.step("two strategies race", async () => {
      await tab(page, "Race");
      const first = page.getByRole("region", { name: "First" });
      assertEquals(await first.getByLabel("Strategy").inputValue(), "plain");
      await page.locator(".race").getByRole("button", { name: /^Race/ }).click();
      await page.locator(".race").getByText("Both wrote the same text.").waitFor();
      const passes = page.getByRole("row", { name: /^Forward passes/ }).getByRole("cell");
      const [plain, threshold] = (await passes.allInnerTexts()).map((text) => parseInt(text));
      assert(plain > threshold && threshold > 0, `${plain} and ${threshold} passes`);
      await everywhere(page);
      await page.getByRole("button", { name: "Swap" }).click();
      assertEquals(await first.getByLabel("Strategy").inputValue(), "threshold");
      const body = page.waitForRequest(/chat\/completions/).then((request) =>
        request.postDataJSON()
      );
      await page.getByRole("button", { name: "Again with another seed" }).click();
      assertEquals((await body).seed, 2);
      await page.locator(".race").getByText("Both wrote the same text.").waitFor();
    });

    await t.step("a race can be stopped, and a link restores it", async () => {
      const state = {
        question: "Tell a story about an old frog named Lily, a boat and a hill.",
        lanes: [{ strategy: "plain", cache: "none" }, { strategy: "factor", blockLength: 16 }],
      };
      await page.goto(server.url + fragmentOf({ tab: "race", state }));
      const second = page.getByRole("region", { name: "Second" });
      await second.waitFor();
      assertEquals(await second.getByLabel("Strategy").inputValue(), "factor");
      assertEquals(await second.getByLabel("Block length").inputValue(), "16");
      await page.locator(".race").getByRole("button", { name: /^Race/ }).click();
      await page.locator(".race .canvas .token").first().waitFor();
      await page.locator(".race").getByRole("button", { name: "Stop" }).click();
      await page.getByRole("region", { name: "First" }).getByText("stopped").waitFor();
      await page.locator(".race").getByRole("button", { name: /^Race/ }).waitFor();
      assertEquals(await second.locator(".canvas .token").count(), 0);
    });

    await t.step("an answer has the form that is asked for", async () => {
      await tab(page, "Constraint");
      await page.locator(".constraint").getByRole("button", { name: /^Ask/ }).click();
      await page.getByText("This page has parsed it: it is JSON.").waitFor();
      const told = JSON.parse(await page.getByLabel("The answer, indented").innerText());
      assertEquals(Object.keys(told), ["dish", "size", "drink"]);
      const slider = page.locator(".constraint").getByRole("slider");
      await slider.press("Home");
      await slider.press("ArrowRight");
      assertEquals(await textOf(page, "constraint"), '{"dish": ');
      assert(await page.locator(".constraint .canvas .fixed").count() >= 1);
      assert(await page.locator(".constraint .canvas .mask").count() > 0);
      await slider.press("End");
      await everywhere(page);
    });

    await t.step("a schema that cannot be served is refused at its field", async () => {
      const field = page.getByLabel("A JSON schema");
      await field.fill('{"type": "object", "properties": {"a": {"if": {}}}}');
      await field.press("Control+Enter");
      await page.locator("#form-problem").getByText("/properties/a/if").waitFor();
      assertEquals(await field.getAttribute("aria-invalid"), "true");
      assertEquals(await violations(page), []);
      await page.getByRole("button", { name: "Choices" }).click();
      await page.locator(".constraint").getByRole("button", { name: /^Ask/ }).click();
      await page.getByText("this is one of the choices").waitFor();
      assert(["Yes.", "No.", "That is not known."].includes(await textOf(page, "constraint")));
    });

    await t.step("nothing else went wrong", () => {
      const { origin } = new URL(server.url);
      assertEquals(
        watched.requests.filter((url) => !/^data:/.test(url) && new URL(url).origin !== origin),
        [],
      );
      assert(watched.bytes < 300_000, `${watched.bytes} bytes, with all answers`);
      console.log(`page, all views and answers: ${(watched.bytes / 1024).toFixed(1)} KiB`);
      // The refusal of the schema is one that was asked for.
      assertEquals(watched.errors.filter((error) => !/status of 400/.test(error)), []);
    });
  },
});
