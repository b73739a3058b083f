/** Conversations in a browser's storage, which has little room. */
import { assert, assertEquals } from "@std/assert";
import { Conversations, newConversation } from "../../../src/server/page/conversations.ts";
import { EMPTY_TRACE, type Trace } from "../../../src/server/page/trace.ts";

/** A storage for so many characters. */
function storage(room = Infinity): Storage {
  const kept = new Map<string, string>();
  return {
    get length() {
      return kept.size;
    },
    key: (index) => [...kept.keys()][index] ?? null,
    clear: () => kept.clear(),
    getItem: (key) => kept.get(key) ?? null,
    removeItem: (key) => void kept.delete(key),
    setItem(key, value) {
      const others = [...kept].filter(([other]) => other !== key);
      const used = others.reduce((sum, [, text]) => sum + text.length, value.length);
      if (used > room) throw new DOMException("no room", "QuotaExceededError");
      kept.set(key, value);
    },
  };
}

const trace: Trace = { ...EMPTY_TRACE, text: "x".repeat(1000), finish: "stop" };
const turn = (question: string) => ({ question, answer: "an answer", trace });

Deno.test("conversations are listed, opened, renamed and deleted", () => {
  const conversations = new Conversations(storage());
  const first = conversations.keep({ ...newConversation(), turns: [turn(" What is it? ")] });
  assertEquals(first.title, "What is it?");
  const second = conversations.keep({ ...newConversation(), turns: [turn("And this?")] });
  assertEquals(conversations.list().map(({ id }) => id).sort(), [first.id, second.id].sort());
  assertEquals(conversations.open(first.id)?.turns, [turn(" What is it? ")]);
  conversations.rename(first.id, " Other ");
  conversations.rename(first.id, " ");
  assertEquals(conversations.open(first.id)?.title, "Other");
  conversations.delete(first.id);
  assertEquals(conversations.open(first.id), undefined);
  assertEquals(conversations.list().map(({ id }) => id), [second.id]);
});

Deno.test("where there is no room, the oldest conversations keep their texts alone", () => {
  const conversations = new Conversations(storage(5000));
  const ids = Array.from({ length: 6 }, (_, index) => {
    const changed = newConversation();
    return conversations.keep({ ...changed, turns: [turn(`question ${index}`)] }).id;
  });
  assertEquals(conversations.list().length, 6);
  const turns = ids.map((id) => conversations.open(id)!.turns[0]);
  assert(
    turns.every(({ question, answer }, index) =>
      question === `question ${index}` && answer === "an answer"
    ),
  );
  assert(turns.some(({ trace }) => trace === undefined), "some lost their records");
  assert(turns.at(-1)!.trace !== undefined, "the newest has its record");
});

Deno.test("what another program has left in the storage is no conversation", () => {
  const full = storage();
  full.setItem("unmask.conversations", "{");
  const conversations = new Conversations(full);
  assertEquals(conversations.list(), []);
  assertEquals(conversations.open("none"), undefined);
});
