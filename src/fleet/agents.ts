/**
 * The lines to the agents of nodes: those who attached here, at an address of the house's own, and those who listen and
 * are dialled. For others there is one thing, a Link, and Ollama behind it.
 */
import type { Refusal } from '../../machines/entity.ts'
import type { Call, Outgoing, Receiver } from '../call.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import { houseService } from '../rpc/definitions.ts'
import type { Statuses } from '../rpc/errors.ts'
import { CALLS_MAX, MESSAGE_BYTES_MAX, PROBE, type Probe } from '../rpc/limits.ts'
import type { Hello } from '../rpc/messages.ts'
import { openServer, type RpcServer } from '../rpc/server.ts'
import { Attached } from './attached.ts'
import { attachedLink } from './attachedlink.ts'
import { Dialled } from './dialled.ts'
import { introduced } from './hearsay.ts'
import type { Introductions } from './introductions.ts'
import type { Link, Links } from './link.ts'
import { type RegisterNeeds, register } from './register.ts'
import { RETURN_MS, whenBack } from './returning.ts'

export interface AgentsNeeds extends Pick<RegisterNeeds, 'engine' | 'clock' | 'config' | 'fleet'> {
  /** Looks at a node now. */
  readonly look: (node: string) => unknown
  readonly introductions: Introductions
  readonly onBug: (error: unknown) => void
}

export interface Listening {
  /** HOST:PORT */
  readonly where: string
  readonly statuses: Statuses
  readonly probe?: Probe
}

export interface Told {
  readonly slots: number | undefined
  readonly residentMax: number | undefined
}

/** How long those who were sent away may take to go. */
const FAREWELL_MS = 300

export const AGENT = 'agent://'
export const DIALLED = 'grpc://'

/** A node with an agent that attaches; names may hold what a URL's host may not. */
export function agentUrl(node: string): string {
  return AGENT + encodeURIComponent(node)
}

export class Agents implements Links {
  readonly reactor: Reactor
  readonly #needs: AgentsNeeds
  readonly #attached: Attached
  readonly #dialled: Dialled
  readonly #ears = new Set<(node: string, up: boolean) => void>()
  readonly #links = new Map<string, Link>()
  /** What each was told about its Ollama when it was started. */
  readonly #told = new Map<string, Told>()
  #server: RpcServer | undefined
  /** Until when those may come back who were here before, on a clock that never jumps. */
  #comeUntil: number

  constructor(needs: AgentsNeeds) {
    this.#needs = needs
    this.#comeUntil = needs.clock.monotonic() + RETURN_MS
    const heard = (node: string, up: boolean): void => {
      needs.look(node)
      for (const ear of [...this.#ears]) ear(node, up)
    }
    const { identify, dialling } = needs.introductions
    const welcome = (node: string, hello: Hello) => this.#welcome(node, hello)
    this.#attached = new Attached({ ...needs, identify, welcome, heard })
    this.#dialled = new Dialled({ ...needs, dialling, heard })
    const dial = (): void => {
      this.#dialled.follow([...needs.fleet.state.values()].filter(({ url }) => url.startsWith(DIALLED)))
    }
    this.reactor = reactor(this as Agents, {
      on: { 'node.registered': dial, 'node.removed': dial },
      resume: dial,
    })
  }

  /** Where it listens for agents, as `127.0.0.1:11436`. Throws a Failure `house.address`. */
  async listenFor({ where, statuses, probe = PROBE }: Listening): Promise<string> {
    const { clock, introductions, onBug } = this.#needs
    this.#server = await openServer({
      clock,
      where,
      credentials: introductions.serving(where),
      statuses,
      onBug,
      probe,
      messageBytesMax: MESSAGE_BYTES_MAX,
      callsMax: CALLS_MAX,
      offers: [
        {
          service: houseService,
          handlers: {
            ...introductions.handlers,
            Attach: { exchange: (stream, caller) => this.#attached.attach(stream, caller) },
          },
        },
      ],
    })
    this.#comeUntil = clock.monotonic() + RETURN_MS
    return this.#server.address
  }

  of(node: string): Link | undefined {
    if (!this.#attached.has(node)) return this.#dialled.of(node)
    let link = this.#links.get(node)
    if (link === undefined) {
      link = attachedLink(this.#attached, node, this.#needs.clock)
      this.#links.set(node, link)
    }
    return link
  }

  listen(heard: (node: string, up: boolean) => void): () => void {
    this.#ears.add(heard)
    return () => void this.#ears.delete(heard)
  }

  /** The wire to the Ollama of a node whose URL is one of an agent; undefined for any other. */
  wire(url: string): { send(out: Outgoing, receiver: Receiver): Call } | undefined {
    if (url.startsWith(DIALLED)) return this.#dialled.wire(url)
    if (!url.startsWith(AGENT)) return undefined
    const node = decodeURIComponent(url.slice(AGENT.length))
    return {
      send: (out, receiver) => {
        const withinMs = this.#comeUntil - this.#needs.clock.monotonic()
        return whenBack({ links: this, clock: this.#needs.clock, node, withinMs }, out, receiver)
      },
    }
  }

  /** What the agent of a node was told about its Ollama, and did not find out; undefined where it is not attached. */
  told(node: string): Told | undefined {
    return this.#told.get(node)
  }

  /** Ends the lines of a node, with the calls on them: those that came with this certificate, or all. */
  expel(node: string, why: Refusal, serial?: string): void {
    this.#attached.expel(node, why, serial)
    this.#dialled.expel(node, serial)
  }

  /** Agents may go elsewhere; calls go on until close(). */
  stop(): void {
    this.#server?.leave()
    this.#attached.stop()
  }

  async close(graceMs: number): Promise<void> {
    this.stop()
    await this.#attached.close(graceMs)
    await this.#server?.close(FAREWELL_MS)
    this.#dialled.close()
  }

  /** A node is what its agent says, but for what people said of it here, and what is known of it already. */
  async #welcome(node: string, hello: Hello): Promise<void> {
    const { slots, residentMax, labels } = introduced(hello)
    const url = agentUrl(node)
    const known = this.#needs.fleet.state.get(node)
    const before = known?.url === url ? known : undefined
    const limits = { slots: slots ?? before?.slots, residentMax: residentMax ?? before?.residentMax }
    this.#told.set(node, { slots, residentMax })
    const spec = {
      name: node,
      url,
      labels,
      ...(limits.slots !== undefined && { slots: limits.slots }),
      ...(limits.residentMax !== undefined && { residentMax: limits.residentMax }),
      ...(known?.weight !== undefined && { weight: known.weight }),
      ...(known?.hours && { hours: known.hours }),
    }
    await register(this.#needs, spec, 'agent', 'agent')
  }
}
