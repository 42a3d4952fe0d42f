/**
 * Each member in a network namespace of its own, on a bridge that this machine alone is connected to. A direction is cut by
 * telling the sender's kernel a hardware address that nobody has: packets leave and are lost, and nobody is told.
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { check, type Context } from "../context.ts";
import type { FaultyNetwork } from "./network.ts";

const PEER_PORT = 2380;
const NOBODY = "02:00:00:00:ff:ff";
const DELAY_MS = 50;
const LOSS_PERCENT = 5;
/** Without netem: a link so thin, with so short a queue, that it delays what passes and loses what does not fit. */
const THIN = ["tbf", "rate", "400kbit", "burst", "3000", "limit", "6000"];

export class NamespacedNetwork implements FaultyNetwork {
  readonly tool: string;
  readonly #size: number;
  readonly #id: number;
  readonly #netem: readonly string[];
  readonly #cut: [from: number, to: number][] = [];
  #isSlow = false;

  /** Throws where the machine does not let this process make namespaces. */
  static start(context: Context, size: number): NamespacedNetwork {
    check(
      process.getuid?.() === 0,
      "needs root, to make network namespaces: run it as root, or in a container as root",
    );
    // One for each range of ports, so that runs with different ranges are not in each other's way.
    const network = new NamespacedNetwork(size, context.settings.port);
    // What a run that was killed has left.
    network.#remove();
    context.onEnd(() => network.#remove());
    network.#make();
    return network;
  }

  private constructor(size: number, id: number) {
    this.#size = size;
    this.#id = id;
    const probe = `keelson-${id}-probe`;
    ip("netns", "add", probe);
    const hasNetem = run("tc", "-n", probe, "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms") === "";
    ip("netns", "del", probe);
    this.#netem = hasNetem ? ["netem", "delay", `${DELAY_MS}ms`, "20ms", "loss", `${LOSS_PERCENT}%`] : THIN;
    this.tool = `network namespaces, ${hasNetem ? "netem" : "links slowed by tbf, for want of netem"}`;
  }

  hostOf(member: number): string {
    return `${this.#subnet}.${member + 1}`;
  }

  wrapperOf(member: number): readonly string[] {
    return ["nsenter", `--net=/run/netns/${this.#namespace(member)}`];
  }

  listenPeerUrlOf(member: number): string {
    return `http://${this.hostOf(member)}:${PEER_PORT}`;
  }

  peerUrlOf(member: number): string {
    return this.listenPeerUrlOf(member);
  }

  async cut(from: number, to: number): Promise<void> {
    this.#cut.push([from, to]);
    this.#in(from, "neigh", "replace", this.hostOf(to), "lladdr", NOBODY, "nud", "permanent", "dev", "eth0");
  }

  async slow(): Promise<void> {
    this.#isSlow = true;
    for (let member = 0; member < this.#size; member++) {
      const error = run("tc", "-n", this.#namespace(member), "qdisc", "replace", "dev", "eth0", "root", ...this.#netem);
      check(error === "", `tc: ${error}`);
    }
  }

  async heal(): Promise<void> {
    for (const [from, to] of this.#cut.splice(0)) this.#in(from, "neigh", "del", this.hostOf(to), "dev", "eth0");
    if (!this.#isSlow) return;
    this.#isSlow = false;
    for (let member = 0; member < this.#size; member++) {
      run("tc", "-n", this.#namespace(member), "qdisc", "del", "dev", "eth0", "root");
    }
  }

  get #subnet(): string {
    // RFC 2544's range for tests of networks.
    return `198.18.${this.#id % 256}`;
  }

  get #bridge(): string {
    return `keelson${this.#id}`;
  }

  #namespace(member: number): string {
    return `keelson-${this.#id}-${member}`;
  }

  #in(member: number, ...args: string[]): void {
    ip("-n", this.#namespace(member), ...args);
  }

  #make(): void {
    ip("link", "add", this.#bridge, "type", "bridge");
    ip("addr", "add", `${this.#subnet}.254/24`, "dev", this.#bridge);
    ip("link", "set", this.#bridge, "up");
    for (let member = 0; member < this.#size; member++) {
      const outside = `k${this.#id}-${member}`, namespace = this.#namespace(member);
      ip("netns", "add", namespace);
      ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", namespace);
      ip("link", "set", outside, "master", this.#bridge, "up");
      this.#in(member, "link", "set", "lo", "up");
      this.#in(member, "addr", "add", `${this.hostOf(member)}/24`, "dev", "eth0");
      this.#in(member, "link", "set", "eth0", "up");
    }
  }

  #remove(): void {
    for (let member = 0; member < this.#size; member++) run("ip", "netns", "del", this.#namespace(member));
    run("ip", "link", "del", this.#bridge);
  }
}

function ip(...args: string[]): void {
  const error = run("ip", ...args);
  check(
    error === "",
    `ip ${args.join(" ")}: ${error} (needs iproute2, and a kernel with namespaces, veth and bridges)`,
  );
}

/** What it complained of. */
function run(program: string, ...args: string[]): string {
  const { status, error, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (error !== undefined) return error.message;
  return status === 0 ? "" : stderr.trim() || `code ${status}`;
}
