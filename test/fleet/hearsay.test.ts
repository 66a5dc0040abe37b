/** A node is not believed: whatever is said, what the house takes from it is small, finite, and plain. */
import t from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import { factOf, hear } from '../../src/fleet/hearsay.ts'
import type { NodeStatus } from '../../src/rpc/messages.ts'

const said = (status: object): NodeStatus => ({ at: 1, ...status }) as NodeStatus
const gpu = { id: 'GPU-1', vendor: 'nvidia', model: 'RTX 4090', unified: false, driver: '550' }
const equipment = { gpus: [], gpusKnown: true, container: false }

const ESC = String.fromCharCode(27)
/** Makes text run from right to left, and names lie. */
const RTL = String.fromCharCode(0x202e)

t.test('what can be is heard as it was said', async t => {
  const status = {
    at: 1_700_000_000_000,
    identity: {
      node: 'a',
      agentVersion: '0.4.0',
      ollamaVersion: '0.13.1',
      ollamaUrl: 'http://127.0.0.1:11434',
      startedAt: 1_699_000_000_000,
    },
    equipment: {
      os: { platform: 'linux', name: 'Debian GNU/Linux 12', kernel: '6.1', arch: 'x64' },
      cpu: { model: 'AMD Ryzen', cores: 32 },
      memoryBytes: 64e9,
      gpus: [{ ...gpu, memoryBytes: 24e9 }],
      gpusKnown: true,
      disk: { mount: '/', fileSystem: 'ext4', type: 'ssd', sizeBytes: 1e12 },
      container: false,
    },
    load: {
      uptimeS: 5,
      cpu: 0.25,
      memoryFreeBytes: 0,
      swapTotalBytes: 8e9,
      swapUsedBytes: 0,
      diskFreeBytes: 5e11,
      receivedBytesPerS: 0,
      sentBytesPerS: 12.5,
      cores: [0, 0.5, 1],
      gpus: [
        { id: 'GPU-1', utilisation: 0, memoryUsedBytes: 1e9, temperatureC: -5, powerW: 0, throttled: false },
      ],
      inFlight: 2,
    },
    limits: { numParallel: 4, maxLoadedModels: 0, keepAlive: '-1' },
    resident: {
      models: [{ name: 'a', sizeBytes: 9, vramBytes: 0, contextLength: 4_096, expiresAt: 0 }],
    },
  }
  t.same(hear(status as NodeStatus), status)
})

t.test('blobs are counted, and not kept', async t => {
  const blob = { digest: 'sha256:1', sizeBytes: 1, mediaType: 'm', present: true }
  const blobs = [blob, { ...blob, present: false }, blob]
  const model = { name: 'tiny:latest', digest: 'd', sizeBytes: 3 }
  t.same(hear(said({ present: { models: [{ ...model, blobs }] } })).present, {
    models: [{ ...model, blobs: 3, missing: 1 }],
  })
})

t.test('what no machine has was not read', async t => {
  const nonsense = [Number.NaN, -1, 1e300, Number.POSITIVE_INFINITY, '12', null, {}, [], true]
  for (const value of nonsense) {
    const heard = hear(
      said({
        equipment: { ...equipment, memoryBytes: value, cpu: { model: 'm', cores: value } },
        load: { cores: [0.1, value], cpu: value, memoryFreeBytes: value, gpus: [], inFlight: value },
        limits: { numParallel: value, maxLoadedModels: value },
      }),
    )
    t.same(heard.equipment, { ...equipment, cpu: { model: 'm' } }, String(value))
    t.same(heard.load, { cores: [], gpus: [], inFlight: 0 }, 'unknown, and not 0')
    t.same(heard.limits, {})
  }
  for (const value of [1e300, -1, Number.NaN, 1.2]) {
    const heard = hear(said({ load: { gpus: [{ id: 'a', utilisation: value }] } }))
    t.same(heard.load?.gpus, [{ id: 'a' }])
  }
  t.equal(hear(said({ load: { cpu: 1.02 } })).load?.cpu, 1, 'a little over is rounded')
})

