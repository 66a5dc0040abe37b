/**
 * Policies that choose a node when a request comes, and never again: what balancers in front of Ollama do. Each is a
 * row of a score; the lowest wins, and the next in turn among equals.
 */
import type { Arrival } from './trace.ts'

/** One node, as a balancer knows it: its own book of what it sent there, and what the node lists as loaded. */
export interface Choosable {
  readonly slots: number
  readonly speed: number
  /** Requests there that have not ended: how many, of the asked model, and all their tokens as they are expected. */
  readonly connections: number
  readonly sameModel: number
  readonly tokens: number
  readonly ownTokens: number
  /** Expected milliseconds of work of all these, loads included; and of the request itself, were it sent there. */
  readonly workMs: number
  readonly ownMs: number
  readonly loadMs: number
  /** Is the asked model in its memory? */
  readonly loaded: boolean
}

export type Score = (node: Choosable) => number

export const POLICIES = {
  'round-robin': {
    about: 'the next node in turn',
    score: () => 0,
  },
  'least-connections': {
    about: 'the fewest requests under way',
    score: ({ connections }) => connections,
  },
  'power-of-two': {
    about: 'of two nodes by chance, the one with fewer requests under way',
    sample: 2,
    score: ({ connections }) => connections,
  },
  'least-tokens': {
    about: 'the fewest tokens under way with its own, by the speed of the node',
    score: ({ tokens, ownTokens, speed }) => (tokens + ownTokens) / speed,
  },
  'warm-first': {
    about: 'a node that has the model in memory, the one with the fewest requests; else the fewest requests',
    score: ({ connections, loaded }) => (loaded ? 0 : COLD) + connections,
  },
  eta: {
    about: 'where it is expected to end first: the work before it, a load where one is needed, its own time',
    score: ({ workMs, ownMs, slots, loaded, sameModel, loadMs }) =>
      workMs / slots + ownMs + (loaded || sameModel > 0 ? 0 : loadMs),
  },
} as const satisfies Record<string, { about: string; sample?: number; score: Score }>

/** More than any number of connections. */
const COLD = 1e9

export type BoundPolicy = keyof typeof POLICIES

/** What such a balancer thinks a request will take: it knows the prompt, and how long answers are on average. */
export function expectedOf(
  arrivals: readonly Arrival[],
): (arrival: Arrival) => Pick<Arrival, 'promptTokens' | 'outputTokens'> {
  const outputTokens = arrivals.reduce((sum, arrival) => sum + arrival.outputTokens, 0) / arrivals.length
  return ({ promptTokens }) => ({ promptTokens, outputTokens })
}
