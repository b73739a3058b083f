/** An engine whose devices are lost: while it answers, while it loads, again and again. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { RecoveringEngine, type RecoveryOptions } from "../../src/engine/recovering_engine.ts";
import { type GenerateRequest, UnavailableError } from "../../src/engine/request.ts";
import { knownAnswer } from "../cli/command.ts";

const known = knownAnswer("2026-006");
const ask = (content = known.prompt): GenerateRequest => ({
  messages: [{ role: "user", content }],
});
/** Decided in no order, in one block: it cannot end early. */
const long = { ...ask("Hello!"), maxTokens: 256, blockLength: 256, remasking: "random" as const };

async function textOf(engine: RecoveringEngine, request = ask()): Promise<string | undefined> {
  for await (const event of engine.generate(request)) if (event.type === "end") return event.text;
}

/** An engine, the states that it went through, and every device that was made for it. */
class Watched implements AsyncDisposable {
  readonly states: string[] = [];
  readonly devices: GPUDevice[] = [];
  #gone = 0;
  readonly engine: RecoveringEngine;
  readonly #requestDevice = GPUAdapter.prototype.requestDevice;

  constructor(options: RecoveryOptions = {}) {
    const { devices } = this;
    const request = this.#requestDevice;
    const goes = () => void this.#gone++;
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      const device = await request.call(this, descriptor);
      devices.push(device);
      device.lost.then(goes);
      return device;
    };
    this.engine = new RecoveringEngine(EMBEDDED_TARGET, {
      pauses: [0, 5, 5],
      ...options,
      onState: () => {
        const { state, failure } = this.engine;
        this.states.push(failure === undefined ? state : `${state}: ${failure}`);
      },
    });
  }

  /** How many devices were not given back, once no more than so many are left or long after. */
  async kept(expected: number): Promise<number> {
    const kept = () => this.devices.length - this.#gone;
    for (let i = 0; kept() > expected && i < 20_000; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return kept();
  }

  /** The device in use is lost. */
  lose(): void {
    this.devices.at(-1)!.destroy();
  }

  /** The device in use is lost, and the engine knows. */
  async loses(): Promise<void> {
    const { length } = this.states;
    this.lose();
    while (this.states.length === length) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    GPUAdapter.prototype.requestDevice = this.#requestDevice;
    await this.engine.close();
  }
}

Deno.test("a device lost in an answer: that one and those that wait end, the next has the same text", async () => {
  await using watched = new Watched();
  const { engine, states } = watched;
  assertEquals(await textOf(engine), known.answer);
  const { totals } = engine;
  let waiting: Promise<Error> | undefined;
  const error = await assertRejects(async () => {
    for await (const event of engine.generate(long)) {
      if (event.type !== "step") continue;
      waiting ??= assertRejects(() => textOf(engine), UnavailableError);
      watched.lose();
    }
  }, UnavailableError);
  assertEquals(error.code, "device_lost");
  assertMatch(error.reason, /lost \(destroyed\)/);
  assertEquals(engine.state, "loading");
  assertEquals((await waiting)?.message, error.message);
  assertMatch(engine.failure!, /model is loaded again: .*lost \(destroyed\)/);
  // It waits until the model is there.
  assertEquals(await textOf(engine), known.answer);
  assertEquals(states.map((state) => state.split(":")[0]), ["ready", "loading", "ready"]);
  assertEquals(engine.totals.answers, totals.answers + 1, "what the first device did is kept");
  assertEquals(await watched.kept(1), 1);
});

Deno.test("an answer that a lost device never lets go of ends all the same", async () => {
  await using watched = new Watched();
  const { engine } = watched;
  await engine.ready;
  const never = new Promise<ArrayBuffer>(() => {});
  engine.engine!.model.readback.read = () => {
    watched.lose();
    return never;
  };
  const error = await assertRejects(() => textOf(engine), UnavailableError);
  assertEquals(error.code, "device_lost");
  assertEquals(await textOf(engine), known.answer);
});

Deno.test("a device that reports an error is replaced too", async () => {
  await using watched = new Watched();
  const { engine } = watched;
  await engine.ready;
  const { device } = engine.engine!.model.gpu;
  // A buffer of a size that there cannot be.
  device.createBuffer({ size: device.limits.maxBufferSize + 4, usage: GPUBufferUsage.STORAGE });
  const error = await assertRejects(() => textOf(engine), UnavailableError);
  assertEquals(error.code, "device_lost");
  assertEquals(await textOf(engine), known.answer);
  assertEquals(await watched.kept(1), 1);
});

Deno.test("loading again may fail a few times, and leaves nothing behind", async () => {
  await using watched = new Watched({
    // The first device is lost once it has answered; the next two while they are loaded onto.
    onProgress() {
      if (watched.devices.length === 2 || watched.devices.length === 3) watched.lose();
    },
  });
  const { engine, states, devices } = watched;
  assertEquals(await textOf(engine), known.answer);
  await watched.loses();
  assertEquals(await textOf(engine), known.answer);
  assertEquals(devices.length, 4);
  assertEquals(await watched.kept(1), 1);
  assertEquals(states.at(-1), "ready");
});

Deno.test("after some tries in a row it gives up, saying why and what to do", async () => {
  let broken = false;
  await using watched = new Watched({
    onProgress() {
      if (broken) watched.lose();
    },
  });
  const { engine } = watched;
  assertEquals(await textOf(engine), known.answer);
  broken = true;
  await watched.loses();
  const error = await assertRejects(() => textOf(engine));
  assertEquals(engine.state, "failed");
  assertEquals(error.message, engine.failure);
  assertMatch(
    error.message,
    /lost \(destroyed\).*could not be acquired again in 3 tries.*start again/,
  );
  assertEquals(await watched.kept(0), 0);
  const { length } = watched.devices;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals(watched.devices.length, length, "it does not go on trying");
});

Deno.test("devices that are lost before anybody used them are not replaced for ever", async () => {
  await using watched = new Watched();
  const { engine, states } = watched;
  for (let losses = 0; engine.state !== "failed"; losses++) {
    assert(losses < 10);
    await engine.ready.then(() => watched.loses(), () => {});
  }
  assertEquals(states.filter((state) => state === "ready").length, 3);
  assertEquals(await watched.kept(0), 0);
});

Deno.test("closing while it loads again ends who waits", async () => {
  await using watched = new Watched({ pauses: [60_000] });
  const { engine } = watched;
  assertEquals(await textOf(engine), known.answer);
  await watched.loses();
  const waiting = assertRejects(() => textOf(engine), Error, "closed");
  await engine.close();
  await waiting;
  assertEquals(await watched.kept(0), 0);
});

Deno.test("a first load that fails is final", async () => {
  await using watched = new Watched({ onProgress: () => watched.lose() });
  const { engine } = watched;
  await assertRejects(() => engine.ready, Error, "lost");
  assertEquals(engine.state, "failed");
  assertEquals(await watched.kept(0), 0);
});

Deno.test("closing while it loads breaks that off; it is over once the device is given back", async () => {
  let closed: Promise<void> | undefined;
  let pieces = 0;
  await using watched = new Watched({
    onProgress() {
      pieces++;
      closed ??= watched.engine.close();
    },
  });
  await assertRejects(() => watched.engine.ready, Error, "closed");
  await closed;
  assertEquals([pieces, watched.devices.length], [1, 1]);
  assertEquals(await watched.kept(0), 0);
});
