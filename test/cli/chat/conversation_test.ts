import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Conversation } from "../../../src/cli/chat/conversation.ts";
import type { GenerationFlags } from "../../../src/cli/options.ts";

const started = (flags: Partial<GenerationFlags> = {}) => {
  const conversation = new Conversation({ model: "m", gpu: "native", ...flags });
  const ask = (line: string, answer: string) => {
    const { asks } = conversation.react(line);
    const messages = conversation.asking(asks!).map(({ content }) => content);
    conversation.keep(asks!, answer);
    return messages;
  };
  return { conversation, ask };
};

Deno.test("a line that is no command is asked, and follows what was said", () => {
  const { ask } = started();
  assertEquals(ask("one", "1"), ["one"]);
  assertEquals(ask("//help", "2"), ["one", "1", "/help"]);
  assertEquals(ask("/etc/passwd is what?", "3").at(-1), "/etc/passwd is what?");
});

Deno.test("/new, /undo and /retry change what the next question follows", () => {
  const { conversation, ask } = started();
  assertThrows(() => conversation.react("/undo"), Error, "nothing was asked yet");
  assertThrows(() => conversation.react("/retry"), Error, "nothing was asked yet");
  ask("one", "1");
  ask("two", "2");
  const { asks } = conversation.react("/retry");
  assertEquals(conversation.asking(asks!).map(({ content }) => content), ["one", "1", "two"]);
  // An answer that is stopped leaves the old one.
  assertEquals(ask("three", "3"), ["one", "1", "two", "2", "three"]);
  assertMatch(conversation.react("/undo").says!, /2 answers are left/);
  conversation.react("/undo");
  assertEquals(ask("four", "4"), ["one", "1", "four"]);
  conversation.react("/retry");
  conversation.keep("four", "IV");
  assertEquals(ask("five", "5"), ["one", "1", "four", "IV", "five"]);
  for (const word of ["/new", "/reset"]) {
    conversation.react(word);
    assertEquals(ask("again", "x"), ["again"]);
  }
});

Deno.test("/set takes what the command line takes, lists it, and takes it back", () => {
  const { conversation } = started({ temperature: 0.5 });
  conversation.react("/set strategy lossless");
  conversation.react("/set --max-tokens 64");
  conversation.react("/set temperature 0");
  const { strategy, maxTokens, temperature, model } = conversation.flags;
  assertEquals([strategy, maxTokens, temperature, model], ["lossless", 64, 0, "m"]);
  assertMatch(conversation.react("/set").says!, /strategy lossless[^]*max-tokens 64/);
  conversation.react("/set temperature");
  assertEquals(conversation.flags.temperature, 0.5);
  assertThrows(() => conversation.react("/set strategy best"), Error, "plain");
  assertThrows(() => conversation.react("/set seed -1"), Error, "expected a whole number");
  // What is loaded cannot be changed any more.
  assertThrows(() => conversation.react("/set weights q4"), Error, "expected");
  conversation.react("/system Be terse.");
  assertEquals(conversation.flags.system, "Be terse.");
  conversation.react("/system");
  assertEquals(conversation.flags.system, undefined);
});

Deno.test("/save writes messages or text, and replaces nothing", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const { conversation, ask } = started({ system: "Be terse." });
    ask("one", "1");
    conversation.react(`/save ${dir}/chat.json`);
    assertEquals(JSON.parse(await Deno.readTextFile(`${dir}/chat.json`)), [
      { role: "system", content: "Be terse." },
      { role: "user", content: "one" },
      { role: "assistant", content: "1" },
    ]);
    conversation.react(`/save ${dir}/chat.md`);
    assertEquals(
      await Deno.readTextFile(`${dir}/chat.md`),
      "## system\n\nBe terse.\n\n## user\n\none\n\n## assistant\n\n1\n",
    );
    assertThrows(() => conversation.react(`/save ${dir}/chat.md`), Error, "there is such a file");
    assertThrows(() => conversation.react("/save"), Error, "name of a file");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("/help lists every command, and an unknown one is refused", () => {
  const { conversation } = started();
  const { says } = conversation.react("/help");
  for (const [, name] of says!.matchAll(/^ {2}\/([a-z]+)/gm)) {
    if (["save", "retry", "undo"].includes(name)) continue;
    conversation.react(`/${name}`);
  }
  assertThrows(() => conversation.react("/nope"), Error, "/help");
  assertEquals(conversation.react("/exit"), { leaves: true });
});
