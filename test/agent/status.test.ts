/** What an agent tells of its node: everything at first, then what is different, and that it is alive. */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { Commands } from '../../src/agent/commands.ts'
import { Status, type StatusNeeds } from '../../src/agent/status.ts'
import { systemClock, type VirtualClock, virtualClock } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import { Ollama, type PsRow, type TagRow } from '../../src/ollama/ollama.ts'
import type {
  Equipment,
  Load,
  ModelCommandRequest,
  NodeStatus,
  OllamaLimits,
} from '../../src/rpc/messages.ts'
import { startSim } from '../../src/sim/sim.ts'
import { odd } from '../gateway/odd.ts'

const never = new AbortController().signal
const EQUIPMENT: Equipment = { memoryBytes: 64e9, gpus: [], gpusKnown: true, container: false }
const LOAD: Omit<Load, 'inFlight'> = { uptimeS: 10, cores: [0, 0], cpu: 0, memoryFreeBytes: 32e9, gpus: [] }

/** A node whose parts a test turns. Each says how often it was read. */
function turned(t: Test, needs: Partial<StatusNeeds> & { readonly clock?: VirtualClock } = {}) {
  const { clock = virtualClock() } = needs
  const node = {
    version: '0.33.0' as string | Failure,
    tags: [] as readonly TagRow[] | Failure,
    ps: [] as readonly PsRow[] | Failure,
    equipment: EQUIPMENT,
    load: LOAD,
    limits: undefined as OllamaLimits | undefined,
    inFlight: 0,
  }
  /** Of what hangs, until the deadline; and of what never comes back. */
  const hanging = new Set<string>()
  const stuck = new Set<string>()
  const reads: Record<string, number> = {}
  const read = async <T>(name: string, value: () => T | Failure, signal?: AbortSignal): Promise<T> => {
    reads[name] = (reads[name] ?? 0) + 1
    if (stuck.has(name)) await new Promise(() => {})
    if (hanging.has(name)) await new Promise(resolve => signal?.addEventListener('abort', resolve))
    if (signal?.aborted) throw new Failure('ollama.timeout', 'late')
    const now = value()
    if (now instanceof Failure) throw now
    return now
  }
  const status = new Status({
    clock,
    ollama: {
      url: 'http://127.0.0.1:11434',
      version: signal => read('version', () => node.version, signal),
      tags: signal => read('tags', () => node.tags, signal),
      ps: signal => read('ps', () => node.ps, signal),
    },
    name: 'n1',
    version: '0.4.0',
    startedAt: clock.now(),
    machine: {
      equipment: () => read('equipment', () => node.equipment),
      load: () => read('load', () => node.load),
    },
    limits: { read: () => read('limits', () => node.limits) },
    inFlight: () => node.inFlight,
    ...needs,
  })
  t.teardown(() => status.close())
  return { clock, node, status, hanging, stuck, reads }
}

interface Heard {
  readonly all: { readonly at: number; readonly status: NodeStatus }[]
  /** All of it, put together. */
  whole(): NodeStatus
  /** What each message had, from the last one asked for on. */
  parts(): string[]
  leave(): void
  readonly over: Promise<void>
}

function watching(status: Status, clock: VirtualClock, intervalMs: number): Heard {
  const left = new AbortController()
  const all: { at: number; status: NodeStatus }[] = []
  const over = (async () => {
    for await (const word of status.watch({ intervalMs }, left.signal))
      all.push({ at: clock.monotonic(), status: word })
  })()
  over.catch(() => {})
  let seen = 0
  return {
    all,
    over,
    whole: () => Object.assign({}, ...all.map(({ status }) => status)) as NodeStatus,
    parts() {
      const news = all.slice(seen)
      seen = all.length
      return news.map(({ status }) => partsOf(status))
    },
    leave: () => left.abort(),
  }
}

const partsOf = (status: NodeStatus): string =>
  Object.keys(status)
    .filter(key => key !== 'at')
    .join()
