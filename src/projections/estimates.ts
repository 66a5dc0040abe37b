/**
 * How long does a model take to load on a node, and to answer; how long will an answer be? Learned from the figures in
 * each reply, by model and node; where a model was never seen on a node, from how that node compares on others; where
 * it was never seen at all, from its size. What simulated nodes do says nothing about real ones, and the reverse.
 */
import { replicaId, replicaParts } from '../../machines/replica.ts'
import { projection } from './projection.ts'
import { addTo, emptySpread, quantileOf, type Spread } from './spread.ts'

export interface Tokens {
  readonly promptTokens: number
  readonly outputTokens: number
}

/** Moving averages of what was seen of one model: on one node, or on all nodes of one sort. */
export interface Seen {
  loadMs?: number
  runMs?: number
  /** Tokens a second. */
  prefillTps?: number
  decodeTps?: number
  /** Of one answer among 1, 2, 3 to 4, 5 to 8, … at once. */
  readonly decodeAmongTps: number[]
}

/** A model on a node: what was seen there, and what was seen of the model on all nodes of that sort. */
export interface Known extends Seen {
  readonly model: string
  readonly node: string
  sizeBytes: number
  kin: Seen
}

interface Running {
  readonly replica: string
  readonly client: string
  readonly bodyBytes: number
  /** How many ran of that model on that node, this one included. */
  readonly together: number
  readonly assignedAt: number
  begunAt: number
}

interface Admitted {
  readonly model: string
  readonly client: string
  readonly bodyBytes: number
  readonly at: number
  /** How long it was thought to wait. */
  readonly waitMs: number | undefined
}

interface Estimates {
  /** By `model@node`. */
  readonly replicas: Map<string, Known>
  /** By model, or by model and `simulated`. */
  readonly kin: Map<string, Seen>
  /** By node: how much faster than others it decodes what they have in common. */
  readonly speed: Map<string, number>
  readonly simulated: Set<string>
  /** By model: bytes of a body per token of its prompt, and tokens of a prompt. */
  readonly tokenBytes: Map<string, number>
  readonly promptTokens: Map<string, number>
  /** Lengths of answers in tokens, by model; and by model and client. */
  readonly outputs: Map<string, Spread>
  readonly ownOutputs: Map<string, Spread>
  /** By how much predictions of waits were wrong, milliseconds. */
  readonly waitErrors: Spread
  readonly admitted: Map<string, Admitted>
  readonly running: Map<string, Running>
  readonly together: Map<string, number>
}

export type EstimatesProjection = ReturnType<typeof estimates>

/** Each new figure moves the average by this much: about the last eight count. */
const WEIGHT = 0.25
/** Lengths of answers are remembered of so many models, and of so many clients with a model; the oldest go first. */
const LENGTHS_MAX = 2_000
/** Below this an answer is too short to tell a speed from. */
const OUTPUT_TOKENS_MIN = 8

