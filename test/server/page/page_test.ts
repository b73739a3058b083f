/** The page in a real browser, against a real server with the embedded model. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Page } from "npm:playwright-core@1.65.1";
import { skipIf } from "../../skip.ts";
import { noBrowser, serve, startServedBrowser, violations, watch } from "./browser.ts";

const STORY = "Tell a story about an old frog named Lily, a boat and a hill.";
const PATIENCE = 20_000;

// What is computed in the browser is text here: a test knows no browser's types.
const FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime";
/** Numbers of masks and tokens in each picture that differs, until there are no masks. */
const PICTURES = `new Promise((resolve) => {
  const seen = [];
  const count = (kind) => document.querySelectorAll(".turn .canvas ." + kind).length;
  const look = () => {
    const [masks, tokens] = [count("mask"), count("token")];
    if (String(seen.at(-1)) !== String([masks, tokens])) seen.push([masks, tokens]);
    masks === 0 && tokens > 0 ? resolve(seen) : requestAnimationFrame(look);
  };
  look();
})`;

const answers = (page: Page) => page.locator(".turn .canvas");
const textOf = (page: Page, turn = 0) => answers(page).nth(turn).innerText();

async function ask(page: Page, question: string): Promise<void> {
  await page.getByLabel("Your message").fill(question);
  await page.keyboard.press("Enter");
}

/** Waits until the last answer is there, and its picture has come to the end. */
async function answered(page: Page, turns: number): Promise<void> {
  await page.locator(".turn").nth(turns - 1).getByText(/tokens?\/s|stopped after/).waitFor();
  await page.locator(".pause-sign").first().waitFor({ state: "detached" });
}

