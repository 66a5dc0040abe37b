/**
 * What a house lives through, made up from a seed: nodes come, drain and die, models are loaded and dropped, clients ask,
 * wait, get answers or leave, jobs are leased and called back, people turn knobs. All of it goes through a real engine; a
 * command that comes out of turn is refused, as it would be. Four facts in five are of requests, as in a real journal.
 */
import { Refusal } from '../../machines/entity.ts'
import type { Kind } from '../../machines/index.ts'
import { replicaId } from '../../machines/replica.ts'
import { type Clock, mulberry32, systemClock } from '../../src/clock.ts'
import type { Ask, Engine } from '../../src/engine/engine.ts'

export interface Lives {
  readonly engine: Engine
  /** Wall time, milliseconds since the epoch; goes on with every command, and sometimes back. */
  readonly time: { now: number }
  readonly seed: number
  /** Requests that are open at once. Default 20. */
  readonly openMax?: number
  /** Where a node answers; nobody asks there. */
  readonly urlOf?: (node: string) => string
  /** How far time goes on with each command, milliseconds, on average. Default 200. */
  readonly paceMs?: number
}

/** A clock for the engine that stands where it is put. Its timers never ring: whatever happens is made up here. */
export function handClock(time: { readonly now: number }): Clock {
  return { ...systemClock, now: () => time.now, after: () => ({ cancel: () => {} }) }
}

const NODES = ['attic', 'cellar', 'shed', 'lab-1', 'lab-2', 'lab-3'] as const
const MODELS = ['tiny:latest', 'big:70b', 'code:7b', 'embed:latest', 'vision:11b'] as const
const CLIENTS = Array.from({ length: 40 }, (_, i) => `10.0.0.${i + 1}`)
const PATHS = ['/api/chat', '/v1/chat/completions', '/api/generate', '/api/embed'] as const
const JITTER_MS = 2

