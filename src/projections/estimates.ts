/**
 * How long does a model take to load on a node, and to answer; how long will an answer be? Learned from the figures in
 * each reply, by model and node; where a model was never seen on a node, from how that node compares on others; where
 * it was never seen at all, from its size. What simulated nodes do says nothing about real ones, and the reverse.
 */
import { replicaId, replicaParts } from '../../machines/replica.ts'
import { projection } from './projection.ts'
import { Spread } from './spread.ts'

export interface Tokens {
  readonly promptTokens: number
  readonly outputTokens: number
}

/** Moving averages, by `model@node`, and by model for all nodes of a sort (see kin()). */
type Averages = Map<string, number>

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
  readonly loadMs: Averages
  readonly runMs: Averages
  /** Tokens a second. Decoding also by how many ran together: `model@node#2`. */
  readonly prefillTps: Averages
  readonly decodeTps: Averages
  /** By node: how much faster than others it decodes what they have in common. */
  readonly speed: Averages
  readonly sizeBytes: Map<string, number>
  readonly simulated: Set<string>
  /** By model: bytes of a body per token of its prompt, and tokens of a prompt. */
  readonly tokenBytes: Averages
  readonly promptTokens: Averages
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
      loadMs: new Map(),
      runMs: new Map(),
      prefillTps: new Map(),
      decodeTps: new Map(),
      speed: new Map(),
      sizeBytes: new Map(),
      simulated: new Set(),
      tokenBytes: new Map(),
      promptTokens: new Map(),
      outputs: new Map(),
      ownOutputs: new Map(),
      waitErrors: new Spread(),
      admitted: new Map(),
      running: new Map(),
      together: new Map(),
    } as Estimates,
    {
      'node.registered': (self, { id, data: { origin, labels } }) => {
        if (origin === 'embedded' || labels.simulated === 'true') self.simulated.add(id)
        else self.simulated.delete(id)
      },
      'replica.found': (self, { id, data }) => void self.sizeBytes.set(id, data.sizeBytes),
      'replica.loaded': (self, { id, data: { ms } }) => {
        if (ms !== undefined) learnAll(self, self.loadMs, id, ms)
      },
      'request.admitted': (self, { id, at, data: { model, client, bodyBytes, estimate } }) => {
        self.admitted.set(id, { model, client, bodyBytes, at, waitMs: estimate?.waitMs })
      },
      'request.assigned': (self, { id, at, data: { node, attempt, batch = id } }) => {
        const asked = self.admitted.get(id)
        if (asked === undefined) return
        const { model, client, bodyBytes, waitMs } = asked
        if (attempt === 1 && waitMs !== undefined) self.waitErrors.add(Math.abs(at - asked.at - waitMs))
        if (batch !== id) return // its time is not its own
        const replica = replicaId(model, node)
        const together = (self.together.get(replica) ?? 0) + 1
        self.together.set(replica, together)
        self.running.set(id, { replica, client, bodyBytes, together, assignedAt: at, begunAt: at })
      },
      'request.begun': (self, { id, at }) => {
        const run = self.running.get(id)
        if (run !== undefined) run.begunAt = at
      },
      'request.completed': (self, { id, at, data }) => {
        const run = self.running.get(id)
        leave(self, id)
        self.admitted.delete(id)
        if (run === undefined || data.status >= 400) return
        const { promptTokens = 0, outputTokens = 0, promptMs, outputMs, runMs } = data
        const { replica, client, bodyBytes, together } = run
        const { model, node } = replicaParts(replica)
        learnAll(self, self.runMs, replica, runMs)
        if (promptTokens > 0) {
          learn(self.tokenBytes, model, bodyBytes / promptTokens)
          learn(self.promptTokens, model, promptTokens)
          if (promptMs !== undefined && promptMs > 0)
            learnAll(self, self.prefillTps, replica, (1_000 * promptTokens) / promptMs)
        }
        if (outputTokens === 0) return
        lengthsOf(self.outputs, model).add(outputTokens)
        lengthsOf(self.ownOutputs, `${model} ${client}`).add(outputTokens)
        // Where the node gives no times, a streamed answer shows its pace.
        const ms = outputMs ?? (run.begunAt > run.assignedAt ? at - run.begunAt : 0)
        if (outputTokens < OUTPUT_TOKENS_MIN || ms <= 0) return
        const tps = (1_000 * outputTokens) / ms
        const usual = self.decodeTps.get(kin(self, replica))
        if (usual !== undefined) learn(self.speed, node, tps / usual)
        learnAll(self, self.decodeTps, replica, tps)
        learn(self.decodeTps, `${replica}#${crowd(together)}`, tps)
      },
      'request.retried': (self, { id }) => leave(self, id),
      'request.failed': over,
      'request.expired': over,
      'request.abandoned': over,
      'request.cancelled': over,
      'model.gone': (self, { id }) => {
        for (const map of averages(self))
          for (const key of map.keys()) if (modelOf(key) === id) map.delete(key)
        self.outputs.delete(id)
        for (const key of self.ownOutputs.keys()) if (modelOf(key) === id) self.ownOutputs.delete(key)
      },
      'replica.removed': (self, { id }) => {
        for (const map of averages(self)) map.delete(id)
        self.sizeBytes.delete(id)
      },
      'node.removed': (self, { id }) => {
        for (const map of [...averages(self), self.sizeBytes])
          for (const key of map.keys()) if (replicaParts(key.split('#', 1)[0]!).node === id) map.delete(key)
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
  const seen = self.loadMs.get(replica) ?? self.loadMs.get(kin(self, replica))
  return Math.round(seen ?? LOAD_PRIOR_MS + (self.sizeBytes.get(replica) ?? 0) / DISK_BYTES_PER_MS)
}

/** How long an answer takes there once it has begun to run, together with `together - 1` others. */
export function runEstimateMs(self: Estimates, replica: string, tokens?: Tokens, together = 1): number {
  const { model } = replicaParts(replica)
  const decode = decodeEstimateTps(self, replica, together)
  const prefill = self.prefillTps.get(replica) ?? self.prefillTps.get(kin(self, replica))
  const seen = self.runMs.get(replica) ?? self.runMs.get(kin(self, replica))
  // What has no tokens to count (embeddings) takes what it took.
  if (seen !== undefined && !self.outputs.has(model)) return Math.round(seen)
  const { promptTokens, outputTokens } = tokens ?? typical(self, model)
  const speeds = { prefill: prefill ?? decode * PREFILL_FACTOR, decode }
  return Math.round((1_000 * promptTokens) / speeds.prefill + (1_000 * outputTokens) / speeds.decode)
}

/** Tokens a second, of one answer among `together`; undefined where nothing like it was ever seen. */
export function decodeTps(self: Estimates, replica: string, together = 1): number | undefined {
  const there = self.decodeTps.get(`${replica}#${crowd(together)}`) ?? self.decodeTps.get(replica)
  if (there !== undefined) return there
  const usual = self.decodeTps.get(kin(self, replica))
  return usual === undefined ? undefined : usual * (self.speed.get(replicaParts(replica).node) ?? 1)
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
  return (own !== undefined && own.size >= OWN_MIN ? own : self.outputs.get(model))?.quantile(q)
}

const OWN_MIN = 5

/** Of four predictions in five, the wait was off by no more than this; milliseconds. */
export function waitErrorMs({ waitErrors }: Estimates): number | undefined {
  return waitErrors.size < OWN_MIN ? undefined : waitErrors.quantile(0.8)
}

function decodeEstimateTps(self: Estimates, replica: string, together: number): number {
  const bytes = self.sizeBytes.get(replica) || SIZE_PRIOR_BYTES
  return decodeTps(self, replica, together) ?? MEMORY_BYTES_PER_S / bytes
}

function typical(self: Estimates, model: string): Tokens {
  const promptTokens = self.promptTokens.get(model) ?? OUTPUT_PRIOR
  return { promptTokens, outputTokens: self.outputs.get(model)?.quantile(0.5) ?? OUTPUT_PRIOR }
}

/** The key under which all nodes of one sort share what they know of a model. */
function kin({ simulated }: Estimates, replica: string): string {
  const { model, node } = replicaParts(replica)
  return simulated.has(node) ? `${model} simulated` : model
}

/** 1, 2, 3 to 4, 5 to 8, and so on. */
function crowd(together: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, together)))
}

function averages({ loadMs, runMs, prefillTps, decodeTps }: Estimates): readonly Averages[] {
  return [loadMs, runMs, prefillTps, decodeTps]
}

function modelOf(key: string): string {
  const plain = key.split(' ', 1)[0]!
  return plain.includes('@') ? replicaParts(plain).model : plain
}

function learnAll(self: Estimates, map: Averages, replica: string, value: number): void {
  learn(map, replica, value)
  learn(map, kin(self, replica), value)
}

function learn(map: Averages, key: string, value: number): void {
  const known = map.get(key)
  map.set(key, known === undefined ? value : known + WEIGHT * (value - known))
}

function lengthsOf(map: Map<string, Spread>, key: string): Spread {
  let lengths = map.get(key)
  if (lengths === undefined) {
    if (map.size >= LENGTHS_MAX) map.delete(map.keys().next().value!)
    lengths = new Spread()
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
