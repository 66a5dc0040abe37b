/**
 * Traces that nobody recorded, with stated statistics; the same seed gives the same one.
 *
 *  - Requests come as a Poisson process whose rate wanders: each minute has the mean rate times exp(x − burst²/2), and
 *    x goes from minute to minute as x' = 0.8 x + noise, with a standard deviation of `burst` in the long run. (An
 *    Ornstein-Uhlenbeck rate in steps: quarters of an hour that are busier than others, without a jump.)
 *  - Tokens of prompts and of answers are log-normal, independent of each other: half are below the median, and two
 *    thirds within the median divided and multiplied by exp(spread). Both are cut at a maximum.
 */
import { mulberry32 } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { Asked } from './trace.ts'

/**
 * The defaults resemble a public service's conversations of 2023: five requests a second, the gaps' coefficient of
 * variation a little above 1, counts of a minute with five to fifteen times the variance of a Poisson process,
 * prompts of 1,150 tokens on average with a long tail, answers of 230 that seldom pass 1,000.
 */
export const SYNTHETIC = {
  requests: { fallback: 6_000, sentence: 'how many' },
  rate: { fallback: 5, sentence: 'requests a second, on average' },
  burst: { fallback: 0.2, sentence: 'how far the rate wanders: standard deviation of its logarithm' },
  prompt: { fallback: 750, sentence: 'median tokens of a prompt' },
  'prompt-spread': { fallback: 0.95, sentence: 'standard deviation of their logarithm' },
  'prompt-max': { fallback: 16_000, sentence: 'no prompt is longer' },
  output: { fallback: 165, sentence: 'median tokens of an answer' },
  'output-spread': { fallback: 0.85, sentence: 'standard deviation of their logarithm' },
  'output-max': { fallback: 1_000, sentence: 'no answer is longer' },
} as const satisfies Record<string, { fallback: number; sentence: string }>

export type Synthetic = Readonly<Record<keyof typeof SYNTHETIC, number>>

/** How much of a minute's deviation the next one keeps. */
const MEMORY = 0.8
const MINUTE_MS = 60_000
const START = Date.UTC(2026, 0, 5, 9)
const REQUESTS_MAX = 1_000_000

/** Reads `requests=6000,rate=5`; what is not named is as in SYNTHETIC. Throws a Failure. */
export function readSynthetic(text: string): Synthetic {
  const wanted: Record<string, number> = Object.fromEntries(
    Object.entries(SYNTHETIC).map(([name, { fallback }]) => [name, fallback]),
  )
  for (const part of text.split(',').filter(word => word.trim() !== '')) {
    const [name = '', value = ''] = part.split('=').map(word => word.trim())
    if (!Object.hasOwn(SYNTHETIC, name)) {
      throw invalid(`there is no "${name}"; known are ${Object.keys(SYNTHETIC).join(', ')}`)
    }
    if (!/^\d+(\.\d+)?$/.test(value)) throw invalid(`${name}: "${value}" is not a number, 0 or more`)
    wanted[name] = Number(value)
  }
  const { requests = 0, rate = 0 } = wanted
  if (!Number.isInteger(requests) || requests < 1 || requests > REQUESTS_MAX) {
    throw invalid(`requests: a whole number from 1 to ${REQUESTS_MAX}`)
  }
  if (rate === 0) throw invalid('rate: more than 0')
  return wanted as Synthetic
}

export function synthesize(wanted: Synthetic, seed: number): readonly Asked[] {
  const random = mulberry32(seed ^ 0x2545f491)
  const { requests, rate, burst } = wanted
  const asked: Asked[] = []
  let at = 0
  let minute = 0
  let drift = burst * normal(random)
  while (asked.length < requests) {
    const pace = (rate / 1_000) * Math.exp(drift - burst ** 2 / 2)
    const next = at - Math.log(1 - random()) / pace
    const end = (minute + 1) * MINUTE_MS
    if (next >= end) {
      // A Poisson process forgets, so that it may be begun anew with the next minute's rate.
      at = end
      minute += 1
      drift = MEMORY * drift + burst * Math.sqrt(1 - MEMORY ** 2) * normal(random)
      continue
    }
    at = next
    asked.push({
      at: START + at,
      promptTokens: logNormal(random, wanted.prompt, wanted['prompt-spread'], wanted['prompt-max']),
      outputTokens: logNormal(random, wanted.output, wanted['output-spread'], wanted['output-max']),
    })
  }
  return asked
}

function logNormal(random: () => number, median: number, spread: number, max: number): number {
  return Math.max(1, Math.min(max, Math.round(median * Math.exp(spread * normal(random)))))
}

/** Box and Muller 1958. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

function invalid(why: string): Failure {
  return new Failure('trace.synthetic', `a synthetic trace is asked for as requests=6000,rate=5: ${why}`)
}
