/** Each closed set of names is spelt in one place, and the shaders number names as their wrappers do. */

import { assertEquals } from "@std/assert";
import { CACHE_POLICIES } from "../src/denoise/cache_plan.ts";
import { CONFIDENCE_MEASURES } from "../src/denoise/confidence.ts";
import { REMASKINGS } from "../src/denoise/selection.ts";
import { QUALITIES, STRATEGY_NAMES } from "../src/denoise/strategy.ts";
import { RANKINGS, RULES } from "../src/kernels/place.ts";
import { MEASURES } from "../src/kernels/step_plan.ts";
import { WEIGHT_CHOICES } from "../src/model/memory/plan_request.ts";
import { QUANTISED } from "../src/quant/scheme.ts";

const root = new URL("../", import.meta.url);

/** The sets, and the file that spells each. */
const PLACES: readonly (readonly [place: string, names: readonly string[]])[] = [
  ["src/denoise/selection.ts", REMASKINGS],
  ["src/denoise/strategy.ts", STRATEGY_NAMES],
  ["src/denoise/strategy_options.ts", QUALITIES],
  ["src/denoise/cache_plan.ts", CACHE_POLICIES],
  ["src/denoise/confidence.ts", CONFIDENCE_MEASURES],
  ["src/quant/scheme.ts", QUANTISED],
  ["src/model/memory/plan_request.ts", WEIGHT_CHOICES.filter((name) => !isQuantised(name))],
];

function isQuantised(name: string): boolean {
  return QUANTISED.some((quantised) => quantised === name);
}

/** Names that also mean something else as strings, so that finding one says nothing. */
const EVERYDAY: readonly string[] = [
  "auto", // a provider, and a pipeline's layout
  "exact", // how an answer is checked
  "factor", // an option, and a rule's kind
  "none", // said where there is nothing
  "threshold", // an option, and a rule's kind
];

/** Files that spell names of another's all the same; each is typed, so that a wrong one does not compile. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  // It chooses among these, and strategy.ts must hand over what is called so.
  "src/denoise/auto/controller.ts": ["lossless", "plain", "self"],
  "src/denoise/auto/auto.ts": ["plain"],
  // What is compared side by side, and what it is held against.
  "src/bench/strategies.ts": [
    "commit_verify",
    "dual",
    "fast",
    "gate",
    "lossless",
    "plain",
    "prefix",
    "self",
  ],
  // The cache whose block step is timed.
  "src/bench/acceptance.ts": ["dual"],
  "src/bench/expected_speed.ts": ["dual"],
  // What the pair is timed in unless asked otherwise.
  "src/cli/bench.ts": ["q4"],
  // What a constraint takes over of how an answer is denoised.
  "src/server/constraint_schema.ts": ["low_confidence", "plain", "probability"],
  // The name of an option of agreement.
  "src/cli/eval_agreement.ts": ["random"],
  // States of an answer in training: masked at random, all of it, or all behind a prefix.
  "src/compress/data/masking.ts": ["plain", "prefix", "random"],
  // A projection of the feed-forward layer.
  "src/compress/pass/layer_forward.ts": ["gate"],
  // The name of an option of parity.
  "src/cli/help.ts": ["plain"],
  // What the page sends; a browser has no types of src/denoise.
  "src/server/page/constraint_view.ts": ["plain"],
  "src/server/page/race_lane.ts": ["dual", "fast", "prefix"],
  "src/server/page/race_view.ts": ["plain"],
  "src/server/page/settings.ts": ["fast"],
  "src/server/page/settings_panel.ts": ["fast"],
  // A word of content security policies.
  "src/server/page_route.ts": ["self"],
  // Kernels know nothing of src/denoise: its plan without a measure.
  "src/kernels/step_plan.ts": ["probability"],
  // src/model sees only types of src/denoise, and a step of its dry run needs some ranking.
  "src/model/memory/dry_run.ts": ["low_confidence"],
};

function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(`${folder}/`, root))].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(`${folder}/${name}`) : [`${folder}/${name}`]
  ).sort();
}

const textOf = (path: string) => Deno.readTextFileSync(new URL(path, root));

/** Without comments that stand on lines of their own or end one. */
function withoutComments(text: string): string {
  return text.replace(/^\s*(\/\/|\/?\*).*$/gm, "").replace(/\s\/\/ .*$/gm, "");
}

/** Which of the names stand in a text as whole strings. */
function spelt(text: string, names: readonly string[]): string[] {
  const code = withoutComments(text);
  return names.filter((name) => new RegExp(`(["'\`])${name}\\1`).test(code)).sort();
}

Deno.test("strings are found in code, not in comments or inside longer ones", () => {
  const text = 'const a: "gate" | \'self\' = "gate"; // "plain"\n/** "dual" */\n * "fast"\n' +
    'x({ of: "the gate, prefix" }); // or "prefix"\nconst url = `lossless`, at = "http://q4";';
  const names = ["gate", "self", "plain", "dual", "fast", "prefix", "lossless", "q4"];
  assertEquals(spelt(text, names), ["gate", "lossless", "self"]);
});

Deno.test("a name is spelt in its set's file alone, but for files that choose by name", () => {
  const found: Record<string, string[]> = {};
  for (const path of [...filesIn("src").filter((path) => path.endsWith(".ts")), "mod.ts"]) {
    const foreign = PLACES.filter(([place]) => place !== path).flatMap(([, names]) => names)
      .filter((name) => !EVERYDAY.includes(name));
    const names = spelt(textOf(path), foreign);
    if (names.length > 0) found[path] = names;
  }
  assertEquals(found, EXCEPTIONS);
});

/** `const NAME = 1u;` of a shader, by name. */
function numbersOf(path: string): Map<string, number> {
  const constants = withoutComments(textOf(path)).matchAll(/^const (\w+)(?:: u32)? = (\d+)u;/gm);
  return new Map([...constants].map(([, name, value]) => [name, Number(value)]));
}

Deno.test("the shaders number rankings, rules and measures as their wrappers do", () => {
  const tables = [
    ["shaders/lib/place.wgsl", RANKINGS],
    ["shaders/lib/place.wgsl", RULES],
    ["shaders/lib/step_plan.wgsl", MEASURES],
  ] as const;
  for (const [path, table] of tables) {
    const numbers = numbersOf(path);
    for (const [name, number] of Object.entries(table)) {
      assertEquals(numbers.get(name.toUpperCase()), number, `${path}: ${name.toUpperCase()}`);
    }
    assertEquals(new Set(Object.values(table)).size, Object.keys(table).length, path);
  }
});