t.test('a node does not take on as many as it likes to say', async t => {
  const limits = (numParallel: number) => hear(said({ limits: { numParallel } })).limits
  t.same([limits(1_024), limits(1_025), limits(0)], [{ numParallel: 1_024 }, {}, {}])
})

t.test('parts that are no parts are not there', async t => {
  for (const part of [null, 1, 'x', []]) {
    const parts = { identity: part, equipment: part, load: part, limits: part, present: part, resident: part }
    t.same(hear(said(parts)), { at: 1 })
  }
  for (const word of [undefined, null, 3, 'status', []]) t.same(hear(word as never), { at: 0 })
  t.same(hear(said({ present: {}, resident: { models: 7 } })), {
    at: 1,
    present: { models: [] },
    resident: { models: [] },
  })
})

t.test('a hundred thousand GPUs are the first few, and two with one id are one', async t => {
  const gpus = Array.from({ length: 100_000 }, (_, i) => ({ ...gpu, id: `GPU-${i}` }))
  t.equal(hear(said({ equipment: { ...equipment, gpus }, load: { gpus } })).equipment?.gpus.length, 64)
  t.equal(hear(said({ load: { gpus } })).load?.gpus.length, 64)
  t.equal(hear(said({ load: { gpus: [gpu, gpu] } })).load?.gpus.length, 1)
  const models = Array.from({ length: 50_000 }, (_, i) => ({ name: `m${i}` }))
  t.equal(hear(said({ present: { models } })).present?.models.length, 10_000)
})

t.test('megabytes of text are cut, and what would move a cursor is taken out', async t => {
  const long = 'x'.repeat(5_000_000)
  const loud = { ...gpu, model: `${ESC}[2Jgotcha${RTL}\r\n`, driver: long }
  const [heard] = hear(said({ equipment: { ...equipment, gpus: [loud] } })).equipment!.gpus
  t.equal(heard!.model, '[2Jgotcha')
  t.equal(heard!.driver.length, 128)
})

t.test('a fact names no machine, and does not depend on the order', async t => {
  const one = { ...gpu, id: 'b', memoryBytes: 2 }
  const other = { ...gpu, id: 'a', vendor: 'amd', unified: true }
  const facts = [
    [one, other],
    [other, one],
  ].map(gpus => factOf(hear(said({ equipment: { ...equipment, gpus } })).equipment!))
  t.same(facts[0], facts[1])
  t.same(facts[0], {
    gpus: [
      { vendor: 'amd', model: 'RTX 4090', unified: true },
      { vendor: 'nvidia', model: 'RTX 4090', memoryBytes: 2 },
    ],
    gpusKnown: true,
    container: false,
  })
})

t.test('whatever is said, it is heard without a fault, and what is heard is finite and small', async t => {
  const seed = Date.now() % 1_000_000
  t.comment(`seed ${seed}`)
  const random = mulberry32(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const names =
    'at identity equipment load limits present resident models gpus cores id name cpu os disk blobs'.split(
      ' ',
    )
  const value = (depth: number): unknown => {
    if (depth > 0 && random() < 0.6) {
      if (random() < 0.3) return Array.from({ length: Math.floor(random() * 200) }, () => value(depth - 1))
      return Object.fromEntries(names.map(name => [name, value(depth - 1)]))
    }
    return pick([
      Number.NaN,
      -1,
      0,
      1,
      1e300,
      '',
      'x'.repeat(1_000),
      null,
      undefined,
      true,
      {},
      Number.MAX_VALUE,
    ])
  }
  const check = (heard: unknown): boolean => {
    if (typeof heard === 'number') return Number.isFinite(heard)
    if (typeof heard === 'string') return heard.length <= 512
    if (Array.isArray(heard)) return heard.length <= 10_000 && heard.every(check)
    return typeof heard !== 'object' || heard === null || Object.values(heard).every(check)
  }
  for (let i = 0; i < 300; i += 1) {
    const heard = hear(value(3) as NodeStatus)
    if (!check(heard)) t.fail(JSON.stringify(heard).slice(0, 500))
    if (heard.equipment) factOf(heard.equipment)
  }
})
