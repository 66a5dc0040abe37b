/** What stands before the runner: may this model do that, is the node in the mood, and is the model loaded? */
import { Fault } from './dialect.ts'
import type { Exchange } from './exchange.ts'
import { goQuote } from './gojson.ts'
import { BUSY_TEXT } from './misbehaviour.ts'
import { fullName } from './names.ts'
import type { SimNode } from './node.ts'
import type { Capability } from './options.ts'
import type { Think } from './requests.ts'
import { Busy, type Lease } from './runner.ts'
import type { StoredModel } from './store.ts'
import { type Tuning, tune } from './tuning.ts'

/** Loads the model if it must. Throws what a full queue and a node in a bad mood say. */
export async function schedule(
  node: SimNode,
  x: Exchange,
  model: StoredModel,
  request: { options?: Record<string, unknown>; keep_alive?: number; shift?: boolean },
): Promise<{ lease: Lease; tuning: Tuning }> {
  const tuning = tune(model, request.options, request.shift, node.options.numCtx)
  await node.temper.admit(x)
  try {
    const wanted = { model, options: tuning.load, keepAliveMs: request.keep_alive }
    const leasing = node.residency.acquire(wanted, x)
    return { lease: leasing instanceof Promise ? await leasing : leasing, tuning }
  } catch (error) {
    if (error instanceof Busy) throw new Fault(503, BUSY_TEXT)
    throw error
  }
}

export function checkTopLogprobs(top = 0): void {
  if (top < 0 || top > 20) throw new Fault(400, 'top_logprobs must be between 0 and 20')
}

/** Answers whether it will think: a thinking model does unless told not to. */
export function checkThinking(model: StoredModel, raw: string, wish: Think | undefined): boolean {
  if (model.capabilities.includes('thinking')) return wish !== false
  if (wish !== undefined && wish !== false) throw new Fault(400, `${goQuote(raw)} does not support thinking`)
  return false
}

export function checkCapabilities(
  model: StoredModel,
  raw: string,
  verb: string,
  more: readonly Capability[],
): void {
  if (!model.capabilities.includes('completion'))
    throw new Fault(400, `${goQuote(raw)} does not support ${verb}`)
  const missing = more.find(capability => !model.capabilities.includes(capability))
  if (missing !== undefined) throw new Fault(400, `${fullName(model.name)} does not support ${missing}`)
}
