/** The ways a node can go wrong on command. `ok` is all the others put away. */
import { type Client, forever } from './client.ts'
import { Fault } from './dialect.ts'

export const MODES = {
  ok: 'Answers as Ollama does.',
  error: 'Every inference is refused with 500.',
  busy: 'Every inference is refused with 503, as if the queue were full.',
  hang: 'Inference is accepted and never answered; everything else works: a wedged node.',
  slow: 'Loading, reading and speaking take `factor` times as long.',
  flaky: 'Every `every`-th inference is refused with 500.',
  'die-midstream': 'After `afterTokens` tokens the connection is cut, as if the node were killed.',
  'half-open': 'After `afterTokens` tokens nothing more is ever sent, though the connection stays.',
  'runner-dies': 'After `afterTokens` tokens the model process dies under an Ollama that lives on.',
} as const

export type Mode = keyof typeof MODES

export interface Knobs {
  afterTokens: number
  factor: number
  every: number
}

export interface Misbehaviour extends Knobs {
  mode: Mode
}

const KNOBS: Knobs = { afterTokens: 3, factor: 10, every: 2 }

export const BUSY_TEXT = 'server busy, please try again.  maximum pending requests exceeded'
const CRASH_TEXT = 'llama-server process has terminated: exit status 2'

export interface Temper {
  readonly now: Readonly<Misbehaviour>
  set(mode: Mode, knobs?: Partial<Knobs>): void
  /** How much longer than usual everything takes. */
  factor(): number
  /** Lets an inference in, refuses it, or holds it until its client leaves. */
  admit(client: Client): Promise<never> | undefined
  /** After how many tokens an answer breaks, or never. */
  breaksAfter(): number
}

export function goodTemper(): Temper {
  let now: Misbehaviour = { mode: 'ok', ...KNOBS }
  let inferences = 0

  const breaking = new Set<Mode>(['die-midstream', 'half-open', 'runner-dies'])
  return {
    get now() {
      return now
    },
    set(mode, knobs = {}) {
      now = { mode, ...KNOBS, ...knobs }
      inferences = 0
    },
    factor: () => (now.mode === 'slow' ? now.factor : 1),
    admit(client) {
      inferences += 1
      if (now.mode === 'hang') return forever(client)
      if (now.mode === 'busy') throw new Fault(503, BUSY_TEXT)
      if (now.mode === 'error' || (now.mode === 'flaky' && inferences % now.every === 0))
        throw new Fault(500, CRASH_TEXT)
      return undefined
    },
    breaksAfter: () => (breaking.has(now.mode) ? now.afterTokens : Number.POSITIVE_INFINITY),
  }
}

export function isMode(text: unknown): text is Mode {
  return typeof text === 'string' && Object.hasOwn(MODES, text)
}
