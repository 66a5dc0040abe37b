/** One simulated node: what every handler is given. */
import type { Clock } from '../clock.ts'
import { Fault } from './dialect.ts'
import { GoFault, goQuote } from './gojson.ts'
import type { Temper } from './misbehaviour.ts'
import { conflictText, type Name, type NameFault, parseRef } from './names.ts'
import type { SimOptions } from './options.ts'
import type { Residency } from './runner.ts'
import type { Store, StoredModel } from './store.ts'

export interface Counters {
  /** By route, such as `POST /api/generate`. */
  readonly requests: Record<string, number>
  /** Inference requests begun and not over. */
  inFlight: number
  inFlightMax: number
  /** Inference requests whose client left before the answer was complete. */
  abandoned: number
  tokens: number
}

export interface SimNode {
  readonly options: SimOptions
  readonly clock: Clock
  readonly store: Store
  readonly residency: Residency
  readonly temper: Temper
  readonly counters: Counters
  /** Wall time in milliseconds, with a fraction that never runs backwards. */
  wall(): number
  /** Real time for simulated time. */
  scale(ms: number): number
}

/** Simulated nanoseconds since a reading of the clock; never zero, for zero would be left out of a reply. */
export function nanosSince({ clock, options }: SimNode, start: number): number {
  return nanos((clock.monotonic() - start) * options.speed)
}

export function nanos(ms: number): number {
  return Math.max(1000, Math.round(ms * 1e6))
}

export const notFound = (raw: string): Fault => new Fault(404, `model '${raw}' not found`)
export const notPulled = (raw: string): Fault =>
  new Fault(404, `model ${goQuote(raw)} not found, try pulling it first`)

/** Reads a model's name. Nothing named is `nameless`; a cloud model is refused with `operation`. */
export function referTo(node: SimNode, raw: string, nameless: Fault, operation?: string): Name {
  const ref = parseRef(raw)
  if (typeof ref === 'string') throw nameFault(ref, raw, nameless)
  if (ref.source === 'cloud') throw cloudFault(node, operation)
  return ref.name
}

export function findModel(
  node: SimNode,
  raw: string,
  { nameless, absent }: { nameless: Fault; absent: (raw: string) => Fault },
): StoredModel {
  const model = node.store.find(referTo(node, raw, nameless))
  if (model === undefined) throw absent(raw)
  return model
}

export function nameFault(fault: NameFault, raw: string, nameless: Fault): Fault {
  if (fault === 'conflict') return new Fault(400, conflictText(raw))
  return fault === 'invalid' ? new Fault(400, 'invalid model name') : nameless
}

/** Cloud models are refused either way: disabled, or enabled with nobody signed in. */
export function cloudFault(node: SimNode, operation = 'remote model is unavailable'): Fault {
  if (!node.options.cloud) return new Fault(403, `ollama cloud is disabled: ${operation}`)
  return new Fault(401, 'unauthorized', {
    also: { signin_url: `https://ollama.com/connect?name=${node.options.name}&key=c2ltdWxhdGVk` },
  })
}

/** A body that Go could not read is the client's fault. */
export function readable<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof GoFault) throw new Fault(400, error.message)
    throw error
  }
}