const row = (name: string, digest = 'a'.repeat(64), size = 5): TagRow => ({ name, digest, size })
const ALL = 'identity,equipment,load,present,resident'

t.test('at first everything is told, then what is different, or that nothing is', async t => {
  const { clock, node, status } = turned(t)
  node.tags = [row('b:latest'), row('a:latest')]
  node.ps = [
    { name: 'a:latest', size: 5, size_vram: 4, context_length: 4_096, expires_at: '2026-01-01T00:05:00Z' },
  ]
  const watcher = watching(status, clock, 10_000)
  await clock.advance(0)
  t.same(watcher.parts(), [ALL])
  t.match(watcher.all[0]!.status, {
    at: Date.UTC(2026, 0, 1),
    identity: {
      node: 'n1',
      agentVersion: '0.4.0',
      ollamaVersion: '0.33.0',
      ollamaUrl: 'http://127.0.0.1:11434',
    },
    equipment: EQUIPMENT,
    load: { ...LOAD, inFlight: 0 },
    present: { models: [{ name: 'a:latest', sizeBytes: 5, blobs: [] }, { name: 'b:latest' }] },
    resident: {
      models: [
        {
          name: 'a:latest',
          sizeBytes: 5,
          vramBytes: 4,
          contextLength: 4_096,
          expiresAt: Date.UTC(2026, 0, 1, 0, 5),
        },
      ],
    },
  })
  await clock.advance(11_000)
  t.same(watcher.parts(), [''], 'alive')
  node.inFlight = 3
  node.ps = []
  await clock.advance(11_000)
  t.same(watcher.parts(), ['load,resident'])
  t.match(watcher.all.at(-1)!.status, { load: { inFlight: 3 }, resident: { models: [] } })
  node.limits = { numParallel: 4 }
  node.equipment = { ...EQUIPMENT, memoryBytes: 128e9 }
  await clock.advance(66_000)
  t.same(watcher.parts().sort(), ['', '', '', '', 'equipment', 'limits'])
  node.limits = undefined
  await clock.advance(66_000)
  t.same(watcher.whole().limits, {}, 'that nothing is known any more')
})

t.test('a model that stays for ever has no time at which it goes', async t => {
  const { node, status } = turned(t)
  node.ps = [{ name: 'a', expires_at: '2318-04-01T00:00:00.5+02:00' }, { name: 'b' }]
  t.match((await status.status({ fresh: false }, never)).resident, {
    models: [
      { name: 'a', expiresAt: 0 },
      { name: 'b', expiresAt: 0 },
    ],
  })
})

t.test('the interval is kept between a second and five minutes, and varies by a tenth', async t => {
  const gaps = async (intervalMs: number, forMs: number): Promise<number[]> => {
    const { clock, status } = turned(t)
    const watcher = watching(status, clock, intervalMs)
    await clock.advance(forMs)
    const at = watcher.all.map(({ at }) => at)
    return at.slice(1).map((time, i) => time - at[i]!)
  }
  for (const [asked, kept] of [
    [0, 1_000],
    [1, 1_000],
    [10_000, 10_000],
    [4e9, 300_000],
  ] as const) {
    const times = await gaps(asked, kept * 50)
    t.ok(times.length > 40)
    t.ok(
      Math.min(...times) >= kept * 0.9 && Math.max(...times) <= kept * 1.1,
      `${asked}: ${Math.min(...times)}`,
    )
    t.ok(Math.max(...times) - Math.min(...times) > kept * 0.05, 'not all alike')
  }
})

