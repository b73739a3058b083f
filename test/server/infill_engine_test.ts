/** The text of a gap, as far as it may be shown, from an engine whose steps are written down here. */
import { assertEquals } from "@std/assert";
import type { AnswerToken, GenerateEvent } from "../../src/engine/request.ts";
import { infillEngine } from "../../src/server/translated/infill_engine.ts";
import { FakeEngine } from "./fake_engine.ts";

const GAP = ["Grüße", " an", " Anna", "🐱"];
const bytes = (text: string) => [...new TextEncoder().encode(text)];

/** Steps that commit the gap's tokens in this order, one a step; the suffix follows. */
async function gapEvents(
  order: readonly number[],
  stop: readonly string[] = [],
  keepStop?: boolean,
): Promise<GenerateEvent[]> {
  const engine = new FakeEngine();
  const tokenOf = (position: number): AnswerToken => ({
    token: position,
    text: GAP[position],
    bytes: bytes(GAP[position]),
    logProbability: -1,
    position,
    step: order.indexOf(position),
    likeliest: [],
  });
  engine.generate = async function* (request) {
    assertEquals([request.template, request.stop], [[{ mostTokens: 64 }, " und"], undefined]);
    yield { type: "start", given: [{ position: 4, token: 9 }, { position: 5, token: 0 }] } as never;
    const placed = new Set<number>();
    let prefixLength = 0;
    for (const [step, position] of order.entries()) {
      placed.add(position);
      let delta = "";
      const tokens: AnswerToken[] = [];
      while (placed.has(prefixLength)) {
        delta += GAP[prefixLength];
        tokens.push(tokenOf(prefixLength++));
      }
      // The suffix and the end are there already.
      if (prefixLength === 4) [delta, prefixLength] = [`${delta} und`, 6];
      yield { type: "step", step, commits: [], delta, tokens, prefixLength } as never;
    }
    yield {
      type: "end",
      text: `${GAP.join("")} und`,
      tokens: GAP.map((_, i) => tokenOf(i)),
      filled: { text: "", holes: [{ start: 0, text: GAP.join(""), tokens: GAP }] },
      usage: { promptTokens: 1, completionTokens: 6 },
    } as never;
  };
  return await Array.fromAsync(infillEngine(engine, " und").generate({ stop, keepStop }));
}

/** The pieces of the steps, each with its tokens' texts; and the whole text, with its. */
function shown(events: readonly GenerateEvent[]) {
  const texts = (tokens: readonly AnswerToken[] = []) => tokens.map(({ text }) => text).join("|");
  const steps = events.filter((event) => event.type === "step");
  const end = events.find((event) => event.type === "end")!;
  return {
    steps: steps.map(({ delta, tokens }) => [delta, texts(tokens)]),
    lengths: steps.map(({ prefixLength }) => prefixLength),
    end: [end.text, texts(end.tokens), end.stopText],
  };
}

Deno.test("a gap is shown as far as it is decided, and never what stands behind it", async () => {
  const whole = ["Grüße an Anna🐱", "Grüße| an| Anna|🐱", undefined];
  assertEquals(shown(await gapEvents([0, 2, 1, 3])), {
    steps: [["Grüße", "Grüße"], ["", ""], [" an Anna", " an| Anna"], ["", ""]],
    lengths: [1, 1, 3, 4],
    end: whole,
  });
  assertEquals(shown(await gapEvents([3, 2, 1, 0])).steps, Array(4).fill(["", ""]));
});

Deno.test("what may begin a stop string waits, and a stop string ends a gap", async () => {
  assertEquals(shown(await gapEvents([0, 1, 2, 3], ["Anna!", ""])), {
    steps: [["G", ""], ["rüß", ""], ["e an ", "Grüße| an"], ["", ""]],
    lengths: [1, 2, 3, 4],
    end: ["Grüße an Anna🐱", "Grüße| an| Anna|🐱", undefined],
  });
  const cut = shown(await gapEvents([0, 1, 2, 3], ["nn", "an A"]));
  assertEquals(cut.steps.map(([text]) => text).join(""), "Grüße ");
  assertEquals(cut.end, ["Grüße ", "Grüße| an", "an A"]);
  const kept = shown(await gapEvents([0, 1, 2, 3], ["nn", "an A"], true));
  assertEquals(kept.steps.map(([text]) => text).join(""), "Grüße an A");
  assertEquals(kept.end, ["Grüße an A", "Grüße| an| Anna", "an A"]);
});
