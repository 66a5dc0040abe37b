/**
 * One answer of a node taken apart, and answers put together from its parts, as Ollama writes them. Numbers stay the
 * text that the node wrote: a vector that is read and written again may end in other digits.
 */
import type { EmbeddingPath } from './ask.ts'

/** Those that take several inputs at once. */
export type MergingPath = Exclude<EmbeddingPath, '/api/embeddings'>

export interface Parts {
  /** As JSON, with its quotes. */
  readonly model: string
  /** Each an array of numbers, or for base64 a string; as JSON. */
  readonly vectors: readonly string[]
  /** What /api/embed says of its time: `,"total_duration":1,"load_duration":1`. */
  readonly durations: string
  /** Of all inputs together. */
  readonly tokens: number
}

interface Dialect {
  split(text: string): Parts | undefined
  /** `tokens` is left out where nobody knows them. */
  join(parts: Omit<Parts, 'tokens'> & { readonly tokens?: number }): string
}

/** Undefined for what is not written as Ollama writes: what cannot be put together again to the same bytes. */
export function takeApart(path: MergingPath, text: string): Parts | undefined {
  const parts = dialects[path].split(text)
  return parts !== undefined && dialects[path].join(parts) === text ? parts : undefined
}

export function putTogether(path: MergingPath, parts: Parameters<Dialect['join']>[0]): string {
  return dialects[path].join(parts)
}

const NUMBERS = /^\[-?\d[-+.,\de]*\]$/
const BASE64 = /^"[A-Za-z\d+/=]+"$/

const dialects: Readonly<Record<MergingPath, Dialect>> = {
  '/api/embed': {
    split(text) {
      const head = /^\{"model":("[^"\\]*"),"embeddings":\[(?=\[)/.exec(text)
      const end = text.lastIndexOf(']]')
      const tail =
        /^((?:,"total_duration":\d+)?(?:,"load_duration":\d+)?)(?:,"prompt_eval_count":(\d{1,15}))?\}$/.exec(
          text.slice(end + 2),
        )
      if (head === null || tail === null || end < head[0].length) return undefined
      const vectors = text
        .slice(head[0].length + 1, end)
        .split('],[')
        .map(numbers => `[${numbers}]`)
      if (!vectors.every(vector => NUMBERS.test(vector))) return undefined
      return { model: head[1]!, vectors, durations: tail[1]!, tokens: Number(tail[2] ?? 0) }
    },
    join({ model, vectors, durations, tokens = 0 }) {
      const count = tokens === 0 ? '' : `,"prompt_eval_count":${tokens}`
      return `{"model":${model},"embeddings":[${vectors.join()}]${durations}${count}}`
    },
  },
  '/v1/embeddings': {
    split(text) {
      const opening = '{"object":"list","data":['
      const tail =
        /\],"model":("[^"\\]*"),"usage":\{"prompt_tokens":(\d{1,15}),"total_tokens":\2\}\}\n$/.exec(
          text.slice(-1_024),
        )
      if (!text.startsWith(opening) || tail === null) return undefined
      const rows = text.slice(opening.length, text.length - tail[0].length).split(ROW_END)
      if (rows.pop() !== '') return undefined
      const vectors = rows.map((row, i) => {
        const start = `${i === 0 ? '' : ','}${ROW_START}`
        return row.startsWith(start) ? row.slice(start.length) : ''
      })
      if (!vectors.every(vector => NUMBERS.test(vector) || BASE64.test(vector))) return undefined
      return { model: tail[1]!, vectors, durations: '', tokens: Number(tail[2]) }
    },
    join({ model, vectors, tokens = 0 }) {
      const rows = vectors.map((vector, i) => `${ROW_START}${vector},"index":${i}}`)
      const usage = `{"prompt_tokens":${tokens},"total_tokens":${tokens}}`
      return `{"object":"list","data":[${rows.join()}],"model":${model},"usage":${usage}}\n`
    },
  },
}

const ROW_START = '{"object":"embedding","embedding":'
const ROW_END = /,"index":\d+\}/
