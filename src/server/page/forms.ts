/** What an answer may be asked to be: as it is written in a field, and as a request has it. */

/** A way to say it, with examples. */
export interface Form {
  readonly label: string;
  /** What is written in the field. */
  readonly what: string;
  readonly examples: Readonly<Record<string, { readonly form: string; readonly question: string }>>;
  /**
   * A request's fields.
   * @throws {Error} with a sentence, if what is written says nothing
   */
  readonly fields: (written: string) => Readonly<Record<string, unknown>>;
  /** What the server promises of the answer. */
  readonly promise: string;
}

const schema = (value: unknown) => JSON.stringify(value, null, 2);
const text = { type: "string", pattern: "^[0-9] [*+] [0-9]$" };
const number = { type: "integer", minimum: 0, maximum: 99 };

/** The ways, by name. */
export const FORMS: Readonly<Record<string, Form>> = {
  schema: {
    label: "JSON schema",
    what: "A JSON schema",
    promise: "valid under the schema",
    examples: {
      "Menu choice": {
        question: "I am very hungry and eat no meat.",
        form: schema({
          type: "object",
          properties: {
            dish: { enum: ["soup", "pasta", "steak", "salad"] },
            size: { enum: ["small", "large"] },
            drink: { type: "boolean" },
          },
          required: ["dish", "size", "drink"],
        }),
      },
      Person: {
        question: "Describe an old frog named Lily.",
        form: schema({
          type: "object",
          properties: {
            name: { type: "string", pattern: "^[A-Z][a-z]{2,7}$" },
            age: { type: "integer", minimum: 0, maximum: 120 },
            likes: { enum: ["boats", "hills", "rain"] },
          },
          required: ["name", "age", "likes"],
        }),
      },
      "Nested list": {
        question: "What is 7 times 8?",
        form: schema({
          type: "object",
          properties: {
            product: number,
            steps: {
              type: "array",
              minItems: 2,
              maxItems: 2,
              items: {
                type: "object",
                properties: { sum: text, value: number },
                required: ["sum", "value"],
              },
            },
          },
          required: ["product", "steps"],
        }),
      },
    },
    fields: (written) => {
      let read: unknown;
      try {
        read = JSON.parse(written);
      } catch (error) {
        throw new Error(`The schema is no JSON: ${(error as Error).message}.`);
      }
      return {
        response_format: { type: "json_schema", json_schema: { name: "answer", schema: read } },
      };
    },
  },
  regex: {
    label: "Pattern",
    what: "A regular expression that the whole answer matches",
    promise: "a match of the pattern",
    examples: {
      Product: { question: "What is 7 times 8?", form: "7 \\* 8 = [0-9]{2}\\." },
      Date: { question: "When is the boat ready?", form: "20[0-9]{2}-(0[1-9]|1[0-2])-[0-3][0-9]" },
    },
    fields: (written) => ({ regex: filled(written, "a pattern") }),
  },
  choice: {
    label: "Choices",
    what: "The answers that there are, one a line",
    promise: "one of the choices",
    examples: {
      "Yes or no": {
        question: "Is 7 times 8 more than 50?",
        form: "Yes.\nNo.\nThat is not known.",
      },
      Numbers: { question: "What is 7 times 8?", form: "54\n56\n63" },
    },
    fields: (written) => ({
      choice: filled(written, "a choice").split("\n").filter((line) => line !== ""),
    }),
  },
  grammar: {
    label: "Grammar",
    what: "A grammar in GBNF: the answer is a text of its rule root",
    promise: "a text of the grammar",
    examples: {
      Sum: {
        question: "What is 7 times 8?",
        form: 'root ::= number " * " number " = " number "."\nnumber ::= [1-9] [0-9]?',
      },
      List: {
        question: "What does a frog like?",
        form: 'root ::= item item item\nitem ::= "- " word "\\n"\nword ::= [a-z]{3,8}',
      },
    },
    fields: (written) => ({ grammar: filled(written, "a grammar") }),
  },
};

function filled(written: string, what: string): string {
  if (written.trim() === "") throw new Error(`Write ${what} first.`);
  return written;
}