t.test('many watchers are one loop, and none is no loop', async t => {
  const { clock, status, reads } = turned(t)
  await clock.advance(600_000)
  t.same(reads, {}, 'nobody asks')
  const watchers = Array.from({ length: 20 }, (_, i) =>
    watching(status, clock, i % 2 === 0 ? 10_000 : 60_000),
  )
  await clock.advance(600_000)
  t.ok(reads['ps']! >= 55 && reads['ps']! <= 68, `${reads['ps']} reads in 60 intervals`)
  t.ok(reads['tags']! <= 21 && reads['limits']! <= 11, `${reads['tags']}, ${reads['limits']}`)
  for (const [i, { all }] of watchers.entries()) {
    const times = i % 2 === 0 ? [54, 68] : [9, 13]
    t.ok(all.length >= times[0]! && all.length <= times[1]!, `${all.length}`)
  }
  for (const watcher of watchers) watcher.leave()
  await Promise.all(watchers.map(({ over }) => over))
  const before = { ...reads }
  await clock.advance(600_000)
  t.same(reads, before)
})

t.test('watchers that come and go do not hold the loop up', async t => {
  const { clock, status } = turned(t)
  const first = watching(status, clock, 1_000)
  for (let i = 0; i < 100; i += 1) {
    const other = watching(status, clock, 1_000)
    await clock.advance(300)
    other.leave()
  }
  t.ok(first.all.length > 26, `${first.all.length} in 30 s`)
})

t.test('so many may watch, and no more', async t => {
  const { clock, status } = turned(t)
  const watchers = Array.from({ length: 64 }, () => watching(status, clock, 10_000))
  await clock.advance(0)
  await t.rejects(watching(status, clock, 10_000).over, { code: 'agent.busy', retryable: true })
  watchers[0]!.leave()
  await clock.advance(0)
  const next = watching(status, clock, 10_000)
  await clock.advance(0)
  t.same(next.parts(), [ALL])
})

t.test('an Ollama that hangs holds nothing else up', async t => {
  const { clock, node, status, hanging } = turned(t)
  for (const name of ['version', 'tags', 'ps']) hanging.add(name)
  node.tags = [row('a:latest')]
  const watcher = watching(status, clock, 10_000)
  await clock.advance(1_000)
  t.same(watcher.parts(), ['identity,equipment,load'], 'after a second')
  node.inFlight = 1
  await clock.advance(12_000)
  t.same(watcher.parts(), ['load'])
  t.match(watcher.whole().identity, { node: 'n1', ollamaVersion: '' })
  hanging.clear()
  await clock.advance(40_000)
  t.match(watcher.whole(), { identity: { ollamaVersion: '0.33.0' }, present: { models: [{}] }, resident: {} })
})

t.test('an Ollama that dies has no version; what it had stays as it was told', async t => {
  const { clock, node, status } = turned(t)
  node.tags = [row('a:latest')]
  const watcher = watching(status, clock, 10_000)
  await clock.advance(0)
  const gone = new Failure('ollama.refused', 'nobody there')
  Object.assign(node, { version: gone, tags: gone, ps: gone })
  await clock.advance(66_000)
  t.same(watcher.parts().filter(Boolean), [ALL, 'identity'])
  t.match(watcher.whole(), { identity: { ollamaVersion: '' }, present: { models: [{ name: 'a:latest' }] } })
  t.match(await status.status({ fresh: true }, never), {
    identity: { ollamaVersion: '' },
    present: { models: [{}] },
  })
})

t.test('what hangs for ever is begun once, and asked for by nobody', async t => {
  const { clock, status, stuck, reads } = turned(t)
  stuck.add('limits')
  const watcher = watching(status, clock, 10_000)
  await clock.advance(600_000)
  t.ok(watcher.all.length > 50)
  t.equal(reads['limits'], 1)
  const fresh = status.status({ fresh: true }, never)
  await clock.advance(15_000)
  t.match(await fresh, { load: {} })
  const left = new AbortController()
  const impatient = status.status({ fresh: true }, left.signal)
  left.abort()
  t.match(await impatient, { load: {} })
})

