/**
 * What a journal says of the past: who asked when and for how much, what became of it, and what the fleet was like.
 * Folded fact by fact; figures are read at the end.
 */
import type { On } from '../../machines/entity.ts'
import type { Fact } from '../../machines/index.ts'
import type { NodeData } from '../../machines/node.ts'
import { replicaId, replicaParts } from '../../machines/replica.ts'
import type { RequestClass } from '../../machines/request.ts'
import type { Entry } from '../journal/journal.ts'
import type { Away } from './calendar.ts'

/** One request as it went. Times in milliseconds since the epoch. */
export interface Recorded {
  readonly id: string
  readonly model: string
  readonly client: string
  readonly priority: number
  readonly class?: RequestClass
  readonly labels?: Readonly<Record<string, string>>
  readonly admittedAt: number
  readonly expiresAt: number
  assignedAt?: number
  begunAt?: number
  endedAt?: number
  /** `left` is whoever gave up waiting or was told to; `leased` was never the fleet's to do. */
  end?: 'answered' | 'refused' | 'failed' | 'left' | 'leased'
  promptTokens?: number
  outputTokens?: number
  /** It rode on another one's call, and so its time is not its own. */
  shared?: boolean
}

/** Amounts and the time they took; a speed is their quotient. */
export interface Tally {
  tokens: number
  ms: number
}

/** What one model was seen to do on one node. `whole`: answers that say only how long all of it took. */
export interface Seen {
  readonly prompt: Tally
  readonly output: Tally
  readonly whole: Tally
  readonly loadsMs: number[]
}

export interface RecordedNode {
  readonly data: NodeData
  readonly away: Away[]
  /** Since when it is away; undefined while it is there. */
  awaySince: number | undefined
  readonly models: Set<string>
  /** Of all its GPUs, where an agent said so. */
  memoryBytes: number | undefined
}

export interface Recording {
  readonly requests: Map<string, Recorded>
  readonly nodes: Map<string, RecordedNode>
  /** By `model@node`. */
  readonly seen: Map<string, Seen>
  readonly sizeBytes: Map<string, number>
  /** When a model was there, whoever had loaded it. */
  readonly loadedAt: number[]
  firstAt: number
  lastAt: number
}

export class Recorder {
  readonly recording: Recording = {
    requests: new Map(),
    nodes: new Map(),
    seen: new Map(),
    sizeBytes: new Map(),
    loadedAt: [],
    firstAt: Number.NaN,
    lastAt: Number.NaN,
  }

  hear(entry: Entry): void {
    if (Number.isNaN(this.recording.firstAt)) this.recording.firstAt = entry.at
    this.recording.lastAt = entry.at
    // What was erased says nothing any more.
    if (entry.data === null) return
    ;(rows as Record<string, ((self: Recording, entry: Entry) => void) | undefined>)[entry.type]?.(
      this.recording,
      entry,
    )
  }
}

const rows: On<Fact, Recording> = {
  'node.registered': ({ nodes }, { id, at, data }) => {
    const known = nodes.get(id)
    nodes.set(id, { away: [], awaySince: at, models: new Set(), ...known, memoryBytes: undefined, data })
  },
  'node.equipped': ({ nodes }, { id, data: { gpus } }) => {
    const memories = gpus.flatMap(({ memoryBytes }) => memoryBytes ?? [])
    const known = memories.length > 0 && memories.length === gpus.length
    nodes.get(id)!.memoryBytes = known ? memories.reduce((a, b) => a + b) : undefined
  },
  'node.joined': back,
  'node.returned': back,
  'node.resumed': back,
  'node.lost': away,
  'node.emptied': away,
  'node.removed': away,
  'replica.found': ({ nodes, sizeBytes }, { id, data }) => {
    const { model, node } = replicaParts(id)
    nodes.get(node)?.models.add(model)
    sizeBytes.set(model, data.sizeBytes)
  },
  'replica.loaded': (self, { id, at, data: { ms } }) => {
    self.loadedAt.push(at)
    if (ms !== undefined) seenOf(self, id).loadsMs.push(ms)
  },
  'request.admitted': ({ requests }, { id, at, data }) => {
    const { model, client, priority, expiresAt, labels } = data
    requests.set(id, {
      id,
      model,
      client,
      priority,
      expiresAt,
      admittedAt: at,
      ...(data.class !== undefined && { class: data.class }),
      ...(labels !== undefined && { labels }),
    })
  },
  'request.assigned': ({ requests }, { id, at, data: { batch = id } }) => {
    const request = requests.get(id)
    if (request === undefined) return
    request.assignedAt = at
    request.shared = batch !== id
  },
  'request.leased': (self, { id, at }) => end(self, id, at, 'leased'),
  'request.begun': ({ requests }, { id, at }) => {
    const request = requests.get(id)
    if (request !== undefined) request.begunAt = at
  },
  'request.completed': (self, { id, at, data }) => {
    const { node, model, status, promptTokens, outputTokens } = data
    const request = self.requests.get(id)
    if (request?.end === 'leased') return
    end(self, id, at, status < 400 ? 'answered' : 'refused')
    if (status >= 400) return
    if (request?.shared !== true) learn(seenOf(self, replicaId(model, node)), data)
    if (request === undefined || (promptTokens === undefined && outputTokens === undefined)) return
    // An embedding has no answer to count; an answer without a prompt's count began where another one ended.
    request.promptTokens = promptTokens ?? 0
    request.outputTokens = outputTokens ?? 0
  },
  'request.failed': (self, { id, at }) => end(self, id, at, 'failed'),
  'request.expired': (self, { id, at }) => end(self, id, at, 'left'),
  'request.abandoned': (self, { id, at }) => end(self, id, at, 'left'),
  'request.cancelled': (self, { id, at }) => end(self, id, at, 'left'),
}

function end({ requests }: Recording, id: string, at: number, how: NonNullable<Recorded['end']>): void {
  const request = requests.get(id)
  // A worker's answer to what it had leased does not make it the fleet's.
  if (request === undefined || request.end === 'leased') return
  request.end = how
  request.endedAt = at
}

function seenOf({ seen }: Recording, replica: string): Seen {
  let found = seen.get(replica)
  if (found === undefined) {
    const none = (): Tally => ({ tokens: 0, ms: 0 })
    found = { prompt: none(), output: none(), whole: none(), loadsMs: [] }
    seen.set(replica, found)
  }
  return found
}

type Completed = Extract<Fact, { type: 'request.completed' }>['data']

function learn({ prompt, output, whole }: Seen, data: Completed): void {
  const { promptTokens = 0, outputTokens = 0, promptMs, outputMs, runMs } = data
  if (promptTokens > 0 && promptMs !== undefined) add(prompt, promptTokens, promptMs)
  if (outputTokens > 0 && outputMs !== undefined) add(output, outputTokens, outputMs)
  if (promptMs === undefined && outputMs === undefined) add(whole, promptTokens + outputTokens, runMs)
}

function add(tally: Tally, tokens: number, ms: number): void {
  tally.tokens += tokens
  tally.ms += ms
}

function back({ nodes }: Recording, { id, at }: { id: string; at: number }): void {
  const node = nodes.get(id)
  if (node?.awaySince === undefined) return
  if (at > node.awaySince) node.away.push({ from: node.awaySince, until: at })
  node.awaySince = undefined
}

function away({ nodes }: Recording, { id, at }: { id: string; at: number }): void {
  const node = nodes.get(id)
  if (node !== undefined) node.awaySince ??= at
}
