/** The `options` of a request: what kind each must be, and what a load depends on. */
import { Fault } from './dialect.ts'
import type { LoadOptions } from './runner.ts'
import type { StoredModel } from './store.ts'

/** Ollama's name for a kind is the end of `option "num_ctx" must be of type integer`. */
const KINDS: Record<string, 'integer' | 'float32' | 'boolean' | 'array'> = {
  num_ctx: 'integer',
  num_batch: 'integer',
  num_gpu: 'integer',
  main_gpu: 'integer',
  use_mmap: 'boolean',
  num_thread: 'integer',
  draft_num_predict: 'integer',
  num_keep: 'integer',
  seed: 'integer',
  num_predict: 'integer',
  top_k: 'integer',
  top_p: 'float32',
  min_p: 'float32',
  typical_p: 'float32',
  repeat_last_n: 'integer',
  temperature: 'float32',
  repeat_penalty: 'float32',
  presence_penalty: 'float32',
  frequency_penalty: 'float32',
  stop: 'array',
}

export interface Tuning {
  readonly load: LoadOptions
  readonly numPredict: number
  /** Part of what decides the words of an answer. */
  readonly seed: number
  readonly stop: readonly string[]
}

const NUM_BATCH = 512
const EMBEDDING_BATCH = 2048
const SMALLEST_CTX = 4
const VISION_CTX = 2048

export function tune(
  model: StoredModel,
  asked: Record<string, unknown> | undefined,
  shift: boolean | undefined,
  numCtx: number,
): Tuning {
  const options: Record<string, any> = { ...model.parameters, ...asked }
  for (const key in options) check(key, options[key])
  const given = (key: string): number | undefined => {
    const value = options[key]
    return value === undefined || value === null ? undefined : Math.trunc(value)
  }
  const smallest = model.capabilities.includes('vision') ? VISION_CTX : SMALLEST_CTX
  const embedding = model.capabilities.includes('embedding')
  return {
    load: {
      numCtx: Math.max(given('num_ctx') ?? numCtx, smallest),
      numCtxAuto: !('num_ctx' in options),
      numBatch: given('num_batch') ?? (embedding ? EMBEDDING_BATCH : NUM_BATCH),
      numBatchAuto: !embedding && !('num_batch' in options),
      numGpu: given('num_gpu') ?? -1,
      mainGpu: given('main_gpu'),
      useMmap: options['use_mmap'] ?? undefined,
      numThread: given('num_thread') ?? 0,
      draftNumPredict: given('draft_num_predict') ?? 0,
      shift: shift ?? true,
    },
    numPredict: given('num_predict') ?? -1,
    seed: given('seed') ?? -1,
    stop: options['stop'] ?? [],
  }
}

/** An unknown option is ignored; a wrong kind is answered with 500, though it is the client's fault. */
function check(key: string, value: unknown): void {
  const kind = KINDS[key]
  if (kind === undefined || value === null) return
  const right =
    kind === 'array'
      ? Array.isArray(value)
      : kind === 'boolean'
        ? typeof value === 'boolean'
        : typeof value === 'number'
  if (!right) throw new Fault(500, `option ${JSON.stringify(key)} must be of type ${kind}`)
  if (kind === 'array' && (value as unknown[]).some(item => typeof item !== 'string'))
    throw new Fault(500, `option ${JSON.stringify(key)} must be of an array of strings`)
}