t.test('asked afresh, everything is read at once', async t => {
  const { clock, node, status, reads } = turned(t)
  t.match(await status.status({ fresh: false }, never), { present: { models: [] } })
  node.tags = [row('a:latest')]
  node.equipment = { ...EQUIPMENT, container: true }
  node.limits = { maxQueue: 5 }
  await clock.advance(1_500)
  t.match(await status.status({ fresh: false }, never), { present: { models: [] }, equipment: EQUIPMENT })
  t.match(await status.status({ fresh: true }, never), {
    present: { models: [{ name: 'a:latest' }] },
    equipment: { container: true },
    limits: { maxQueue: 5 },
  })
  t.same(reads, { version: 3, tags: 2, ps: 3, equipment: 2, load: 3, limits: 2 })
  await Promise.all(Array.from({ length: 50 }, () => status.status({ fresh: false }, never)))
  t.equal(reads['ps'], 3, 'what was read in the last second is told')
})

t.test('what a command changed is told at once', async t => {
  const { clock, node, status, reads } = turned(t)
  status.changed('present')
  await clock.advance(10_000)
  t.same(reads, {}, 'to nobody')
  const watcher = watching(status, clock, 300_000)
  await clock.advance(0)
  watcher.parts()
  node.tags = [row('a:latest')]
  await clock.advance(5_000)
  t.same(watcher.parts(), [])
  status.changed('present')
  await clock.advance(0)
  t.same(watcher.parts(), ['present'])
  for (let i = 0; i < 50; i += 1) {
    node.ps = [{ name: `m${i}` }]
    status.changed('resident')
    await clock.advance(100)
  }
  const told = watcher.parts()
  t.ok(told.length >= 4 && told.length <= 6, `${told.length} times in 5 s`)
  await clock.advance(1_000)
  t.match(watcher.whole().resident, { models: [{ name: 'm49' }] })
})

t.test('gauges are told when they have moved, from where they were told', async t => {
  const { clock, node, status } = turned(t)
  const gpu = { id: 'g', utilisation: 0.5, memoryUsedBytes: 8e9, temperatureC: 60 }
  node.load = { ...LOAD, gpus: [gpu] }
  const watcher = watching(status, clock, 1_000)
  await clock.advance(0)
  watcher.parts()
  const turn = async (load: Partial<Load>): Promise<boolean> => {
    node.load = { ...node.load, ...load }
    await clock.advance(1_100)
    return watcher.parts().includes('load')
  }
  t.equal(await turn({ uptimeS: 1_000, cpu: 0.015, memoryFreeBytes: 32e9 + 1e6, cores: [0.05, 0] }), false)
  t.equal(await turn({ cpu: 0.019 }), false)
  t.equal(await turn({ cpu: 0.021 }), true, 'it crept')
  t.equal(await turn({ memoryFreeBytes: 31e9 }), true)
  t.equal(await turn({ cores: [0.2, 0] }), true)
  t.equal(await turn({ swapUsedBytes: 0 }), true, 'a reading that was not there')
  t.equal(await turn({ gpus: [{ ...gpu, temperatureC: 60.5 }] }), false)
  t.equal(await turn({ gpus: [{ ...gpu, temperatureC: 61 }] }), true)
  t.equal(await turn({ gpus: [{ ...gpu, temperatureC: 61, throttled: true }] }), true)
  t.equal(await turn({ gpus: [] }), true)
  t.equal(await turn({ receivedBytesPerS: 1e6 }), true)
  t.equal(await turn({ receivedBytesPerS: 1.05e6 }), false)
  t.equal(await turn({ uptimeS: 1 }), true, 'it was started anew')
})

t.test('a message of a node with more than a message holds fits all the same', async t => {
  const { node, status } = turned(t)
  node.tags = Array.from({ length: 60_000 }, (_, i) => row(`some-model-with-a-name-${i}:latest`))
  const { present } = await status.status({ fresh: true }, never)
  t.ok(present!.models.length > 10_000 && present!.models.length < 60_000)
  t.ok(JSON.stringify(present).length < 4.5e6)
  node.tags = [row('x'.repeat(100_000)), row('a')]
  t.equal((await status.status({ fresh: true }, never)).present!.models.length, 1)
})

