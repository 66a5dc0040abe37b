/** An agent, assembled top to bottom: one Ollama, what is done to it for a house, and the lines to that house. */
import type { Clock } from '../clock.ts'
import type { OllamaVariables } from '../config.ts'
import type { Failure } from '../failure.ts'
import { Ollama } from '../ollama/ollama.ts'
import type { Statuses } from '../rpc/errors.ts'
import type { Probe } from '../rpc/limits.ts'
import type { Hello } from '../rpc/messages.ts'
import { Attachment } from './attach.ts'
import { Commands } from './commands.ts'
import type { Machine } from './hardware/machine.ts'
import type { Introductions } from './introductions.ts'
import { Limits } from './limits.ts'
import { listen } from './listen.ts'
import { Relay } from './relay.ts'
import type { AgentService } from './service.ts'
import { Status } from './status.ts'

export interface AgentOptions {
  readonly clock: Clock
  readonly version: string
  /** Of the node. */
  readonly name: string
  /** The Ollama server beside it, and the only one. */
  readonly ollama: string
  /** HOST:PORT to attach to. */
  readonly house?: string
  /** HOST:PORT to listen at. */
  readonly listen?: string
  readonly slots?: number
  readonly residentMax?: number
  /** Folders that Ollama's models may be in. */
  readonly models?: readonly string[]
  /** Whoever opened it closes it. */
  readonly machine?: Machine
  /** Ollama's variables, where the agent was started with them. */
  readonly environment?: OllamaVariables
  readonly labels: Readonly<Record<string, string>>
  readonly introductions: Introductions
  readonly statuses: Statuses
  /** The line to the house came up, or it went down, and why. */
  readonly heard?: (up: boolean, why?: Failure) => void
  readonly onBug: (error: unknown) => void
  readonly probe?: Probe
  readonly idleMin?: number
}

export interface Agent {
  /** Where it listens, as `127.0.0.1:11437`; undefined where it does not. */
  readonly address: string | undefined
  /** Calls under way have `graceMs` to end. */
  close(graceMs: number): Promise<void>
}

export async function openAgent(options: AgentOptions): Promise<Agent> {
  const { clock, version, name, house, listen: where, slots, residentMax, labels } = options
  const { introductions, statuses, heard = () => {}, onBug, probe, idleMin } = options
  const startedAt = clock.now()
  const ollama = new Ollama(options.ollama, { linkLocal: true })
  const relay = new Relay({ ollama })
  const commands = new Commands({ clock, ollama, changed: what => status.changed(what) })
  const inFlight = () => relay.count + commands.running
  const { environment: own = {}, machine, models = [] } = options
  const limits = new Limits({ url: ollama.url, own })
  const about = { clock, ollama, name, version, startedAt, inFlight, limits, models }
  const status: Status = new Status({ ...about, ...(machine && { machine }) })
  const service: AgentService = {
    status: (request, signal) => status.status(request, signal),
    watch: (request, signal) => status.watch(request, signal),
    command: (request, signal) => commands.command(request, signal),
    cancel: id => commands.cancel(id),
    relay: caller => relay.relay(caller),
  }
  const hello: Hello = {
    session: clock.id(),
    agentVersion: version,
    startedAt,
    labels,
    node: name,
    ...(slots !== undefined && { slots }),
    ...(residentMax !== undefined && { residentMax }),
  }
  const serving = { service, statuses, onBug, clock, ...(probe && { probe }) }
  const server =
    where === undefined
      ? undefined
      : await listen({
          ...serving,
          where,
          credentials: introductions.serving(where),
          admit: introductions.admit,
        })
  // What is wrong with how the house is to be dialled is told now, and not again and again.
  if (house !== undefined) introductions.dialling(house)
  const attachment =
    house === undefined
      ? undefined
      : new Attachment({
          ...serving,
          house,
          dialling: () => introductions.dialling(house),
          hello,
          heard,
          ...(idleMin !== undefined && { idleMin }),
        })
  attachment?.start()
  const forget = introductions.keep?.(() => attachment?.redial())
  return {
    address: server?.address,
    async close(graceMs) {
      forget?.()
      commands.letGo()
      status.close()
      await Promise.all([attachment?.close(graceMs), server?.close(graceMs)])
      relay.close()
      commands.close()
      await ollama.close()
    },
  }
}
