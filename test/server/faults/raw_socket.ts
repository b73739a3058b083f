/**
 * A TCP connection by the system's own calls, which does what no client library does: it reads a byte
 * at a time out of a small buffer, is reset, or vanishes without a word. Linux.
 */

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_REPAIR = 19;
const SHUT_WR = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const POLLIN = 1;
const POLLERR = 8;
/** Milliseconds between two looks whether something has come. */
const LOOK = 5;

/** How a client leaves: by the end of its stream, a reset, or without telling the server. */
export type Leaving = "fin" | "reset" | "vanish";

/** Why this machine has no such connections; undefined where it has. */
export const NO_RAW_SOCKETS: string | undefined = Deno.build.os === "linux"
  ? undefined
  : "it needs Linux's sockets";

function libc() {
  return Deno.dlopen("libc.so.6", {
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    connect: { parameters: ["i32", "buffer", "u32"], result: "i32", nonblocking: true },
    setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
    send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
    recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
    poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
    shutdown: { parameters: ["i32", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
  }).symbols;
}
let loaded: ReturnType<typeof libc> | undefined;
const system = () => loaded ??= libc();

const encoder = new TextEncoder();
const pause = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** A connection to 127.0.0.1. */
export class RawSocket implements Disposable {
  readonly #file: number;
  #open = true;
  /** Set once the server has closed or reset it. */
  ended: "fin" | "reset" | undefined;
  /** All that came so far. */
  text = "";

  private constructor(file: number) {
    this.#file = file;
  }

  /**
   * @param receiveBytes size of the buffer for what comes; the system doubles it
   * @throws {Error} when nobody listens
   */
  static async connect(port: number, receiveBytes?: number): Promise<RawSocket> {
    const { socket, setsockopt, connect } = system();
    const connection = new RawSocket(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const file = connection.#file;
    if (receiveBytes !== undefined) {
      setsockopt(file, SOL_SOCKET, SO_RCVBUF, Int32Array.of(receiveBytes), 4);
    }
    const address = new Uint8Array(16);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_INET, true);
    view.setUint16(2, port);
    address.set([127, 0, 0, 1], 4);
    if (await connect(file, address, 16) !== 0) {
      connection.leave("fin");
      throw new Error(`nobody listens on port ${port}`);
    }
    return connection;
  }

  /** Sends what the system takes at once. @returns how many bytes those are; -1: none, or no more */
  send(data: string | Uint8Array<ArrayBuffer>): number {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    return Number(system().send(this.#file, bytes, BigInt(bytes.byteLength), flags));
  }

  /** Sends all of it, unless the server closes the connection before. @returns whether it is sent */
  async sendAll(data: string | Uint8Array<ArrayBuffer>): Promise<boolean> {
    let bytes = typeof data === "string" ? encoder.encode(data) : data;
    while (bytes.byteLength > 0) {
      const sent = this.send(bytes);
      if (sent > 0) bytes = bytes.subarray(sent);
      else {
        // Who does not read what comes does not see either that the connection ended.
        this.read(65_536);
        if (this.ended) return false;
        await pause(LOOK);
      }
    }
    return true;
  }

  /** Reads what is there, at most so many bytes, without waiting. @returns how many came */
  read(most: number): number {
    if (this.ended) return 0;
    const asked = new Uint8Array(8);
    const view = new DataView(asked.buffer);
    view.setInt32(0, this.#file, true);
    view.setInt16(4, POLLIN, true);
    if (system().poll(asked, 1n, 0) <= 0) return 0;
    const events = view.getInt16(6, true);
    const bytes = new Uint8Array(most);
    const count = Number(system().recv(this.#file, bytes, BigInt(most), MSG_DONTWAIT));
    if (count > 0) this.text += new TextDecoder("latin1").decode(bytes.subarray(0, count));
    else if (events & POLLERR) this.ended = "reset";
    else if (count === 0) this.ended = "fin";
    return Math.max(0, count);
  }

  /** Reads until the text holds `part`, or the server has closed. @returns whether it came in time */
  async readUntil(part: string | RegExp, milliseconds: number): Promise<boolean> {
    const found = () => typeof part === "string" ? this.text.includes(part) : part.test(this.text);
    const end = performance.now() + milliseconds;
    while (!found() && !this.ended && performance.now() < end) {
      if (this.read(65_536) === 0) await pause(LOOK);
    }
    return found();
  }

  /** Reads until the server has closed. @returns whether it did in time */
  async readToEnd(milliseconds: number): Promise<boolean> {
    await this.readUntil(/(?!)/, milliseconds);
    return this.ended !== undefined;
  }

  /** Sends no more, and still reads. */
  endSending(): void {
    system().shutdown(this.#file, SHUT_WR);
  }

  leave(how: Leaving): void {
    if (!this.#open) return;
    this.#open = false;
    const { setsockopt, close } = system();
    if (how === "reset") {
      setsockopt(this.#file, SOL_SOCKET, SO_LINGER, Int32Array.of(1, 0), 8);
    } else if (how === "vanish") {
      // A socket in repair is closed without a packet. Who may not do so leaves by a reset.
      const done = setsockopt(this.#file, IPPROTO_TCP, TCP_REPAIR, Int32Array.of(1), 4);
      if (done !== 0) setsockopt(this.#file, SOL_SOCKET, SO_LINGER, Int32Array.of(1, 0), 8);
    }
    close(this.#file);
  }

  [Symbol.dispose](): void {
    this.leave("reset");
  }
}
