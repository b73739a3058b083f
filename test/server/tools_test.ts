/** Calls as text, and text as calls. */
import { assertEquals } from "@std/assert";
import {
  asksForFunctions,
  callOf,
  CallText,
  type MessageDelta,
  olderDelta,
  toolTurns,
  withTools,
} from "../../src/server/tools.ts";

const CALL = '{"name": "a\\"b", "arguments": {"x": {"y": "}"}}}';

function deltas(pieces: readonly string[]): MessageDelta[] {
  const call = new CallText();
  return [...pieces.flatMap((piece) => call.add(piece)), ...call.end()];
}

Deno.test("however a call's text is cut, name and arguments come whole, the name first", () => {
  for (let size = 1; size <= CALL.length; size++) {
    const pieces = CALL.match(new RegExp(`.{1,${size}}`, "g"))!;
    const [head, ...rest] = deltas(pieces);
    const [first] = head.tool_calls!;
    assertEquals("id" in first && [first.type, first.function], [
      "function",
      { name: 'a"b', arguments: "" },
    ]);
    const given = rest.map(({ tool_calls }) => tool_calls![0].function.arguments).join("");
    assertEquals(given, '{"x": {"y": "}"}}');
  }
  assertEquals(callOf(CALL)?.function, { name: 'a"b', arguments: '{"x": {"y": "}"}}' });
});

Deno.test("text that is no call comes as text, at once where it shows", () => {
  assertEquals(deltas(['{"na', 'tion": 1}']), [{ content: '{"nation": 1}' }]);
  assertEquals(deltas(["He", "llo"]), [{ content: "He" }, { content: "llo" }]);
  assertEquals(deltas(['{"name": ']), [{ content: '{"name": ' }]);
  assertEquals(callOf('{"name": 3}'), undefined);
});

Deno.test("calls and results in a conversation are told as text", () => {
  const call = { id: "1", function: { name: "f", arguments: '{"a":1}' } };
  assertEquals(
    toolTurns([
      { role: "assistant", content: "Well.", tool_calls: [call] },
      { role: "tool", content: "2", tool_call_id: "1" },
      { role: "tool", content: "3" },
    ]),
    [
      { role: "assistant", content: 'Well.\n{"name": "f", "arguments": {"a":1}}' },
      { role: "user", content: "Result of f: 2" },
      { role: "user", content: "Result of the call: 3" },
    ],
  );
});

Deno.test("the older spelling of tools, calls and results", () => {
  const older = { functions: [{ name: "f" }, { name: "g" }], function_call: { name: "g" } };
  const asked = withTools(older, undefined);
  assertEquals(asked?.constraint.kind === "call" && asked.constraint.functions.length, 1);
  assertEquals(withTools({ ...older, function_call: "none" }, undefined), undefined);
  assertEquals(asksForFunctions(older), true);
  assertEquals(asksForFunctions({ ...older, tools: [] }), true);
  assertEquals(asksForFunctions({}), false);
  assertEquals(
    toolTurns([
      { role: "assistant", content: "", function_call: { name: "f", arguments: "{}" } },
      { role: "function", content: "2" },
    ]),
    [
      { role: "assistant", content: '{"name": "f", "arguments": {}}' },
      { role: "user", content: "Result of f: 2" },
    ],
  );
  assertEquals(deltas([CALL]).map(olderDelta), [
    { function_call: { name: 'a"b', arguments: "" } },
    { function_call: { arguments: '{"x": {"y": "}"}}' } },
  ]);
});

Deno.test("tool_choice decides whether an answer is a call", () => {
  const tools = ["f", "g"].map((name) => ({ type: "function", function: { name } } as const));
  const json = { field: "response_format", constraint: { kind: "json_object" } } as const;
  assertEquals(withTools({ tools, tool_choice: "none" }, json), json);
  assertEquals(withTools({ tool_choice: "auto" }, undefined), undefined);
  const names = (constraint: ReturnType<typeof withTools>) =>
    constraint?.constraint.kind === "call" &&
    [constraint.constraint.required, ...constraint.constraint.functions.map(({ name }) => name)];
  assertEquals(names(withTools({ tools }, undefined)), [false, "f", "g"]);
  assertEquals(names(withTools({ tools, tool_choice: "required" }, json)), [true, "f", "g"]);
  const named = { type: "function", function: { name: "g" } } as const;
  assertEquals(names(withTools({ tools, tool_choice: named }, json)), [true, "g"]);
});
