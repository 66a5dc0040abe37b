/**
 * What a simulated node can be told, with defaults and a sentence each, so that a verb on the command line can
 * print and read them; and how a list of model names becomes models.
 */
import { type Clock, systemClock } from '../clock.ts'

export type Capability = 'completion' | 'embedding' | 'tools' | 'thinking' | 'vision' | 'audio' | 'insert'

/** A model to begin with. What is left out follows from the name. */
export interface ModelSpec {
  readonly name: string
  readonly capabilities?: readonly Capability[]
  readonly sizeBytes?: number
  readonly contextLength?: number
  readonly embeddingLength?: number
  /** Overrides the node's `loadMs`. */
  readonly loadMs?: number
}

export interface SimOptions {
  readonly host: string
  readonly port: number
  readonly name: string
  readonly models: string | readonly (string | ModelSpec)[]
  readonly slots: number
  readonly resident: number
  readonly maxQueue: number
  readonly loadMs: number
  readonly prefillTps: number
  readonly decodeTps: number
  readonly pullBytesPerSec: number
  readonly keepAliveMs: number
  readonly numCtx: number
  readonly words: number
  readonly seed: number
  readonly speed: number
  readonly cloud: boolean
  readonly version: string
  readonly clock: Clock
}

type Row<T> = { readonly fallback: T; readonly sentence: string }

export const SIM_OPTIONS: { readonly [K in keyof SimOptions]: Row<SimOptions[K]> } = {
  host: {
    fallback: '127.0.0.1',
    sentence: 'Address to listen on; Host headers are checked on a loopback one.',
  },
  port: { fallback: 0, sentence: 'Port to listen on; 0 takes a free one.' },
  name: { fallback: 'sim-1', sentence: 'What the node is called here; Ollama itself has no such thing.' },
  models: {
    fallback: 'tiny:latest,embed:latest',
    sentence:
      'Models present, by name: embed, think, tools, vision, audio, insert in a name say what it can.',
  },
  slots: { fallback: 1, sentence: 'Requests a model answers at once (OLLAMA_NUM_PARALLEL).' },
  resident: { fallback: 1, sentence: 'Models in memory at once (OLLAMA_MAX_LOADED_MODELS).' },
  maxQueue: { fallback: 512, sentence: 'Requests that may wait for a load (OLLAMA_MAX_QUEUE).' },
  loadMs: { fallback: 300, sentence: 'How long a model takes to load.' },
  prefillTps: { fallback: 2000, sentence: 'Prompt tokens a second.' },
  decodeTps: { fallback: 60, sentence: 'Answer tokens a second, in each slot.' },
  pullBytesPerSec: { fallback: 1e9, sentence: 'Bytes a second of a pull or push.' },
  keepAliveMs: { fallback: 300_000, sentence: 'How long an idle model stays (OLLAMA_KEEP_ALIVE).' },
  numCtx: { fallback: 4096, sentence: 'Context of a request that asks for none (OLLAMA_CONTEXT_LENGTH).' },
  words: { fallback: 32, sentence: 'Tokens of an answer that nothing cuts short.' },
  seed: { fallback: 1, sentence: 'Nodes with equal seeds hold equal models and give equal answers.' },
  speed: { fallback: 1, sentence: 'Divides every delay, keep-alives too; replies report undivided time.' },
  cloud: { fallback: false, sentence: 'Whether cloud models are enabled (nobody is signed in).' },
  version: { fallback: '0.33.0', sentence: 'The version it claims.' },
  clock: { fallback: systemClock, sentence: 'Where time comes from.' },
}

export const SIM_DEFAULTS: SimOptions = Object.freeze(
  Object.fromEntries(
    Object.entries(SIM_OPTIONS).map(([key, row]) => [key, row.fallback]),
  ) as unknown as SimOptions,
)

export function modelSpecs(models: SimOptions['models']): ModelSpec[] {
  const listed = typeof models === 'string' ? models.split(',') : models
  return listed
    .map(model => (typeof model === 'string' ? { name: model.trim() } : model))
    .filter(({ name }) => name !== '')
}
