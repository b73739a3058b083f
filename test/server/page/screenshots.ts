/**
 * Draws the README's pictures of the page, light and dark, from a real run:
 *
 *   deno run -A --lock=.lock/test.lock test/server/page/screenshots.ts .github
 */
import { join } from "node:path";
import { WorkerEngine } from "../../../mod.ts";
import { serve, startBrowser } from "./browser.ts";

const STORY = "Tell a story about an old frog named Lily, a boat and a hill.";
/** Steps after which some words of the story are there and some are not. */
const STEPS = 25;

const [folder = "."] = Deno.args;
const engine = new WorkerEngine();
await engine.ready;
{
  await using browser = await startBrowser();
  await using server = await serve(engine);
  for (const [scheme, name] of [["light", "page.png"], ["dark", "page-dark.png"]] as const) {
    const context = await browser.newContext({
      viewport: { width: 1120, height: 580 },
      deviceScaleFactor: 1.5,
      colorScheme: scheme,
    });
    const page = await context.newPage();
    await page.goto(server.url);
    // In longer blocks words appear in a freer order.
    const length = page.getByRole("slider", { name: /^Block length/ });
    for (let power = 0; power < 3; power++) await length.press("ArrowRight");
    await page.getByLabel("Your message").fill(STORY);
    await page.keyboard.press("Enter");
    await page.locator(".turn-end").getByText("tokens/s").waitFor();
    await page.locator(".pause-sign").waitFor({ state: "detached" });
    const slider = page.getByRole("slider", { name: "Step of the answer" });
    await slider.press("Home");
    for (let step = 0; step < STEPS; step++) await slider.press("ArrowRight");
    // The newest word is lit up for a moment.
    await page.waitForTimeout(700);
    await page.locator(".turns").click({ position: { x: 5, y: 5 } });
    await page.screenshot({ path: join(folder, name) });
    await context.close();
  }
}
await engine.close();
Deno.exit(0);
