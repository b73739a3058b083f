import { Admission, type Wish } from "../../../src/engine/batching/admission.ts";

/** An admission over some pages, with a clock of its own. */
export function admission(
  { maxRunning = 1, maxWaiting = 10, pages = 100 }: {
    maxRunning?: number;
    maxWaiting?: number;
    pages?: number;
  },
) {
  const clock = { now: 0 };
  let free = pages;
  const order: string[] = [];
  const gate = new Admission(
    { maxRunning, maxWaiting, now: () => clock.now },
    (wish: Wish) => {
      if (wish.pages > pages) throw new RangeError("more than all pages");
      if (wish.pages > free) return undefined;
      free -= wish.pages;
      return { [Symbol.dispose]: () => void (free += wish.pages) };
    },
  );
  const ask = (name: string, wish: Partial<Wish> = {}) =>
    gate.enter({ pages: 0, ...wish }).then((held) => {
      order.push(name);
      return () => gate.leave(held);
    });
  return { gate, ask, order, clock, free: () => free };
}

/** Lets whoever was let in say so. */
export const settle = () => new Promise((resolve) => setTimeout(resolve, 0));
