/**
 * One request's decisions once more, in the circumstances of that moment: who was ahead of it, why this node and not
 * that one, would it be decided so again, and what would others have done? The journal is read up to the last of these
 * moments, so that only one may ask at a time.
 */
import type { Candidate } from '../../machines/request.ts'
import { Failure } from '../failure.ts'
import type { Entry } from '../journal/journal.ts'
import { keyOf, lineup } from '../projections/queue.ts'
import type { Open } from '../projections/requests.ts'
import type { Moment } from '../projections/views.ts'
import { type Comparison, comparisonOf, type Otherwise } from './compare.ts'
import type { Hindsight as Answer } from './schema/why.ts'
import type { Told } from './schema/words.ts'
import { dataOf, list, roughly } from './why.ts'

type LookBack = Told<typeof Answer>
type Look = LookBack['moments'][number]
type Verdict = Look['others'][number]

/** What the scheduler would decide; see scheduler/hindsight.ts. */
export interface Weighed {
  readonly choice: {
    readonly to: string
    readonly node?: string
    readonly estimateMs?: number
    readonly ripeInMs?: number
  }
  readonly candidates: readonly Candidate[]
  readonly instead?: Pick<Open, 'id' | 'client'>
  edge(node: string, other: string): string | undefined
}

/** Where a balancer would have bound it; see backtest/hindsight.ts. */
export interface Bound {
  readonly nodes: readonly { readonly node: string; readonly connections: number; readonly loaded: boolean }[]
  readonly by: 'score' | 'turn' | 'chance'
}

export interface Occasion {
  readonly moment: Moment
  readonly at: number
  readonly id: string
  readonly table: readonly Candidate[]
}

export interface HindsightNeeds {
  /** The house right after each of these facts, in order; what is handed over goes on changing with the next. */
  readonly moments: (
    seqs: readonly number[],
  ) => AsyncIterable<{ readonly seq: number; readonly answers: Moment }>
  readonly config: { readonly starveMs: number }
  readonly weigh: (occasion: Occasion, otherwise?: Otherwise) => Weighed | undefined
  readonly bind: (policy: string, moment: Moment, id: string) => Bound | undefined
  /** Names of policies that bind. */
  readonly bound: readonly string[]
}

/** Clients that are named of those ahead. */
const CLIENTS_MAX = 8

export class Hindsight {
  readonly #needs: HindsightNeeds
  #busy = false

  constructor(needs: HindsightNeeds) {
    this.#needs = needs
  }

