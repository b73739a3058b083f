/**
 * Renders a Jinja template that nobody has read, with bounds on what it may compute. A template is a
 * program: loops and macros take time, and few steps make strings of gigabytes out of one letter.
 */
import { Environment, Interpreter, Template } from "npm:@huggingface/jinja@0.5.11";
import { withinTime } from "./time_limit.ts";

/** Nodes evaluated in one rendering; a conversation of 10,000 messages takes some 300,000. */
const MAX_STEPS = 2_000_000;
/** Characters of one string or list: twice the longest text that is encoded. */
const MAX_SIZE = 1 << 21;
/** Characters of texts and elements of lists, all that are made together; a text passes through several. */
const MAX_TOTAL = 1 << 26;
/** Milliseconds, whatever the steps are. */
const MAX_TIME = 1000;
/** Largest number that a filter or method may be told, such as how far to indent. */
const MAX_ARGUMENT = 1 << 16;

/** Filters and methods whose result may be longer than all that they are given. */
const GROWING: ReadonlySet<string> = new Set(["replace", "join", "indent", "tojson"]);

type Statement = Parameters<Interpreter["evaluate"]>[0];
type Value = ReturnType<Interpreter["evaluate"]>;
type Call = (args: Value[], scope: Environment) => Value;

/** The fields of syntax nodes that are looked at here; the library does not export their types. */
interface Node {
  readonly type: string;
  readonly object?: object;
  readonly operand?: Statement;
  readonly body?: readonly Statement[];
  readonly property?: { readonly value?: unknown };
  readonly filter?: {
    readonly args?: readonly Node[];
    readonly callee?: { readonly value: unknown };
  };
  /** Of an argument: what is evaluated. */
  readonly value?: Statement;
  readonly argument?: Statement;
}

/** A node that stands for a value that is known already. */
interface Known {
  readonly type: "Known";
  readonly known: Value;
}

/** Evaluates as the library does, counts, and looks at sizes before a step could multiply them. */
class BoundedInterpreter extends Interpreter {
  #steps = 0;
  #total = 0;
  /** Sizes of values that never change: the library has no method that appends. */
  readonly #sizes = new WeakMap<object, number>();
  readonly #counted = new WeakSet<object>();
  /** The last value of each node: what a method is applied to. */
  readonly #last = new WeakMap<object, Value>();

