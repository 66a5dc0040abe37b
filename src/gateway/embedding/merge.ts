/** Several embedding requests with one frame made one body, each of their inputs in it once, in order of appearance. */
import type { EmbeddingAsk } from './ask.ts'

export interface Merged {
  readonly body: Buffer
  readonly inputs: readonly string[]
  /** For each request, where its inputs are among those. */
  readonly places: readonly (readonly number[])[]
}

export function merge(asks: readonly EmbeddingAsk[]): Merged {
  const at = new Map<string, number>()
  const places = asks.map(({ inputs }) =>
    inputs.map(text => {
      const place = at.get(text) ?? at.size
      at.set(text, place)
      return place
    }),
  )
  const inputs = [...at.keys()]
  return { body: Buffer.from(`{${asks[0]!.frame},"input":${JSON.stringify(inputs)}}`), inputs, places }
}

/** Whole tokens for each input, by their bytes; together what the node counted for all of them. */
export function shares(tokens: number, inputs: readonly string[]): readonly number[] {
  const weights = inputs.map(text => Buffer.byteLength(text))
  const whole = weights.reduce((sum, weight) => sum + weight, 0)
  let weighed = 0
  let given = 0
  return weights.map(weight => {
    weighed += weight
    const share = Math.round((tokens * weighed) / whole) - given
    given += share
    return share
  })
}
