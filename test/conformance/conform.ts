/**
 * Is this server Ollama, as far as a client can tell? 75 promises that Ollama 0.33 keeps, each checked from outside:
 * against a real server, a simulated node, or a house with nodes behind it.
 */
import type { Check, Checks } from './check.ts'
import { anthropic } from './checks/anthropic.ts'
import { catalog } from './checks/catalog.ts'
import { commands } from './checks/commands.ts'
import { embed } from './checks/embed.ts'
import { generate } from './checks/generate.ts'
import { mistakes } from './checks/mistakes.ts'
import { openai } from './checks/openai.ts'
import { origin } from './checks/origin.ts'
import { pressure } from './checks/pressure.ts'
import { routes } from './checks/routes.ts'
import { store } from './checks/store.ts'
import { Mismatch, Skip } from './expect.ts'
import { probe, type Subject } from './probe.ts'
import { openWire, type Wire } from './wire.ts'

/** Objects keep whole-number keys in order, so this is the order of the checks. */
export const checks: Checks = {
  ...routes,
  ...catalog,
  ...mistakes,
  ...generate,
  ...embed,
  ...openai,
  ...anthropic,
  ...store,
  ...origin,
  ...pressure,
  ...commands,
}

export interface Result {
  readonly number: number
  readonly promise: string
  readonly outcome: 'ok' | 'failed' | 'skipped'
  /** Why it was skipped, or what differs. */
  readonly reason?: string
  readonly expected?: string
  readonly got?: string
  readonly ms: number
}

export interface Choice {
  /** Only these numbers. */
  readonly only?: readonly number[]
  /** Called as soon as a result is known. */
  readonly onResult?: (result: Result) => void
}

/** One check after the other: several change what the next one looks at. */
export async function conform({ only, onResult, ...subject }: Subject & Choice): Promise<Result[]> {
  const wire = openWire(
    subject.url,
    subject.key === undefined ? {} : { authorization: `Bearer ${subject.key}` },
  )
  const results: Result[] = []
  try {
    for (const [key, check] of Object.entries(checks)) {
      const number = Number(key)
      if (only && !only.includes(number)) continue
      const result = { number, promise: check.promise, ...(await attempt(check, subject, wire)) }
      results.push(result)
      onResult?.(result)
    }
  } finally {
    wire.close()
  }
  return results
}

async function attempt(
  check: Check,
  subject: Subject,
  wire: Wire,
): Promise<Omit<Result, 'number' | 'promise'>> {
  const deadlineMs = subject.deadlineMs ?? 20_000
  const ended = new AbortController()
  const began = performance.now()
  const took = () => Math.round(performance.now() - began)
  const timer = setTimeout(
    () => ended.abort(new Mismatch('time', `an end within ${deadlineMs} ms`, 'none')),
    deadlineMs,
  )
  try {
    const late = new Promise<never>((_, reject) => {
      ended.signal.addEventListener('abort', () => reject(ended.signal.reason))
    })
    await Promise.race([check.run(probe(subject, wire, ended.signal)), late])
    return { outcome: 'ok', ms: took() }
  } catch (error) {
    if (error instanceof Skip) return { outcome: 'skipped', reason: error.message, ms: took() }
    if (error instanceof Mismatch) {
      const { what, expected, got } = error
      return { outcome: 'failed', reason: what, expected, got, ms: took() }
    }
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    return { outcome: 'failed', reason, ms: took() }
  } finally {
    clearTimeout(timer)
    // Whatever a failed check left open must not linger into the next.
    ended.abort()
  }
}