/** One more thing happens, or is refused. */
export function lives({
  engine,
  time,
  seed,
  openMax = 20,
  paceMs = 200,
  urlOf = node => `http://${node}:11434`,
}: Lives): () => void {
  const random = mulberry32(seed)
  const one = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!
  const upTo = (most: number): number => Math.floor(random() * most)
  const maybe = (chance: number): boolean => random() < chance
  const open: string[] = []
  /** Jobs that are over and kept, and how far their callbacks are. */
  const ended: { readonly id: string; call: 'none' | 'unordered' | 'ordered' }[] = []
  const callbacks = new Set<string>()
  let count = 0

  function say<K extends Kind>(kind: K, id: string, type: string, data: object, by?: string): boolean {
    try {
      return engine.commit(kind, id, { type, data, ...(by && { by }) } as unknown as Ask as never).length > 0
    } catch (error) {
      if (error instanceof Refusal) return false
      throw error
    }
  }

  function admit(): void {
    count += 1
    const id = `r${seed}-${String(count).padStart(7, '0')}`
    const job = maybe(0.1)
    const callback = job && maybe(0.5)
    if (callback) callbacks.add(id)
    const model = one(MODELS)
    const promptTokens = 20 + upTo(2_000)
    say('request', id, 'request.admit', {
      path: one(PATHS),
      model,
      client: one(CLIENTS),
      priority: maybe(0.9) ? 5 : upTo(10),
      bodyBytes: promptTokens * 4,
      expiresAt: time.now + 600_000,
      attemptsMax: 3,
      ...(maybe(0.2) && { class: 'batch', deadlineAt: time.now + 3_600_000 }),
      ...(maybe(0.1) && { variant: 'num_ctx=8192' }),
      ...(maybe(0.05) && { labels: { gpu: 'a100' } }),
      estimate: { promptTokens, outputTokens: 50 + upTo(400), waitMs: upTo(5_000) },
      ...(job && { job: true }),
      ...(callback && { callback: true }),
      ...(job && maybe(0.5) && { key: `key-${upTo(1_000)}`, bodyDigest: `body-${upTo(1_000)}` }),
    })
    open.push(id)
  }

  function candidates(node: string): readonly object[] {
    const others = NODES.filter(name => name !== node).slice(0, 2)
    return [node, ...others].map((name, i) => ({
      node: name,
      resident: i === 0,
      idle: upTo(4),
      estimateMs: i === 0 ? upTo(9_000) : null,
      ...(i > 0 && { excluded: 'full' }),
    }))
  }

  /** The oldest few go on; whoever has ended makes room. */
  function goOn(): void {
    const at = upTo(Math.min(open.length, 8))
    const id = open[at]!
    const { value, context } = engine.state('request', id)
    const state = value as string
    const over = (done: boolean): void => {
      if (!done) return
      open.splice(at, 1)
      if (context.job) ended.push({ id, call: callbacks.delete(id) ? 'unordered' : 'none' })
    }
    if (state === 'queued') {
      if (maybe(0.02)) return over(say('request', id, 'request.cancel', {}, 'cli'))
      if (maybe(0.01)) return over(say('request', id, 'request.expire', {}))
      if (context.job && maybe(0.3))
        return void say('request', id, 'request.lease', { worker: 'loft', until: time.now + 60_000 })
      const node = one(NODES)
      const batch = maybe(0.05) && at > 0 ? { batch: open[at - 1]! } : {}
      return void say(
        'request',
        id,
        'request.assign',
        { node, candidates: candidates(node), ...batch },
        'scheduler',
      )
    }
    if (state === 'leased') {
      if (maybe(0.1)) return void say('request', id, 'request.lapse', {})
      const by = { attempt: context.attempts, worker: 'loft', status: 200, digest: 'd' }
      say('request', id, 'request.complete', { bytes: 900, chunks: 1, ...by })
      return over(engine.state('request', id).value === 'new')
    }
    if (maybe(0.03)) {
      const trouble = { reason: one(['refused', 'broken', 'busy', 'error', 'slow']), status: one([500, 503]) }
      say('request', id, 'request.fail', { ...trouble, retryable: maybe(0.8), bytes: 0, chunks: 0 })
      return over(engine.state('request', id).value === 'new')
    }
    if (!context.job && maybe(0.02))
      return over(say('request', id, 'request.abandon', { bytes: upTo(900), chunks: 3 }))
    if (state === 'running')
      return void say('request', id, 'request.begin', { status: maybe(0.98) ? 200 : 404 })
    const outputTokens = 10 + upTo(500)
    const figures = { promptTokens: 20 + upTo(2_000), outputTokens, loadMs: 1, promptMs: 30 + upTo(900) }
    const data = { bytes: outputTokens * 110, chunks: outputTokens + 1, ...figures }
    const kept = context.job ? { digest: 'a1' } : {}
    const done = { outputMs: outputTokens * (10 + upTo(20)), doneReason: 'stop', ...kept }
    over(say('request', id, 'request.complete', { ...data, ...done }))
  }

  /** What follows the end of a job: its callback, try after try, and that it is no longer kept. */
  function afterwards(): void {
    const kept = one(ended)
    const { id, call } = kept
    if (call === 'none') {
      ended.splice(ended.indexOf(kept), 1)
      return void say('spool', id, 'spool.erase', { why: 'old', bytes: 130 })
    }
    if (call === 'unordered') {
      kept.call = 'ordered'
      return void say('delivery', id, 'delivery.order', { state: 'completed', status: 200, bytes: 1 })
    }
    const trouble = { reason: 'status', status: 503, retryable: maybe(0.8), chance: random() }
    if (engine.state('delivery', id).value === 'waiting') say('delivery', id, 'delivery.retry', {})
    else if (maybe(0.3)) say('delivery', id, 'delivery.fail', trouble)
    else say('delivery', id, 'delivery.deliver', { status: 204 })
    if (engine.state('delivery', id).value === 'new') kept.call = 'none'
  }

  function machines(): void {
    const node = one(NODES)
    const roll = random()
    if (roll < 0.35) return void say('node', node, 'node.answer', { version: one(['0.9.1', '0.9.2']) })
    if (roll < 0.45) return void say('node', node, 'node.lose', { reason: 'silent' })
    if (roll < 0.5) return void say('node', node, 'node.drain', {}, '10.0.0.9')
    if (roll < 0.55) return void say('node', node, 'node.empty', {})
    if (roll < 0.65) return void say('node', node, 'node.resume', {}, '10.0.0.9')
    if (roll < 0.66) return void say('node', node, 'node.remove', {}, 'cli')
    const trip = { reason: 'broken', failures: 3, chance: random(), by: one(['row', 'ratio'] as const) }
    if (roll < 0.7) return void say('breaker', node, 'breaker.trip', trip)
    if (roll < 0.75) return void say('breaker', node, 'breaker.probe', {})
    if (roll < 0.8) return void say('breaker', node, 'breaker.heal', {})
    const labels = maybe(0.2) ? { simulated: 'true' } : {}
    const data = { url: urlOf(node), slots: 1 + upTo(4), residentMax: 2, labels, origin: 'api' }
    say('node', node, 'node.register', data, 'cli')
  }

  function copies(): void {
    const model = one(MODELS)
    const id = replicaId(model, one(NODES))
    const roll = random()
    if (roll < 0.2)
      return void say('replica', id, 'replica.find', { digest: 'd1', sizeBytes: 1e9 + upTo(1e10) })
    if (roll < 0.5) return void say('replica', id, 'replica.load', { request: 'r', estimateMs: upTo(9_000) })
    const residence = { sizeBytes: 5e9, vramBytes: 4e9, contextLength: 4_096 }
    if (roll < 0.75) return void say('replica', id, 'replica.confirm', { ms: 900 + upTo(9_000), residence })
    if (roll < 0.8) return void say('replica', id, 'replica.fail', { reason: 'ollama.answer', status: 500 })
    if (roll < 0.95) return void say('replica', id, 'replica.unload', {})
    say('replica', id, 'replica.remove', {})
  }

  function people(): void {
    const model = one(MODELS)
    const roll = random()
    const kinds = { family: 'llama', parameterSize: '7B', quantization: 'Q4_0', capabilities: ['completion'] }
    if (roll < 0.3) return void say('model', model, 'model.find', { digest: 'd1', sizeBytes: 4e9, ...kinds })
    if (roll < 0.35) return void say('model', model, 'model.lose', {})
    if (roll < 0.5)
      return void say(
        'policy',
        model,
        'policy.set',
        { avoid: [one(NODES)], numCtxMax: 4_096 * (1 + upTo(4)) },
        'cli',
      )
    if (roll < 0.6) return void say('policy', model, 'policy.clear', {}, 'cli')
    const knob = one(['queue-max', 'wait-max', 'attempts-max'])
    if (roll < 0.85)
      return void say('setting', knob, 'setting.set', { value: String(1 + upTo(99)), start: '9' }, 'cli')
    say('setting', knob, 'setting.reset', { start: '9' }, 'cli')
  }

  for (const node of NODES) {
    const data = { url: urlOf(node), slots: 2, residentMax: 2, labels: {}, origin: 'configured' }
    say('node', node, 'node.register', data)
    say('node', node, 'node.answer', { version: '0.9.1' })
  }

  return () => {
    time.now += upTo(paceMs * JITTER_MS)
    if (maybe(0.0005)) time.now -= 90_000
    const roll = random()
    if (roll < 0.02) machines()
    else if (roll < 0.05) copies()
    else if (roll < 0.06) people()
    else if (roll < 0.12 && ended.length > 0) afterwards()
    else if (open.length < openMax && (open.length === 0 || maybe(0.35))) admit()
    else goOn()
  }
}