export const estimates = () =>
  projection(
    {
      replicas: new Map(),
      kin: new Map(),
      speed: new Map(),
      simulated: new Set(),
      tokenBytes: new Map(),
      promptTokens: new Map(),
      outputs: new Map(),
      ownOutputs: new Map(),
      waitErrors: emptySpread(),
      admitted: new Map(),
      running: new Map(),
      together: new Map(),
    } as Estimates,
    {
      'node.registered': (self, { id, data: { origin, labels } }) => {
        if (origin === 'embedded' || labels.simulated === 'true') self.simulated.add(id)
        else self.simulated.delete(id)
        for (const known of self.replicas.values()) if (known.node === id) known.kin = kinOf(self, known)
      },
      'replica.found': (self, { id, data: { sizeBytes } }) => {
        known(self, id).sizeBytes = sizeBytes
      },
      'replica.loaded': (self, { id, data: { ms } }) => {
        if (ms !== undefined) learnBoth(known(self, id), 'loadMs', ms)
      },
      'request.admitted': (self, { id, at, data: { model, client, bodyBytes, estimate } }) => {
        self.admitted.set(id, { model, client, bodyBytes, at, waitMs: estimate?.waitMs })
      },
      'request.assigned': (self, { id, at, data: { node, attempt, batch = id } }) => {
        const asked = self.admitted.get(id)
        if (asked === undefined) return
        const { model, client, bodyBytes, waitMs } = asked
        if (attempt === 1 && waitMs !== undefined) addTo(self.waitErrors, Math.abs(at - asked.at - waitMs))
        if (batch !== id) return // its time is not its own
        const replica = replicaId(model, node)
        const together = (self.together.get(replica) ?? 0) + 1
        self.together.set(replica, together)
        self.running.set(id, { replica, client, bodyBytes, together, assignedAt: at, begunAt: at })
      },
      'request.begun': (self, { id, at, data: { heldMs = 0 } }) => {
        const run = self.running.get(id)
        if (run !== undefined) run.begunAt = at - heldMs // what is held back comes out all at once
      },
      'request.completed': (self, { id, at, data }) => {
        const run = self.running.get(id)
        leave(self, id)
        self.admitted.delete(id)
        if (run === undefined || data.status >= 400) return
        const { promptTokens = 0, outputTokens = 0, promptMs, outputMs, runMs } = data
        const { replica, client, bodyBytes, together } = run
        const there = known(self, replica)
        const { model, node, kin } = there
        learnBoth(there, 'runMs', runMs)
        if (promptTokens > 0) {
          learn(self.tokenBytes, model, bodyBytes / promptTokens)
          learn(self.promptTokens, model, promptTokens)
          if (promptMs !== undefined && promptMs > 0)
            learnBoth(there, 'prefillTps', (1_000 * promptTokens) / promptMs)
        }
        if (outputTokens === 0) return
        addTo(lengthsOf(self.outputs, model), outputTokens)
        addTo(lengthsOf(self.ownOutputs, `${model} ${client}`), outputTokens)
        // Where the node gives no times, a streamed answer shows its pace.
        const ms = outputMs ?? (run.begunAt > run.assignedAt ? at - run.begunAt : 0)
        if (outputTokens < OUTPUT_TOKENS_MIN || ms <= 0) return
        const tps = (1_000 * outputTokens) / ms
        if (kin.decodeTps !== undefined) learn(self.speed, node, tps / kin.decodeTps)
        learnBoth(there, 'decodeTps', tps)
        for (const seen of [there, kin])
          seen.decodeAmongTps[crowd(together)] = moved(seen.decodeAmongTps[crowd(together)], tps)
      },
      'request.retried': (self, { id }) => leave(self, id),
      'request.failed': over,
      'request.expired': over,
      'request.abandoned': over,
      'request.cancelled': over,
      'model.gone': (self, { id }) => {
        self.kin.delete(id)
        self.kin.delete(simulated(id))
        self.outputs.delete(id)
        for (const key of self.ownOutputs.keys()) if (key.startsWith(`${id} `)) self.ownOutputs.delete(key)
      },
      'replica.removed': (self, { id }) => void self.replicas.delete(id),
      'node.removed': (self, { id }) => {
        for (const [key, { node }] of self.replicas) if (node === id) self.replicas.delete(key)
        self.speed.delete(id)
        self.simulated.delete(id)
      },
    },
  )

/** Before anything was seen: a fixed part, then a disk that reads 500 MB/s. Ollama's loads take 2 to 30 s. */
const LOAD_PRIOR_MS = 1_500
const DISK_BYTES_PER_MS = 500_000
/** Each token of an answer reads the whole model once: a GPU of the middle sort reads 200 GB/s. */
const MEMORY_BYTES_PER_S = 200e9
/** Prompts go that much faster: 1,500 against 40 to 80 tokens a second. */
const PREFILL_FACTOR = 20
const TOKEN_BYTES_PRIOR = 4
const OUTPUT_PRIOR = 200
/** A model nobody knows the size of. */
const SIZE_PRIOR_BYTES = 4e9

/** What it took there; else what it took on other nodes of its sort; else what its size suggests. */
export function loadEstimateMs(self: Estimates, replica: string): number {
  return loadMsOf(seenOf(self, replica))
}

/** How long an answer takes there once it has begun to run, together with `together - 1` others. */
export function runEstimateMs(self: Estimates, replica: string, tokens?: Tokens, together = 1): number {
  return runMsOf(self, seenOf(self, replica), tokens, together)
}

/** The same, for who asks of one replica again and again. */
export function loadMsOf({ loadMs, kin, sizeBytes }: Known): number {
  return Math.round(loadMs ?? kin.loadMs ?? LOAD_PRIOR_MS + sizeBytes / DISK_BYTES_PER_MS)
}

export function runMsOf(self: Estimates, there: Known, tokens?: Tokens, together = 1): number {
  const { model, kin, sizeBytes } = there
  const seen = there.runMs ?? kin.runMs
  // What has no tokens to count (embeddings) takes what it took.
  if (seen !== undefined && !self.outputs.has(model)) return Math.round(seen)
  const { promptTokens, outputTokens } = tokens ?? typical(self, model)
  const decode = decodeOf(self, there, together) ?? MEMORY_BYTES_PER_S / (sizeBytes || SIZE_PRIOR_BYTES)
  const prefill = there.prefillTps ?? kin.prefillTps ?? decode * PREFILL_FACTOR
  return Math.round((1_000 * promptTokens) / prefill + (1_000 * outputTokens) / decode)
}

/** Tokens a second, of one answer among `together`; undefined where nothing like it was ever seen. */
export function decodeTps(self: Estimates, replica: string, together = 1): number | undefined {
  return decodeOf(self, seenOf(self, replica), together)
}

