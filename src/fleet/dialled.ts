/**
 * Agents that listen, dialled by the house: one channel each, kept open. A line is up while it is connected; where it is
 * not, it is tried again and again.
 *
 *   away ──connected──▶ up ──broken──▶ away        away, up ──followed no more──▶ closed
 */
import type { Call, Outgoing, Receiver } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import { Failure } from '../failure.ts'
import { Channel } from '../rpc/channel.ts'
import type { Dialling } from '../rpc/credentials.ts'
import { agentService } from '../rpc/definitions.ts'
import { PROBE } from '../rpc/limits.ts'
import type { CommandProgress, NodeStatus, RelayRequest, RelayResponse } from '../rpc/messages.ts'
import { carry, refused } from './carry.ts'
import { progressIn } from './hearsay.ts'
import { DEADLINE_MS, type Link, ours, within } from './link.ts'

export interface DialledNeeds {
  readonly clock: Clock
  readonly dialling: (node: string, address: string) => Dialling
  readonly heard: (node: string, up: boolean) => void
}

const RETRY_MAX_MS = 5_000
const CONNECT_MS = 10_000

interface Line {
  readonly url: string
  readonly how: Dialling
  readonly channel: Channel
  readonly link: Link
  up: boolean
  retry?: Timer
}

export class Dialled {
  readonly #needs: DialledNeeds
  /** By the node's name. */
  readonly #lines = new Map<string, Line>()

  constructor(needs: DialledNeeds) {
    this.#needs = needs
  }

  /** These, and no others. */
  follow(nodes: readonly { readonly name: string; readonly url: string }[]): void {
    const wanted = new Map(nodes.map(({ name, url }) => [name, url]))
    for (const [node, { url }] of this.#lines) if (wanted.get(node) !== url) this.#drop(node)
    for (const [node, url] of wanted) if (!this.#lines.has(node)) this.#open(node, url)
  }

  of(node: string): Link | undefined {
    const line = this.#lines.get(node)
    return line?.up ? line.link : undefined
  }

  /** Of a node that is followed, or will be. */
  wire(url: string): { send(out: Outgoing, receiver: Receiver): Call } {
    return {
      send: (out, receiver) => {
        const line = [...this.#lines.values()].find(line => line.url === url)
        return line === undefined
          ? refused(receiver, `nobody is dialled at ${url}`)
          : line.link.send(out, receiver)
      },
    }
  }

  /**
   * Ends the line to a node, with the calls on it, if it came up with this certificate, and dials anew: whoever may not be
   * called is not let in there.
   */
  expel(node: string, serial?: string): void {
    const line = this.#lines.get(node)
    if (line === undefined || (serial !== undefined && line.how.serial?.() !== serial)) return
    this.#drop(node)
    line.channel.cut()
    this.#open(node, line.url)
  }

  close(): void {
    for (const node of [...this.#lines.keys()]) this.#drop(node)
  }

  #open(node: string, url: string): void {
    const { clock, dialling } = this.#needs
    const { host: address } = new URL(url)
    let how: Dialling
    try {
      how = dialling(node, address)
    } catch (error) {
      // Nothing leads there; whoever looks at the node hears that nobody is dialled.
      if (error instanceof Failure) return
      throw error
    }
    const channel = new Channel({ clock, address, dialling: how, probe: PROBE })
    const line: Line = { url, how, channel, link: linkOver(channel, node, clock), up: false }
    this.#lines.set(node, line)
    void this.#keep(node, line)
  }

  async #keep(node: string, line: Line): Promise<void> {
    const { clock, heard } = this.#needs
    const present = (): boolean => this.#lines.get(node) === line
    try {
      await line.channel.ready(CONNECT_MS)
      if (!present()) return
      line.up = true
      heard(node, true)
      await line.channel.broken()
      line.up = false
      if (present()) heard(node, false)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
    }
    if (present()) line.retry = clock.after(clock.random() * RETRY_MAX_MS, () => void this.#keep(node, line))
  }

  #drop(node: string): void {
    const line = this.#lines.get(node)!
    this.#lines.delete(node)
    line.retry?.cancel()
    line.channel.close()
    if (line.up) this.#needs.heard(node, false)
  }
}

function linkOver(channel: Channel, node: string, clock: Clock): Link {
  const telling = async function* <T>(from: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
    try {
      for await (const message of from) yield message
    } catch (error) {
      if (signal.aborted) return
      throw error instanceof Failure ? ours(error) : error
    }
  }
  const ask = <T>(method: string, request: object, signal: AbortSignal): Promise<T> =>
    within(clock, DEADLINE_MS, signal, async late => {
      try {
        return await channel.ask<T>(agentService, method, request, { signal: late, deadlineMs: DEADLINE_MS })
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        if (!late.aborted) throw ours(error)
        throw new Failure('agent.timeout', `the agent of ${node} did not answer in time`, {
          retryable: true,
          cause: error,
        })
      }
    })
  return {
    node,
    async status({ fresh, signal }) {
      return (await ask<{ status: NodeStatus }>('GetCompleteNodeStatus', { fresh }, signal)).status
    },
    async *watch({ intervalMs, signal }): AsyncGenerator<NodeStatus> {
      const told = channel.listen<{ status: NodeStatus }>(
        agentService,
        'WatchStatus',
        { intervalMs },
        { signal },
      )
      for await (const { status } of telling(told, signal)) yield status
    },
    async *command(request, signal): AsyncGenerator<CommandProgress> {
      const said = channel.listen<CommandProgress>(agentService, 'RemoteModelCommand', request, { signal })
      for await (const word of telling(said, signal)) {
        const told = progressIn(word)
        if (told !== undefined) yield told
      }
    },
    async cancel(id, signal) {
      return (await ask<{ cancelled: boolean }>('CancelModelCommand', { id }, signal)).cancelled
    },
    send: (out, receiver) =>
      carry(channel.exchange<RelayResponse, RelayRequest>(agentService, 'Relay'), out, receiver),
  }
}
