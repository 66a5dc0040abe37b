/** Embedding: texts in, vectors out, the same on every node. */
import { schedule } from './admission.ts'
import { sleep } from './client.ts'
import { Fault } from './dialect.ts'
import type { Exchange } from './exchange.ts'
import type { Name } from './names.ts'
import { findModel, nanosSince, notFound, notPulled, referTo, type SimNode } from './node.ts'
import type { EmbedRequest } from './requests.ts'
import type { Lease } from './runner.ts'
import { breakDown } from './speech.ts'
import type { StoredModel } from './store.ts'
import { hash, normalised, tokenCount, embed as vectorOf } from './words.ts'

export interface Embedded {
  /** L2-normalised and cut to the dimensions asked for. */
  readonly embeddings: number[][]
  readonly totalNanos: number
  readonly loadNanos: number
  readonly promptTokens: number
}

const NO_EMBEDDINGS = 'This server does not support embeddings. Start it with `--embeddings`'

/** Answers `undefined` for an empty input, which only loads the model. */
export async function embed(
  node: SimNode,
  x: Exchange,
  request: EmbedRequest,
): Promise<Embedded | undefined> {
  const started = node.clock.monotonic()
  const raw = request.model ?? ''
  const name = referTo(node, raw, notFound(raw))
  const input = inputsOf(request.input)
  const model = node.store.find(name)
  if (model === undefined) throw notPulled(raw)
  const { lease } = await schedule(node, x, model, request)
  try {
    const loadNanos = nanosSince(node, started)
    if (input.length === 0) return undefined
    let promptTokens = 0
    for (const text of input) {
      const tokens = tokenCount(text) + 2
      if (tokens > lease.contextLength && request.truncate === false)
        throw new Fault(400, 'the input length exceeds the context length')
      promptTokens += Math.min(tokens, lease.contextLength)
    }
    await read(node, x, lease, model, promptTokens)
    const embeddings = input.map(text => {
      const vector = normalised(vectorFor(node, model, text))
      const wanted = request.dimensions ?? 0
      return wanted > 0 && wanted < vector.length ? normalised(vector.slice(0, wanted)) : vector
    })
    return { embeddings, totalNanos: nanosSince(node, started), loadNanos, promptTokens }
  } finally {
    lease.end()
  }
}

/** The old /api/embeddings: not normalised, and the one route that wants a name's exact letters. */
export async function embedOne(
  node: SimNode,
  x: Exchange,
  request: { model?: string; prompt?: string; keep_alive?: number; options?: Record<string, unknown> },
): Promise<number[]> {
  const raw = request.model ?? ''
  const model = findModel(node, raw, { nameless: new Fault(400, 'model is required'), absent: notPulled })
  if (!spelledAs(raw, model.name)) throw notPulled(raw)
  const { lease } = await schedule(node, x, model, request)
  try {
    if (!request.prompt) return []
    await read(node, x, lease, model, tokenCount(request.prompt) + 2, 500)
    return vectorFor(node, model, request.prompt)
  } finally {
    lease.end()
  }
}

/** Reads inputs for their vectors. Where the model has none, /api/embed says 501, and the old /api/embeddings 500. */
async function read(
  node: SimNode,
  x: Exchange,
  lease: Lease,
  model: StoredModel,
  tokens: number,
  refusal: 500 | 501 = 501,
): Promise<void> {
  if (!model.capabilities.includes('embedding')) throw new Fault(refusal, NO_EMBEDDINGS)
  await lease.slot(x)
  const { mode } = node.temper.now
  const breaks = node.temper.breaksAfter() !== Number.POSITIVE_INFINITY
  await sleep(node.clock, node.scale((tokens / node.options.prefillTps) * 1000), x)
  if (breaks) await breakDown(mode, x, lease)
  node.counters.tokens += tokens
}

function vectorFor(node: SimNode, model: StoredModel, text: string): number[] {
  return vectorOf(hash(`${node.options.seed} ${model.blob} ${text}`), model.embeddingLength)
}

function inputsOf(input: unknown): string[] {
  if (input === undefined || input === '') return []
  if (typeof input === 'string') return [input]
  if (!Array.isArray(input) || input.some(item => typeof item !== 'string'))
    throw new Fault(400, 'invalid input type')
  return input
}

/** Do the letters agree where the client wrote them out? */
function spelledAs(raw: string, { model, tag }: Name): boolean {
  const last = raw.trim().slice(raw.trim().lastIndexOf('/') + 1)
  return (
    last === model ||
    last === `${model}:${tag}` ||
    last === `${model}:local` ||
    last === `${model}:${tag}:local`
  )
}
