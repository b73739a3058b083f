/** Structured answers and tools over HTTP, with the embedded model. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import OpenAI from "openai";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { WorkerEngine } from "../../src/engine/worker_engine.ts";
import { createApp } from "../../src/server/app.ts";
import { isValid } from "../constraint/schema_cases.ts";
import { chatInit } from "./malformed.ts";

const QUESTION = [{ role: "user", content: "What is 7 times 8?" }] as const;
const ANSWER = {
  type: "object",
  properties: { answer: { type: "number" } },
  required: ["answer"],
  additionalProperties: false,
};
const ARGUMENTS = {
  type: "object",
  properties: { a: { type: "integer" }, how: { enum: ["fast", "slow"] } },
  required: ["a", "how"],
};
const TOOLS = [{
  type: "function",
  function: { name: "mul", description: "Multiplies", parameters: ARGUMENTS },
}] as const;

Deno.test("structured answers and calls over HTTP", async (t) => {
  const engine = new WorkerEngine(EMBEDDED_TARGET);
  try {
    await engine.ready;
    const app = createApp(engine);
    const ask = async (fields: Record<string, unknown>) => {
      const init = chatInit({ messages: QUESTION, strategy: "threshold", ...fields });
      const response = await app.request("/v1/chat/completions", init);
      return { status: response.status, body: await response.json() };
    };
    const content = async (fields: Record<string, unknown>) => {
      const { status, body } = await ask(fields);
      assertEquals(status, 200, JSON.stringify(body));
      assertEquals(body.choices[0].finish_reason, "stop");
      return body.choices[0].message.content as string;
    };

    await t.step("every spelling of a schema, a choice and a pattern", async () => {
      const format = {
        type: "json_schema",
        json_schema: { name: "a", strict: true, schema: ANSWER },
      };
      for (
        const fields of [
          { response_format: format },
          { response_format: { type: "json_object", schema: ANSWER } },
          { json_schema: ANSWER },
          { guided_json: JSON.stringify(ANSWER) },
          { structured_outputs: { json: ANSWER } },
        ]
      ) {
        const text = await content(fields);
        assert(isValid(ANSWER, JSON.parse(text)), `${JSON.stringify(fields)}: ${text}`);
      }
      const choice = ["red", "green"];
      for (
        const fields of [{ choice }, { guided_choice: choice }, { structured_outputs: { choice } }]
      ) {
        assert(choice.includes(await content(fields)));
      }
      const regex = "[A-F]{2}\\d+";
      for (
        const fields of [{ regex }, { guided_regex: regex }, { structured_outputs: { regex } }]
      ) assertMatch(await content({ ...fields, max_tokens: 12 }), /^[A-F]{2}\d+$/);
      const grammar = 'root ::= "(" root ")" | word\nword ::= [a-c]{2,4}';
      assertMatch(await content({ grammar, max_tokens: 12 }), /^(\({0,2})[a-c]{2,4}\){0,2}$/);
      for (
        const fields of [
          { response_format: { type: "json_object" } },
          { structured_outputs: { json_object: true } },
        ]
      ) {
        const value = JSON.parse(await content({ ...fields, max_tokens: 20 }));
        assert(typeof value === "object" && value !== null && !Array.isArray(value));
      }
    });

    await t.step("sampling fields, and log-probabilities of the tokens of the text", async () => {
      const { status, body } = await ask({
        response_format: { type: "json_object", schema: ANSWER },
        temperature: 1.2,
        seed: 4,
        top_p: 0.8,
        top_k: 20,
        min_p: 0.01,
        presence_penalty: 0.5,
        frequency_penalty: 0.5,
        repetition_penalty: 1.1,
        logit_bias: { 5: -100 },
        logprobs: true,
        top_logprobs: 2,
      });
      assertEquals(status, 200, JSON.stringify(body));
      const [{ message, logprobs }] = body.choices;
      assert(isValid(ANSWER, JSON.parse(message.content)), message.content);
      const text = logprobs.content.map(({ token }: { token: string }) => token).join("");
      assertEquals(text, message.content);
      // What the constraint forces has no alternative; what the model chose has two.
      const chosen = logprobs.content.filter((one: { logprob: number }) => one.logprob < 0);
      assert(chosen.length > 0);
      for (const { top_logprobs } of chosen) assertEquals(top_logprobs.length, 2);
    });

    await t.step("fields that a constraint leaves without meaning are named", async () => {
      const init = chatInit({
        messages: QUESTION,
        choice: ["red", "green"],
        stop: ["r", "g"],
        ignore_eos: true,
        strategy: "self",
        cache: "none",
        deadline_ms: 60_000,
      });
      const response = await app.request("/v1/chat/completions", init);
      const { choices: [{ message, finish_reason }] } = await response.json();
      assertEquals([response.status, finish_reason], [200, "stop"]);
      assert(["red", "green"].includes(message.content));
      assertEquals(response.headers.get("x-unmask-ignored"), "stop, ignore_eos, strategy");
    });

    await t.step("a schema that cannot be served is refused with keyword and pointer", async () => {
      const schema = { type: "object", properties: { a: { not: { const: 1 } } } };
      const format = { type: "json_schema", json_schema: { name: "a", schema } };
      const { status, body } = await ask({ response_format: format });
      assertEquals([status, body.error.param], [400, "response_format"]);
      assertMatch(body.error.message, /\/properties\/a\/not is a keyword that is not supported/);
      const left = await ask({ guided_grammar: 'root ::= root "a"' });
      assertEquals([left.status, left.body.error.param], [400, "guided_grammar"]);
      assertMatch(left.body.error.message, /line 1: .*root may begin with itself/);
      const tools = [{ type: "function", function: { name: "f", parameters: schema } }];
      const called = await ask({ tools, tool_choice: "required" });
      assertEquals([called.status, called.body.error.param], [400, "tools"]);
      assertMatch(called.body.error.message, /\/f\/parameters\/properties\/a\/not/);
      const short = await ask({
        response_format: { type: "json_object" },
        max_tokens: 1,
        stop: [],
      });
      assert(short.status === 200 || short.body.error.param === "max_tokens");
    });

    await t.step("a stream's pieces are the whole", async () => {
      const client = new OpenAI({
        baseURL: "http://localhost/v1",
        apiKey: "none",
        fetch: (url, init) => Promise.resolve(app.request(String(url), init as RequestInit)),
      });
      const messages = [...QUESTION];
      const streamed = client.chat.completions.stream({
        model: "any",
        messages,
        tools: [...TOOLS] as unknown as OpenAI.ChatCompletionTool[],
        tool_choice: { type: "function", function: { name: "mul" } },
        max_tokens: 80,
      });
      const [choice] = (await streamed.finalChatCompletion()).choices;
      assertEquals(choice.finish_reason, "tool_calls");
      const [call] = choice.message.tool_calls!;
      assert(call.type === "function" && call.function.name === "mul");
      assert(isValid(ARGUMENTS, JSON.parse(call.function.arguments)), call.function.arguments);
      const whole = await ask({
        tools: TOOLS,
        tool_choice: "required",
        strategy: undefined,
        max_tokens: 80,
      });
      const { message, finish_reason } = whole.body.choices[0];
      assertEquals([message.content, finish_reason], [null, "tool_calls"]);
      assertMatch(message.tool_calls[0].id, /^call_[0-9a-f]{24}$/);
      assertEquals(message.tool_calls[0].type, "function");
      assert(isValid(ARGUMENTS, JSON.parse(message.tool_calls[0].function.arguments)));
    });

    await t.step("a JSON object is of the schema that the messages hold", async () => {
      const system = (schema: unknown) => ({
        role: "system",
        content: `You return JSON of this schema: ${JSON.stringify(schema)}`,
      });
      const fields = { response_format: { type: "json_object" }, max_tokens: 40 };
      const text = await content({ ...fields, messages: [system(ANSWER), ...QUESTION] });
      assert(isValid(ANSWER, JSON.parse(text)), text);
      // A keyword that is not served: any object.
      const dependent = { ...ANSWER, dependentRequired: { answer: ["other"] } };
      const other = await content({ ...fields, messages: [system(dependent), ...QUESTION] });
      assertEquals(typeof JSON.parse(other), "object");
    });

    await t.step(
      "tools that may be called; a conversation with a call and its result",
      async () => {
        // This model knows no tools: it answers as without them.
        const plain = await ask({ strategy: "plain" });
        for (const tool_choice of ["auto", "none", undefined]) {
          const { status, body } = await ask({ strategy: "plain", tools: TOOLS, tool_choice });
          assertEquals(status, 200);
          assertEquals(body.choices[0].message, plain.body.choices[0].message);
        }
        assertEquals((await ask({ tool_choice: "auto" })).status, 200);
        const call = {
          id: "a",
          type: "function",
          function: { name: "mul", arguments: '{"a": 7}' },
        };
        const history = [
          ...QUESTION,
          { role: "assistant", content: null, tool_calls: [call] },
          { role: "tool", tool_call_id: "a", content: "56" },
        ];
        assertEquals((await ask({ messages: history })).status, 200);
        const both = await ask({
          tools: TOOLS,
          max_tokens: 80,
          response_format: { type: "json_object", schema: ANSWER },
        });
        const { message } = both.body.choices[0];
        const given = message.tool_calls?.[0].function.arguments;
        const valid = given
          ? isValid(ARGUMENTS, JSON.parse(given))
          : isValid(ANSWER, JSON.parse(message.content));
        assert(valid, JSON.stringify(message));
      },
    );
  } finally {
    await engine.close();
  }
});
