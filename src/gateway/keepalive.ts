/** How long a model is to stay in memory, as Ollama reads a keep_alive: seconds, or a duration of Go's. */

const UNIT_S: Readonly<Record<string, number>> = {
  ...{ ns: 1e-9, us: 1e-6, µs: 1e-6, μs: 1e-6, ms: 1e-3 },
  ...{ s: 1, m: 60, h: 3_600 },
}
const DURATION = /^[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g
/** Go counts nanoseconds in 64 bits: 292 years. */
const SECONDS_MAX = 9_223_372_036

/** Seconds; Infinity for ever, which is all below zero; undefined for what a node would refuse. */
export function keepAliveSeconds(value: unknown): number | undefined {
  if (typeof value === 'number') return value < 0 ? Number.POSITIVE_INFINITY : value
  if (typeof value !== 'string' || !DURATION.test(value)) return undefined
  let seconds = 0
  for (const [, amount, unit] of value.matchAll(PART)) seconds += Number(amount) * UNIT_S[unit!]!
  if (seconds > SECONDS_MAX) return undefined
  return value.startsWith('-') && seconds > 0 ? Number.POSITIVE_INFINITY : seconds
}