t.test('an agent that ends tells its watchers', async t => {
  const { clock, status } = turned(t)
  const watchers = [1_000, 60_000].map(interval => watching(status, clock, interval))
  await clock.advance(0)
  status.close()
  for (const { over } of watchers) await t.rejects(over, { code: 'agent.closing', retryable: true })
  await t.rejects(status.status({ fresh: false }, never), { code: 'agent.closing' })
  await t.rejects(watching(status, clock, 1_000).over, { code: 'agent.closing' })
})

t.test('all messages in order give what a fresh status says, whatever happened', async t => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const { clock, node, status, hanging } = turned(t)
    const random = virtualClock({ seed }).random
    const pick = <T>(...of: readonly T[]): T => of[Math.floor(random() * of.length)]!
    const gone = new Failure('ollama.broken', 'gone')
    const events: readonly (() => unknown)[] = [
      () => (node.version = pick<string | Failure>('0.33.0', '0.34.0', gone)),
      () => (node.tags = pick<TagRow[] | Failure>([], [row('a')], [row('b', 'c'), row('a')], gone)),
      () =>
        (node.ps = pick<PsRow[] | Failure>(
          [],
          [{ name: 'a' }],
          [{ name: 'a', size: Math.floor(random() * 9) }],
          gone,
        )),
      () => (node.load = { ...node.load, cpu: random(), memoryFreeBytes: Math.floor(random() * 1e9) }),
      () => (node.load = { ...LOAD, gpus: pick([], [{ id: 'g', utilisation: random() }]) }),
      () => (node.inFlight = Math.floor(random() * 4)),
      () => (node.limits = pick(undefined, { numParallel: 4 }, { numParallel: 2, keepAlive: '5m' })),
      () => (node.equipment = { ...EQUIPMENT, memoryBytes: pick(1e9, 2e9), container: pick(true, false) }),
      () => hanging.add(pick('version', 'tags', 'ps')),
      () => hanging.clear(),
      () => status.changed(pick('present', 'resident')),
      () => status.status({ fresh: pick(true, false) }, never),
    ]
    const watchers: Heard[] = []
    for (let step = 0; step < 60; step += 1) {
      for (let i = 0; i < 3; i += 1) pick(...events)()
      if (watchers.length < 5 && random() < 0.2)
        watchers.push(watching(status, clock, pick(500, 3_000, 7_000, 30_000)))
      await clock.advance(Math.floor(random() * 4_000))
    }
    hanging.clear()
    node.tags = [row('end')]
    await clock.advance(100_000)
    const { at: _, ...fresh } = await status.status({ fresh: true }, never)
    await clock.advance(40_000)
    for (const watcher of watchers) {
      const { at: _, ...whole } = watcher.whole()
      if (!t.same(whole, fresh, `seed ${seed}`)) return
      t.equal(partsOf(watcher.all.at(-1)!.status), '', `seed ${seed}: nothing is told twice`)
    }
    status.close()
  }
})