  override evaluate(statement: Statement, environment: Environment): Value {
    if (statement === undefined) return super.evaluate(statement, environment);
    const node = statement as unknown as Node | Known;
    if (node.type === "Known") return (node as Known).known;
    if (++this.#steps > MAX_STEPS) throw tooMuch(`takes more than ${MAX_STEPS} steps`);
    const value = super.evaluate(this.#checkedFilter(node as Node, environment), environment);
    if (this.#sizeOf(value) > MAX_SIZE) throw tooMuch(`makes more than ${MAX_SIZE} characters`);
    this.#count(value);
    this.#last.set(statement, value);
    return node.type === "MemberExpression" && value?.type === "FunctionValue"
      ? this.#checkedMethod(node as Node, value)
      : value;
  }

  /** Adds a value that was not there before to what has been made; a name for one adds nothing. */
  #count(value: Value | undefined): void {
    if (value === undefined || this.#counted.has(value)) return;
    this.#counted.add(value);
    const content: unknown = value.value;
    if (typeof content === "string" || Array.isArray(content)) this.#total += content.length;
    if (this.#total > MAX_TOTAL) throw tooMuch(`makes more than ${MAX_TOTAL} characters`);
  }

  /** A method that looks at its arguments before it does anything. */
  #checkedMethod({ object, property }: Node, method: Value): Value {
    const receiver = this.#last.get(object!);
    const call = method.value as Call;
    const checked = Object.create(method) as { value: Call };
    checked.value = (args, scope) => {
      this.#checkGrowth(property?.value, receiver, args);
      return call(args, scope);
    };
    return checked as unknown as Value;
  }

  /** A filter with arguments, once they and what it is applied to are known and small enough. */
  #checkedFilter(node: Node, environment: Environment): Statement {
    const isBlock = node.type === "FilterStatement";
    if (!node.filter?.args?.length || !(isBlock || node.type === "FilterExpression")) {
      return node as unknown as Statement;
    }
    const operand = isBlock ? { type: "Program", body: node.body } : node.operand;
    const receiver = this.evaluate(operand as Statement, environment);
    const values: Value[] = [];
    const known = (statement: Statement): Known | Statement => {
      const value = this.evaluate(statement, environment);
      values.push(value);
      // Some filters look whether an argument is written out.
      if (/^(String|Integer|Float)Literal$/.test(statement!.type)) return statement;
      return { type: "Known", known: value };
    };
    const args = node.filter.args.map((arg) => {
      if (arg.type === "KeywordArgumentExpression") return { ...arg, value: known(arg.value) };
      if (arg.argument !== undefined) return { ...arg, argument: known(arg.argument) };
      return known(arg as unknown as Statement);
    });
    this.#checkGrowth(node.filter.callee?.value, receiver, values);
    return {
      type: "FilterExpression",
      operand: { type: "Known", known: receiver } satisfies Known,
      filter: { ...node.filter, args },
    } as unknown as Statement;
  }

  /**
   * `replace` may put its second text in the place of each first one, `join` its text between all
   * elements, and `indent` so many blanks before all lines.
   */
  #checkGrowth(name: unknown, receiver: Value | undefined, args: readonly Value[]): void {
    const number = Math.max(
      0,
      ...args.map((arg) => typeof arg?.value === "number" ? arg.value : 0),
    );
    if (number > MAX_ARGUMENT) throw tooMuch(`gives a filter or method the number ${number}`);
    // Of a computed name nothing is known.
    if (typeof name === "string" && !GROWING.has(name)) return;
    const [first, second] = args.map((arg) => this.#sizeOf(arg));
    const places = second === undefined ? 1 : Math.max(1, first);
    const longest = second ?? (name === "join" ? first : 1);
    const most = this.#sizeOf(receiver) * Math.max(number, (longest ?? 1) / places);
    if (most > MAX_TOTAL) throw tooMuch(`could make ${Math.ceil(most)} characters in one step`);
  }

  /** Characters of a string; of a list or an object, those of all that it holds, and its elements. */
  #sizeOf(value: Value | undefined): number {
    const content: unknown = value?.value;
    if (typeof content === "string") return content.length;
    if (!(Array.isArray(content) || content instanceof Map)) return 1;
    const known = this.#sizes.get(value!);
    if (known !== undefined) return known;
    let size = 1;
    for (const inner of content.values() as Iterable<Value | undefined>) {
      // It may change later, or hold itself.
      if (inner?.type === "NamespaceValue") throw tooMuch("puts a namespace into another value");
      size += this.#sizeOf(inner);
    }
    if (content instanceof Map) { for (const key of content.keys()) size += String(key).length; }
    if (value!.type !== "NamespaceValue") this.#sizes.set(value!, size);
    return size;
  }
}

/** The numbers of `range`, which the library would make whatever their number is. */
function range(start: number, stop?: number, step = 1): number[] {
  const [first, end] = stop === undefined ? [0, start] : [start, stop];
  const count = Math.max(0, Math.ceil((end - first) / step));
  if (!(count <= MAX_ARGUMENT)) throw tooMuch(`makes a range of ${count}`);
  return Array.from({ length: count }, (_, i) => first + i * step);
}

/** Today's date, as the library's own function gives it; it exports none. */
function strftimeNow(format: string): string {
  return new Template("{{ strftime_now(format) }}").render({ format });
}

function tooMuch(what: string): Error {
  return new Error(`the template ${what}, which is more than a chat template may`);
}

/**
 * Renders a parsed template.
 * @param values the template's variables
 * @throws {Error} when the template raises an error, fails, or computes more than it may
 * @throws {TimeLimitError} when it takes longer than it may
 */
export function renderBounded(
  template: Template,
  values: Readonly<Record<string, unknown>>,
): string {
  const given = {
    raise_exception(message: string) {
      throw new Error(message);
    },
    range,
    strftime_now: strftimeNow,
    ...CONSTANTS,
    ...values,
  };
  return withinTime("the template", MAX_TIME, () => {
    const environment = new Environment();
    for (const [name, value] of Object.entries(given)) environment.set(name, value);
    return String(new BoundedInterpreter(environment).run(template.parsed).value);
  });
}

const CONSTANTS = { true: true, True: true, false: false, False: false, none: null, None: null };