/** What a question is expected to cost. `outputMax` is what its client allows it, in tokens. */
export function expectTokens(
  self: Estimates,
  {
    model,
    client,
    bodyBytes,
    outputMax,
  }: {
    readonly model: string
    readonly client: string
    readonly bodyBytes: number
    readonly outputMax?: number | undefined
  },
): Tokens {
  const promptTokens = Math.ceil(bodyBytes / (self.tokenBytes.get(model) ?? TOKEN_BYTES_PRIOR))
  const usual = outputQuantile(self, model, client, 0.5) ?? OUTPUT_PRIOR
  const capped = outputMax === undefined || outputMax < 0 ? usual : Math.min(usual, outputMax)
  return { promptTokens, outputTokens: Math.round(capped) }
}

/** The client's own answers where there are enough of them, else all of the model's. */
export function outputQuantile(
  self: Estimates,
  model: string,
  client: string,
  q: number,
): number | undefined {
  const own = self.ownOutputs.get(`${model} ${client}`)
  const lengths = own !== undefined && own.size >= OWN_MIN ? own : self.outputs.get(model)
  return lengths && quantileOf(lengths, q)
}

const OWN_MIN = 5

/** Of four predictions in five, the wait was off by no more than this; milliseconds. */
export function waitErrorMs({ waitErrors }: Estimates): number | undefined {
  return waitErrors.size < OWN_MIN ? undefined : quantileOf(waitErrors, 0.8)
}

function decodeOf({ speed }: Estimates, there: Known, together: number): number | undefined {
  const here = there.decodeAmongTps[crowd(together)] ?? there.decodeTps
  if (here !== undefined) return here
  const usual = there.kin.decodeAmongTps[crowd(together)] ?? there.kin.decodeTps
  return usual === undefined ? undefined : usual * (speed.get(there.node) ?? 1)
}

function typical(self: Estimates, model: string): Tokens {
  const promptTokens = self.promptTokens.get(model) ?? OUTPUT_PRIOR
  const lengths = self.outputs.get(model)
  return { promptTokens, outputTokens: (lengths && quantileOf(lengths, 0.5)) ?? OUTPUT_PRIOR }
}

function known(self: Estimates, replica: string): Known {
  let found = self.replicas.get(replica)
  if (found === undefined) {
    const parts = replicaParts(replica)
    found = { ...parts, sizeBytes: 0, decodeAmongTps: [], kin: kinOf(self, parts) }
    self.replicas.set(replica, found)
  }
  return found
}

/** What was seen of a model on a node, if anything was. Leaves no trace: anybody may ask for any name. */
export function seenOf(self: Estimates, replica: string): Known {
  const found = self.replicas.get(replica)
  if (found !== undefined) return found
  const parts = replicaParts(replica)
  const kin = self.kin.get(kinKey(self, parts)) ?? NOTHING
  return { ...parts, sizeBytes: 0, decodeAmongTps: [], kin }
}

const NOTHING: Seen = Object.freeze({ decodeAmongTps: [] })

/** What all nodes of one sort share of a model. */
function kinOf(self: Estimates, replica: { readonly model: string; readonly node: string }): Seen {
  const { kin } = self
  const key = kinKey(self, replica)
  let seen = kin.get(key)
  if (seen === undefined) {
    seen = { decodeAmongTps: [] }
    kin.set(key, seen)
  }
  return seen
}

function kinKey(self: Estimates, { model, node }: { readonly model: string; readonly node: string }): string {
  return self.simulated.has(node) ? simulated(model) : model
}

function simulated(model: string): string {
  return `${model} simulated`
}

/** 0 for one alone, 1 for two, 2 for three and four, 3 for up to eight, and so on. */
function crowd(together: number): number {
  return Math.ceil(Math.log2(Math.max(1, together)))
}

function learnBoth(there: Known, name: 'loadMs' | 'runMs' | 'prefillTps' | 'decodeTps', value: number): void {
  there[name] = moved(there[name], value)
  there.kin[name] = moved(there.kin[name], value)
}

function learn(map: Map<string, number>, key: string, value: number): void {
  map.set(key, moved(map.get(key), value))
}

function moved(average: number | undefined, value: number): number {
  return average === undefined ? value : average + WEIGHT * (value - average)
}

function lengthsOf(map: Map<string, Spread>, key: string): Spread {
  let lengths = map.get(key)
  if (lengths === undefined) {
    if (map.size >= LENGTHS_MAX) map.delete(map.keys().next().value!)
    lengths = emptySpread()
    map.set(key, lengths)
  }
  return lengths
}

function leave(self: Estimates, id: string): void {
  const run = self.running.get(id)
  if (run === undefined) return
  self.running.delete(id)
  const left = (self.together.get(run.replica) ?? 1) - 1
  if (left > 0) self.together.set(run.replica, left)
  else self.together.delete(run.replica)
}

function over(self: Estimates, { id }: { readonly id: string }): void {
  leave(self, id)
  self.admitted.delete(id)
}