Deno.test({
  ...skipIf(noBrowser, "the page in a browser"),
  async fn(t) {
    await using started = await startServedBrowser();
    const { engine, browser, server } = started;
    const context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      permissions: ["clipboard-read", "clipboard-write"],
    });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    const watched = await watch(page);

    await t.step("comes in one small piece, and invites", async () => {
      await page.goto(server.url);
      await page.getByRole("button", { name: "Try: What is 7 times 8?" }).waitFor();
      await page.locator(".status-name").getByText("tiny-target").waitFor();
      const paint: number = await page.evaluate(FIRST_PAINT);
      console.log(
        `page: ${(watched.bytes / 1024).toFixed(1)} KiB, first paint ${paint.toFixed(0)} ms`,
      );
      assert(watched.bytes > 10_000 && watched.bytes < 300_000);
      assertEquals(await violations(page), []);
    });

    await t.step("an answer is seen resolving", async () => {
      const frames: Promise<[masks: number, tokens: number][]> = page.evaluate(PICTURES);
      await page.getByRole("button", { name: "Try: What is 7 times 8?" }).click();
      const seen = await frames;
      await answered(page, 1);
      assertEquals(await textOf(page), "7 * 8 = 56. The answer is 56.");
      const between = seen.filter(([masks, tokens]) => masks > 0 && tokens > 0);
      assert(between.length >= 5, `${between.length} pictures between masks and tokens`);
      // From here on pictures do not wait for the eye.
      await page.emulateMedia({ reducedMotion: "reduce" });
    });

    await t.step("the slider shows every step", async () => {
      const slider = page.getByRole("slider", { name: "Step of the answer" });
      await slider.press("Home");
      assertEquals(await page.locator(".turn .canvas .token").count(), 0);
      assertEquals(await page.locator(".turn .canvas .mask").count(), 64);
      await slider.press("ArrowRight");
      assertEquals(await page.locator(".turn .canvas .token").count(), 1);
      await slider.press("End");
      assertEquals(await textOf(page), "7 * 8 = 56. The answer is 56.");
    });

    await t.step("a token's card opens by keyboard, and gives the focus back", async () => {
      await page.locator(".turn .canvas [tabindex='0']").focus();
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("Enter");
      const card = page.getByRole("region", { name: "Token '*'" });
      await card.waitFor();
      assertMatch(await card.innerText(), /Probability\s+\d+\.\d+%/);
      assertEquals(await card.getByRole("listitem").count(), 5);
      await page.keyboard.press("Escape");
      assertMatch(
        await page.locator(":focus").getAttribute("aria-label") ?? "",
        /^token '\*', step \d+, probability \d\.\d\d$/,
      );
    });

    await t.step("a mask that is put back is denoised again", async () => {
      const steps = Number(
        await page.getByRole("slider", { name: "Step of the answer" }).getAttribute("max"),
      );
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: "Put a mask back here" }).click();
      await page.locator(`.scrubber input[max="${steps + 2}"]`).waitFor();
      await page.locator(".pause-sign").first().waitFor({ state: "detached" });
      assertEquals(await page.locator(".turn .canvas .fresh").count(), 1);
      assertEquals(await textOf(page), "7 * 8 = 56. The answer is 56.");
      await page.getByRole("slider", { name: "Step of the answer" }).press("ArrowLeft");
      assertEquals(await page.locator(".turn .canvas .mask").count(), 1);
      await page.getByRole("slider", { name: "Step of the answer" }).press("End");
    });

    await t.step("a control that moves asks again", async () => {
      await page.getByLabel("Strategy").selectOption("threshold");
      await page.locator(".turn-end").getByText("threshold").waitFor();
      await answered(page, 1);
      const body = page.waitForRequest(/chat\/completions/).then((request) =>
        request.postDataJSON()
      );
      await page.getByRole("slider", { name: /^Threshold/ }).press("ArrowLeft");
      assertEquals((await body).threshold, 0.89);
      await answered(page, 1);
      await page.getByLabel("Strategy").selectOption("auto");
      await page.locator(".turn-end").getByText("auto").waitFor();
      await answered(page, 1);
    });

    await t.step("a second turn knows the first", async () => {
      const body = page.waitForRequest(/chat\/completions/).then((request) =>
        request.postDataJSON()
      );
      await ask(page, "What is 9 times 5?");
      assertEquals((await body).messages.map(({ role }: { role: string }) => role), [
        "user",
        "assistant",
        "user",
      ]);
      await answered(page, 2);
      assert(await textOf(page, 1) !== "");
    });

    await t.step("an answer can be stopped, and conversations are kept apart", async () => {
      await page.keyboard.press("Alt+n");
      await ask(page, STORY);
      await page.getByRole("button", { name: "Stop" }).click();
      await page.getByText("stopped after").waitFor();
      await page.getByRole("button", { name: "Send" }).waitFor();
      await page.getByRole("button", { name: "What is 7 times 8?", exact: true }).click();
      await page.locator(".turn").nth(1).waitFor();
    });

    await t.step("a reload shows the conversation as it was", async () => {
      await page.reload();
      await page.locator(".turn").first().waitFor();
      assertEquals(await textOf(page), "7 * 8 = 56. The answer is 56.");
      await page.getByRole("slider", { name: "Step of the answer" }).first().press("Home");
      assert(await page.locator(".turn .canvas .mask").count() >= 64);
    });

    await t.step("code and link hold the request", async () => {
      await page.getByRole("button", { name: "Code and link" }).first().click();
      const code = await page.getByLabel("The request in curl").innerText();
      assertMatch(code, /curl -N http:\/\/127\.0\.0\.1:\d+\/v1\/chat\/completions/);
      assertMatch(code, /What is 7 times 8\?/);
      await page.getByRole("button", { name: "Python" }).click();
      await page.getByLabel("The request in Python").waitFor();
      assertEquals(await violations(page), []);
      await page.getByRole("button", { name: "Copy link" }).click();
      await page.getByRole("dialog").getByText("The link copied.").waitFor();
      const link: string = await page.evaluate("navigator.clipboard.readText()");
      const other = await (await browser.newContext()).newPage();
      await other.goto(link);
      const field = other.getByLabel("Your message");
      await field.waitFor();
      assertEquals(await field.inputValue(), "What is 7 times 8?");
      assertEquals(new URL(other.url()).hash, "");
      await other.context().close();
      await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
    });

    await t.step("dark, on a phone, and with an open card it is as accessible", async () => {
      await page.locator(".turn .scrubber input").first().press("End");
      await page.locator(".turn .canvas [role=button]").nth(4).click();
      await page.getByRole("button", { name: "Put a mask back here" }).waitFor();
      await page.emulateMedia({ reducedMotion: "reduce" });
      assertEquals(await violations(page), []);
      await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
      assertEquals(await violations(page), []);
      await page.setViewportSize({ width: 360, height: 780 });
      assertEquals(await violations(page), []);
      const wide: number = await page.evaluate("document.documentElement.scrollWidth");
      assert(wide <= 360, `${wide} pixels wide`);
      await page.getByRole("button", { name: "Settings" }).click();
      await page.getByLabel("Strategy").waitFor();
      assertEquals(await violations(page), []);
    });

    await t.step("a server with keys is asked with the key that is given", async () => {
      await using guarded = await serve(engine, { apiKeys: ["a key"] });
      const other = await (await browser.newContext()).newPage();
      other.setDefaultTimeout(PATIENCE);
      await other.goto(guarded.url);
      await other.getByLabel("This server asks for an API key.").fill("wrong");
      await other.keyboard.press("Enter");
      await other.getByText("The last one was refused.").waitFor();
      assertEquals(await violations(other), []);
      await other.getByLabel("This server asks for an API key.").fill("a key");
      await other.keyboard.press("Enter");
      await other.locator(".status-name").getByText("tiny-target").waitFor();
      await ask(other, "What is 7 times 8?");
      await answered(other, 1);
      await other.getByRole("button", { name: "Code and link" }).click();
      const code = await other.getByLabel("The request in curl").innerText();
      assertMatch(code, /Bearer \$UNMASK_API_KEY/);
      assert(!code.includes("a key"));
      await other.context().close();
    });

    await t.step("no request leaves the server, and nothing went wrong", () => {
      const origin = new URL(server.url).origin;
      assertEquals(
        watched.requests.filter((url) => !/^data:/.test(url) && new URL(url).origin !== origin),
        [],
      );
      assertEquals(watched.errors, []);
    });
  },
});