  /** `facts` are all of the request. Throws a Refusal `request.invalid`, a Failure `house.busy`. */
  async of(facts: readonly Entry[], compare: readonly string[], signal: AbortSignal): Promise<LookBack> {
    const comparisons = compare.map(text => comparisonOf(text, this.#needs.bound))
    if (this.#busy) {
      const message = 'somebody else looks back at a request now, and one at a time may; try again'
      throw new Failure('house.busy', message, { retryable: true })
    }
    this.#busy = true
    try {
      return await this.#look(facts, comparisons, signal)
    } finally {
      this.#busy = false
    }
  }

  async #look(
    facts: readonly Entry[],
    comparisons: readonly Comparison[],
    signal: AbortSignal,
  ): Promise<LookBack> {
    const { id } = facts[0]!
    const stops = facts.flatMap((fact): readonly { readonly fact: Entry; readonly seq: number }[] => {
      if (fact.type === 'request.admitted') return [{ fact, seq: fact.seq }]
      // Before it was folded: it still waits, and the nodes stand as they did.
      return fact.type === 'request.assigned' ? [{ fact, seq: fact.seq - 1 }] : []
    })
    const moments: Look[] = []
    const seqs = [...new Set(stops.map(({ seq }) => seq))]
    for await (const { seq, answers } of this.#needs.moments(seqs)) {
      if (signal.aborted) break
      for (const stop of stops) if (stop.seq === seq) moments.push(this.#at(answers, stop.fact, comparisons))
    }
    return { id, moments }
  }

  #at(moment: Moment, fact: Entry, comparisons: readonly Comparison[]): Look {
    const { id, at, seq } = fact
    const assigned = fact.type === 'request.assigned' ? dataOf(fact) : undefined
    const { node, candidates: table = [], batch = id } = assigned ?? {}
    const open = moment.requests.state.open.get(id)
    const occasion = { moment, at, id, table }
    // Who rides along was not weighed: whoever leads was.
    const again = batch === id ? this.#needs.weigh(occasion) : undefined
    return {
      as: assigned === undefined ? 'admitted' : 'assigned',
      at,
      seq,
      ...(node !== undefined && { node }),
      ...(open !== undefined && { queue: this.#queue(moment, open, at) }),
      ...(again !== undefined && { decided: quipu('quipu', again, open!.model) }),
      ...(node !== undefined && again !== undefined && { edges: edges(again, node) }),
      others:
        batch !== id || open === undefined
          ? []
          : comparisons.map(comparison => this.#compare(comparison, occasion, open)),
    }
  }

  #queue({ requests }: Moment, open: Open, at: number): NonNullable<Look['queue']> {
    const { queue } = requests.state
    const line = queue.lines.get(keyOf(open))
    const ahead: Open[] = []
    if (line !== undefined) {
      for (const other of lineup(queue, line, { now: at, starveMs: this.#needs.config.starveMs })) {
        if (other.id === open.id) break
        ahead.push(other)
      }
    }
    const clients = new Map<string, number>()
    for (const { client } of ahead) clients.set(client, (clients.get(client) ?? 0) + 1)
    return {
      line: line?.key ?? open.model,
      waiting: queue.count,
      inLine: line?.count ?? 0,
      ahead: ahead.length,
      clients: [...clients]
        .map(([client, count]) => ({ client, count }))
        .sort((a, b) => b.count - a.count || (a.client < b.client ? -1 : 1))
        .slice(0, CLIENTS_MAX),
      ...(ahead.length > 0 && { oldestMs: at - Math.min(...ahead.map(({ admittedAt }) => admittedAt)) }),
    }
  }

  #compare(comparison: Comparison, occasion: Occasion, { model }: Open): Verdict {
    const { weigh, bind } = this.#needs
    const { moment, id } = occasion
    if (!comparison.bound) return quipu(comparison.name, weigh(occasion, comparison.otherwise)!, model)
    return binding(comparison.name, bind(comparison.name, moment, id)!, model, weigh(occasion)!.candidates)
  }
}

/** This house's own policy, with whatever weights. */
function quipu(policy: string, { choice, candidates, instead }: Weighed, model: string): Verdict {
  const { to, node, estimateMs, ripeInMs } = choice
  const nodes = node === undefined ? [] : [node]
  if (instead !== undefined) {
    const words = `it would not have been its turn: ${instead.id} of ${instead.client} would have gone first`
    return { policy, to: 'wait', nodes: [], words }
  }
  switch (to) {
    case 'assign':
      return { policy, to: 'assign', nodes, words: `sent to ${node}${readiness(candidates, node!, model)}` }
    case 'load': {
      const took = estimateMs === undefined ? '' : ` (about ${roughly(estimateMs)})`
      return { policy, to: 'load', nodes, words: `left waiting while ${node} loads ${model}${took}` }
    }
    case 'claim':
      return { policy, to: 'claim', nodes, words: `left waiting until ${node} is free to load ${model}` }
    default: {
      const until = ripeInMs === undefined ? '' : `, and looked at again after ${roughly(ripeInMs)}`
      return { policy, to: 'wait', nodes: [], words: `left waiting${until}` }
    }
  }
}

function binding(policy: string, { nodes, by }: Bound, model: string, table: readonly Candidate[]): Verdict {
  const names = nodes.map(({ node }) => node)
  const [first] = nodes
  if (first === undefined) return { policy, to: 'wait', nodes: [], words: `no node had ${model}` }
  if (by !== 'score' && nodes.length > 1) {
    const why =
      by === 'turn' ? 'they were equal, and whose turn it was is not known' : 'chance would have decided'
    return { policy, to: 'unknown', nodes: names, words: `sent to ${list(names, 'or')}: ${why}` }
  }
  const busy = `${first.connections} under way there`
  const cold = first.loaded
    ? ''
    : `; ${model} would have had to be loaded first${loadWords(table, first.node)}`
  return { policy, to: 'assign', nodes: names, words: `sent to ${first.node} (${busy}${cold})` }
}

function readiness(table: readonly Candidate[], node: string, model: string): string {
  const row = table.find(one => one.node === node)
  return row === undefined || row.resident ? '' : `, which did not have ${model} in memory`
}

function loadWords(table: readonly Candidate[], node: string): string {
  const { estimateMs = null } = table.find(one => one.node === node) ?? {}
  return estimateMs === null || estimateMs === 0 ? '' : `, about ${roughly(estimateMs)}`
}

/** As scheduler/place.ts orders those that could have answered at once. */
const EDGES: Readonly<Record<string, string>> = {
  speed: 'it was expected to answer sooner',
  throttled: 'nothing slowed it down',
  preference: 'the policy prefers it',
  conversation: 'it suits the conversation',
  load: 'it had less to do for its weight',
  name: 'all else was equal, and its name comes first',
}

function edges({ candidates, edge }: Weighed, node: string): NonNullable<Look['edges']> {
  return candidates.flatMap(({ node: other }) => {
    const by = other === node ? undefined : edge(node, other)
    return by === undefined ? [] : [{ over: other, by, words: EDGES[by] ?? by }]
  })
}