t.test('of a real folder the blobs are told, where it is the one that Ollama has', async t => {
  const dir = t.testdir({ a: {}, b: {} })
  const [a, b] = [join(dir, 'a'), join(dir, 'b')]
  const digest = folderOf(a, 'tiny', [])
  const clock = virtualClock({ start: Date.now() })
  const { node, status } = turned(t, { clock, models: [join(a, 'nowhere'), a, b] })
  const blobs = (told: NodeStatus): (boolean | string)[][] =>
    told.present!.models.map(({ name, blobs }) => [name, ...blobs.map(({ present }) => present)])
  const fresh = async () => blobs(await status.status({ fresh: true }, never))
  node.tags = [row('tiny:latest', 'f'.repeat(64)), row('far:cloud', 'e'.repeat(64))]
  t.same(await fresh(), [['far:cloud'], ['tiny:latest']], 'a has another one of that name')
  const weights = 'sha256-'.padEnd(71, '7')
  const layer = { digest: weights.replace('-', ':'), size: 3, mediaType: 'm' }
  node.tags = [row('tiny:latest', folderOf(b, 'tiny', [layer])), row('more:latest', digest)]
  t.same(await fresh(), [['more:latest'], ['tiny:latest', false]])
  const mine = node.tags
  node.tags = [...mine, ...['x', 'y', 'z'].map(name => row(name))]
  t.same(
    (await fresh())[1],
    ['tiny:latest'],
    'a folder that lacks most of what Ollama lists is of another one',
  )
  node.tags = mine
  const watcher = watching(status, clock, 10_000)
  const until = async (...expected: (boolean | string)[][]): Promise<void> => {
    for (let tries = 0; tries < 200; tries += 1) {
      if (watcher.all.length > 0 && isDeepStrictEqual(blobs(watcher.whole()), expected)) break
      await clock.advance(500)
      await new Promise(resolve => setTimeout(resolve, 10)) // disks know no virtual clock
    }
    t.same(blobs(watcher.whole()), expected)
  }
  await until(['more:latest'], ['tiny:latest', false])
  writeFileSync(join(b, 'blobs', weights), 'abc')
  status.changed('present')
  await until(['more:latest'], ['tiny:latest', true])
  node.tags = [...node.tags, row('new:latest', folderOf(b, 'new', [layer]))]
  await until(['more:latest'], ['new:latest', true], ['tiny:latest', true])
})

t.test('what a command of the agent’s changed is told to its watchers', async t => {
  const sim = await startSim({ models: 'tiny:latest', loadMs: 0, pullBytesPerSec: 1e12 })
  const ollama = new Ollama(sim.url, { linkLocal: false })
  const clock = virtualClock()
  const commands: Commands = new Commands({
    clock: systemClock,
    ollama,
    changed: what => status.changed(what),
  })
  const { status } = turned(t, { clock, ollama, inFlight: () => commands.running })
  t.teardown(async () => {
    commands.close()
    await ollama.close()
    await sim.close()
  })
  const watcher = watching(status, clock, 300_000)
  const until = async (parts: number): Promise<string[]> => {
    while (watcher.all.length < parts) await clock.advance(10)
    return watcher.parts()
  }
  const ended = async (request: ModelCommandRequest): Promise<void> => {
    for await (const _ of commands.command(request, never)) {
      // to its end
    }
  }
  await until(1)
  await ended({ id: 'a', pull: { model: 'llama3', insecure: false } })
  t.same(await until(2), ['present'])
  await ended({ id: 'b', load: { model: 'llama3', keepAlive: '', options: '' } })
  t.match(await until(3), [/resident/])
  t.match(watcher.whole(), {
    present: { models: [{ name: 'llama3:latest' }, { name: 'tiny:latest' }] },
    resident: { models: [{ name: 'llama3:latest', vramBytes: Number }] },
  })
})

/** Writes a manifest, and answers with its digest. */
function folderOf(dir: string, model: string, layers: readonly object[]): string {
  const file = join(dir, 'manifests/registry.ollama.ai/library', model, 'latest')
  mkdirSync(dirname(file), { recursive: true })
  mkdirSync(join(dir, 'blobs'), { recursive: true })
  const text = `${JSON.stringify({ schemaVersion: 2, layers })}\n`
  writeFileSync(file, text)
  return createHash('sha256').update(text).digest('hex')
}

t.test('an Ollama that is none is one that does not answer', async t => {
  const node = await odd(t, (_req, res) => res.end('{}'))
  const ollama = new Ollama(`${node.url}/elsewhere`, { linkLocal: false })
  t.teardown(() => ollama.close())
  const status = new Status({
    clock: systemClock,
    ollama,
    name: 'n',
    version: '1',
    startedAt: 0,
    inFlight: () => 2,
  })
  t.teardown(() => status.close())
  const { at: _, ...told } = await status.status({ fresh: false }, never)
  t.match(told, { identity: { ollamaVersion: '' }, load: { cores: [], gpus: [], inFlight: 2 } })
  t.equal(told.equipment, undefined)
})
