/** The chat: turns, each answer with its canvas, and the field for the next question. */
import { html, nothing, render } from "lit-html";
import { ask, tracedRequest } from "./ask.ts";
import type { PageContext, View } from "./context.ts";
import { Replay } from "./replay.ts";
import { fieldsOf } from "./settings.ts";

/** Builds the chat. */
export function mountChat(host: HTMLElement, context: PageContext): View {
  const turns: { question: string; replay: Replay }[] = [];
  let running: AbortController | undefined;
  let problem = "";
  const send = async (question: string) => {
    const replay = new Replay({ of: "the answer", legend: true });
    const messages = turns.flatMap(({ question, replay: { trace } }) => [
      { role: "user", content: question },
      { role: "assistant", content: trace.text },
    ]);
    turns.push({ question, replay });
    messages.push({ role: "user", content: question });
    running = new AbortController();
    problem = "";
    draw();
    try {
      const request = tracedRequest({ messages, ...fieldsOf(context.settings.value) });
      const trace = await ask(context.api, request, (now) => {
        replay.update(now, now.finish === undefined);
      }, running.signal);
      context.announce(`The answer: ${trace.text}`);
      context.answered();
    } catch (error) {
      problem = (error as Error).message;
    }
    running = undefined;
    draw();
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const field = (event.currentTarget as HTMLFormElement).elements.namedItem("question");
    const { value } = field as HTMLTextAreaElement;
    if (value.trim() !== "" && !running) send(value);
  };
  const draw = () =>
    render(
      html`<div class="turns">${
        turns.map(({ question, replay }) =>
          html`<p class="question">${question}</p>${replay.element}`
        )
      }</div>
      ${problem ? html`<p class="problem" role="alert">${problem}</p>` : nothing}
      <form class="composer" @submit=${submit}>
        <textarea class="field" name="question" rows="1" aria-label="Your message"
          placeholder="What is 7 times 8?"></textarea>
        ${
        running
          ? html`<button type="button" class="button" @click=${() =>
            running?.abort()}>Stop</button>`
          : html`<button type="submit" class="button primary">Send</button>`
      }
      </form>`,
      host,
    );
  draw();
  return {};
}
