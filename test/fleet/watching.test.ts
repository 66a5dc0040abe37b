/** What the house makes of what agents say, under a virtual clock, with lines that the test holds. */
import t, { type Test } from 'tap'
import { replicaId } from '../../machines/replica.ts'
import { virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Failure } from '../../src/failure.ts'
import type { Told } from '../../src/fleet/agents.ts'
import type { Link, Links } from '../../src/fleet/link.ts'
import { Watching } from '../../src/fleet/watching.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { views } from '../../src/projections/views.ts'
import type { NodeStatus } from '../../src/rpc/messages.ts'

const EVERY_MS = 5_000
const machine = { gpus: [], gpusKnown: true, container: false, memoryBytes: 64e9 }
const calm = {
  cores: [],
  gpus: [{ id: 'g', utilisation: 0, temperatureC: 40, throttled: false }],
  inFlight: 0,
}
const hot = { ...calm, gpus: [{ id: 'g', utilisation: 1, temperatureC: 90, throttled: true }] }
const url = 'agent://a'
const data = { url, slots: 1, residentMax: 3, labels: {}, origin: 'api' } as const

/** One call for a status: what the agent says comes out of `say`. */
class Call {
  readonly intervalMs: number
  readonly signal: AbortSignal
  readonly #words: NodeStatus[] = []
  #wake: () => void = () => {}
  #broken: unknown
  taken = 0

  constructor(intervalMs: number, signal: AbortSignal) {
    this.intervalMs = intervalMs
    this.signal = signal
    signal.addEventListener('abort', () => this.#wake())
  }

  say(...words: object[]): void {
    this.#words.push(...words.map(word => ({ at: 1, ...word })))
    this.#wake()
  }

  break(error: unknown): void {
    this.#broken = error
    this.#wake()
  }

  async *words(): AsyncGenerator<NodeStatus> {
    for (;;) {
      if (this.signal.aborted) return
      if (this.#broken !== undefined) throw this.#broken
      const word = this.#words.shift()
      if (word === undefined) {
        await new Promise<void>(resolve => {
          this.#wake = resolve
        })
        continue
      }
      this.taken += 1
      yield word
    }
  }
}

async function given(
  t: Test,
  {
    records = [] as string[],
    linked = true,
    settings = { watchMs: EVERY_MS },
    told = undefined as Told | undefined,
  } = {},
) {
  const clock = virtualClock()
  const journal = openMemoryJournal({ records, clock })
  const answers = views()
  const engine = new Engine(journal, clock, Object.values(answers))
  await engine.replay()
  const calls: Call[] = []
  const lines = new Set<string>(linked ? ['a'] : [])
  const heard = new Set<(node: string, up: boolean) => void>()
  const links: Links = {
    of: node => {
      if (!lines.has(node)) return undefined
      const link = {
        node,
        watch: ({ intervalMs, signal }: { intervalMs: number; signal: AbortSignal }) => {
          calls.push(new Call(intervalMs, signal))
          return calls.at(-1)!.words()
        },
      }
      return link as Partial<Link> as Link
    },
    listen: one => {
      heard.add(one)
      return () => heard.delete(one)
    },
  }
  const looked: string[] = []
  const watching = new Watching({
    ...answers,
    told: () => told,
    engine,
    clock,
    links,
    settings,
    look: node => void looked.push(node),
  })
  engine.start(watching.reactor)
  t.teardown(async () => {
    watching.close()
    engine.close()
    await journal.close()
  })
  const world = {
    ...answers,
    clock,
    engine,
    watching,
    settings,
    calls,
    looked,
    records,
    get call() {
      return calls.at(-1)!
    },
    line(up: boolean): void {
      if (up) lines.add('a')
      else lines.delete('a')
      for (const one of heard) one('a', up)
    },
    node: () => answers.fleet.state.get('a')!,
    /** The same again and again, as agents do. */
    async says(ms: number, word: object = {}): Promise<void> {
      for (let left = ms; left > 0; left -= EVERY_MS) {
        world.call.say(word)
        await clock.advance(EVERY_MS)
      }
    },
    facts: async (...types: string[]): Promise<string[]> => {
      const found: string[] = []
      for await (const page of journal.read())
        for (const { type, by, data } of page)
          if (types.includes(type)) found.push(`${type} by ${by} ${JSON.stringify(data)}`)
      return found
    },
  }
  if (records.length === 0) {
    engine.commit('node', 'a', { type: 'node.register', data })
    engine.commit('node', 'a', { type: 'node.answer', data: { version: '1' } })
  }
  await clock.advance(0)
  return world
}

t.test('what an agent says is put together, and grows old', async t => {
  const w = await given(t)
  t.equal(w.watching.of('a'), undefined)
  t.equal(w.call.intervalMs, EVERY_MS)
  w.call.say({ equipment: machine, load: calm })
  await w.clock.advance(1_000)
  w.call.say({ load: { ...calm, cpu: 0.5 } })
  await w.clock.advance(2_000)
  const said = w.watching.of('a')!
  t.equal(said.status.load?.cpu, 0.5)
  t.equal(said.status.equipment?.memoryBytes, 64e9, 'what was not said again still holds')
  t.equal(said.ageMs, 2_000)
  t.equal(said.heardAt, w.clock.now() - 2_000)
  t.equal(said.fresh, true)
  await w.clock.advance(2 * EVERY_MS)
  t.equal(w.watching.of('a')!.fresh, true)
  w.line(false)
  await w.clock.advance(EVERY_MS)
  t.equal(w.watching.of('a')!.fresh, false)
  t.equal(w.watching.of('a')!.status.load?.cpu, 0.5, 'it is still known what it said last')
})

t.test('to be asked again is not to be heard: what was said grows old until something new is', async t => {
  const w = await given(t)
  w.call.say({ equipment: machine, load: calm })
  await w.clock.advance(1_000)
  await w.clock.advance(10 * EVERY_MS)
  const silent = w.watching.of('a')!
  t.ok(w.calls.length > 1, 'it was asked again')
  t.match(silent, { fresh: false, ageMs: w.clock.now() - silent.heardAt })
  t.equal(w.watching.gauges('a'), undefined)
  w.line(false)
  w.line(true)
  t.equal(w.watching.of('a')!.fresh, false, 'a line that is back has told nothing yet')
  w.call.say({ load: calm })
  await w.clock.advance(1_000)
  t.match(w.watching.of('a'), { fresh: true, ageMs: 1_000 })
})

t.test('what machine it is becomes a fact once, and once more when it is registered anew', async t => {
  const w = await given(t)
  w.call.say({ equipment: machine })
  await w.says(60_000, { equipment: machine })
  t.equal((await w.facts('node.equipped')).length, 1)
  t.same(w.node().equipment, machine)
  w.engine.commit('node', 'a', { type: 'node.register', data: { ...data, slots: 2 } })
  t.equal(w.node().equipment, undefined)
  await w.clock.advance(0)
  t.same(w.node().equipment, machine, 'at once: it was said a moment ago')
  t.equal((await w.facts('node.equipped')).length, 2)
})

t.test('an agent that is heard before its node is known has not spoken in vain', async t => {
  const w = await given(t)
  w.engine.commit('node', 'a', { type: 'node.remove', data: {} })
  await w.clock.advance(0)
  w.line(true)
  w.call.say({ equipment: machine })
  await w.clock.advance(100)
  t.equal(w.fleet.state.has('a'), false)
  w.engine.commit('node', 'a', { type: 'node.register', data })
  await w.clock.advance(0)
  t.same(w.node().equipment, machine)
})

t.test('one that is another machine every second does not fill the journal', async t => {
  const w = await given(t)
  for (let i = 0; i < 600; i += 1) {
    w.call.say({ equipment: { ...machine, memoryBytes: i % 2 === 0 ? 8e9 : 64e9 } })
    await w.clock.advance(1_000)
  }
  const facts = (await w.facts('node.equipped')).length
  t.ok(facts >= 2 && facts <= 10, `${facts} facts in ten minutes`)
})

t.test('one that speaks without a pause is heard no faster than the house likes', async t => {
  const w = await given(t)
  w.call.say(...Array.from({ length: 10_000 }, () => ({ load: calm })))
  await w.clock.advance(10_000)
  t.ok(w.call.taken <= 55, `${w.call.taken} words in 10 s; the rest waits on the wire`)
})

t.test('heat that lasts is said once, and so is that it is over', async t => {
  const w = await given(t)
  w.call.say({ equipment: machine, load: hot })
  await w.says(55_000)
  t.equal(w.node().throttled, undefined)
  const since = w.clock.now() - 55_000
  await w.says(300_000)
  t.same(w.node().throttled, { cause: 'heat', since })
  await w.says(EVERY_MS, { load: calm })
  await w.says(170_000)
  t.same(w.node().throttled?.cause, 'heat')
  await w.says(20_000)
  t.equal(w.node().throttled, undefined)
  const told = await w.facts('node.throttled', 'node.cooled')
  t.equal(told.length, 2)
  t.match(told[1], /^node.cooled by agent .*"cause":"heat","throttledMs":4/)
})

t.test('what is heard no more cools, with or without a line', async t => {
  for (const up of [true, false]) {
    const w = await given(t)
    w.call.say({ load: hot })
    await w.says(90_000)
    t.equal(w.node().throttled?.cause, 'heat')
    w.line(up)
    await w.clock.advance(150_000)
    t.equal(w.node().throttled?.cause, 'heat')
    await w.clock.advance(90_000)
    t.equal(w.node().throttled, undefined)
  }
})

t.test('after a restart a slow node whose agent is gone cools, too', async t => {
  const records: string[] = []
  const before = await given(t, { records })
  before.call.say({ load: hot })
  await before.says(90_000)
  t.equal(before.node().throttled?.cause, 'heat')
  const w = await given(t, { records, linked: false })
  t.equal(w.node().throttled?.cause, 'heat')
  await w.clock.advance(170_000)
  t.equal(w.node().throttled?.cause, 'heat')
  await w.clock.advance(30_000)
  t.equal(w.node().throttled, undefined)
})

t.test('a node that was lost while it was slow is slow again only after a minute of heat', async t => {
  const w = await given(t)
  w.call.say({ load: hot })
  await w.says(90_000)
  w.engine.commit('node', 'a', { type: 'node.lose', data: { reason: 'silence' } })
  await w.says(10_000)
  w.engine.commit('node', 'a', { type: 'node.answer', data: { version: '1' } })
  await w.says(40_000)
  t.equal(w.node().throttled, undefined)
  await w.says(30_000)
  t.equal(w.node().throttled?.cause, 'heat')
})

t.test("a GPU that is busy with the house's own work is not overloaded", async t => {
  const busy = { ...calm, gpus: [{ id: 'g', utilisation: 1 }] }
  const w = await given(t)
  w.engine.commit('replica', replicaId('m:latest', 'a'), {
    type: 'replica.find',
    data: { digest: 'd', sizeBytes: 1 },
  })
  const load = { request: 'r', estimateMs: 1 }
  w.engine.commit('replica', replicaId('m:latest', 'a'), { type: 'replica.load', data: load })
  w.call.say({ load: busy })
  await w.says(200_000)
  t.equal(w.node().throttled, undefined, 'it loads a model')
  w.engine.commit('replica', replicaId('m:latest', 'a'), { type: 'replica.confirm', data: { ms: 1 } })
  await w.says(200_000, { load: { ...busy, inFlight: 1 } })
  t.equal(w.node().throttled, undefined, 'the agent carries a call')
  await w.says(140_000, { load: busy })
  t.equal(w.node().throttled?.cause, 'gpu')
})

t.test('a call that breaks, ends or falls silent is made again, later and later', async t => {
  const w = await given(t)
  for (const end of [1, 2, 3, 4, 5, 6]) {
    t.equal(w.calls.length, end)
    w.call.break(new Failure('agent.broken', 'it broke'))
    await w.clock.advance(1_500 * 2 ** (end - 1))
  }
  await w.clock.advance(40_000)
  const before = w.calls.length
  w.call.say({ load: calm })
  await w.clock.advance(0)
  w.call.break(new Failure('agent.broken', 'it broke'))
  await w.clock.advance(1_700)
  t.equal(w.calls.length, before + 1, 'one that was heard is asked again at once')
  const silent = w.call
  await w.clock.advance(4 * EVERY_MS)
  t.equal(silent.signal.aborted, true, 'nobody waits for ever')
  t.ok(w.calls.length > before + 1)
})

t.test('while no line is up nobody is asked, and when it is, at once', async t => {
  const w = await given(t, { linked: false })
  await w.clock.advance(60_000)
  t.equal(w.calls.length, 0)
  t.equal(w.watching.up('a'), false)
  w.line(true)
  t.equal(w.calls.length, 1)
  t.equal(w.watching.up('a'), true)
  w.line(false)
  t.equal(w.call.signal.aborted, true)
  await w.clock.advance(60_000)
  t.equal(w.calls.length, 1)
})

t.test('another pace holds from the next word on', async t => {
  const w = await given(t)
  w.settings.watchMs = 20_000
  const set = { before: '5s', after: '20s' }
  w.engine.commit('setting', 'watch-every', { type: 'setting.set', data: set } as never)
  await w.clock.advance(0)
  t.equal(w.call.intervalMs, 20_000)
  t.equal(w.calls[0]!.signal.aborted, true)
})

t.test('health looks when the agent sees other models than the journal knows, and only then', async t => {
  const w = await given(t)
  const id = replicaId('m:latest', 'a')
  const model = { name: 'M', digest: 'd', sizeBytes: 1, blobs: [] }
  const copy = { name: 'm:latest', sizeBytes: 1, vramBytes: 1, contextLength: 1, expiresAt: 0 }
  w.engine.commit('replica', id, { type: 'replica.find', data: { digest: 'd', sizeBytes: 1 } })
  w.call.say({ present: { models: [model] }, resident: { models: [] } })
  await w.clock.advance(EVERY_MS)
  t.same(w.looked, [])
  w.call.say({ resident: { models: [copy] } })
  await w.clock.advance(EVERY_MS)
  t.same(w.looked, ['a'], 'somebody has loaded it')
  w.engine.commit('replica', id, { type: 'replica.confirm', data: {} })
  w.call.say({ resident: { models: [{ ...copy, expiresAt: 5 }] } })
  await w.clock.advance(EVERY_MS)
  t.same(w.looked, ['a'], 'how long it stays is nothing new')
  w.call.say({ present: { models: [model, { ...model, name: 'other' }] } })
  await w.clock.advance(EVERY_MS)
  t.same(w.looked, ['a', 'a'], 'somebody has pulled one')
})

t.test('other limits of its Ollama hold, unless somebody has set them by hand', async t => {
  const w = await given(t)
  w.call.say({ limits: { numParallel: 1, maxLoadedModels: 3 } })
  await w.clock.advance(EVERY_MS)
  t.equal((await w.facts('node.registered')).length, 1)
  w.call.say({ limits: { numParallel: 4, maxLoadedModels: 3 } })
  await w.clock.advance(EVERY_MS)
  t.match(w.node(), { slots: 4, residentMax: 3, url })
  w.engine.commit('node', 'a', { type: 'node.register', data: { ...data, slots: 2 } })
  await w.says(90_000, { limits: { numParallel: 8, maxLoadedModels: 3 } })
  t.equal(w.node().slots, 2)
})

t.test(
  'limits that nobody can read while Ollama begins anew with others are followed after that',
  async t => {
    const others = async (told: Told | undefined, ...words: object[]) => {
      const w = await given(t, { told })
      for (const limits of [...words, {}, { numParallel: 4, maxLoadedModels: 2 }]) {
        w.call.say({ limits })
        await w.clock.advance(EVERY_MS)
      }
      return [w.node().slots, w.node().residentMax]
    }
    t.same(await others(undefined, { numParallel: 1, maxLoadedModels: 3 }), [4, 2])
    const none = { slots: undefined, residentMax: undefined }
    t.same(await others(none), [4, 2], 'of one that attached, also where the house began meanwhile')
  },
)

t.test(
  'the limits of one that attached hold at once, unless it was told others, or somebody set them',
  async t => {
    const limits = { numParallel: 4, maxLoadedModels: 1 }
    const holds = async (told: Told | undefined, change: object = {}) => {
      const w = await given(t, { told })
      if (Object.keys(change).length > 0)
        w.engine.commit('node', 'a', { type: 'node.register', data: { ...data, ...change } })
      w.call.say({ limits })
      await w.clock.advance(EVERY_MS)
      const { slots, residentMax } = w.node()
      return [slots, residentMax]
    }
    const none = { slots: undefined, residentMax: undefined }
    t.same(await holds(none), [4, 1])
    t.same(await holds({ ...none, slots: 1 }), [1, 1], 'it was started with --slots 1')
    t.same(await holds(none, { slots: 2 }), [2, 1], 'somebody has set 2')
    t.same(
      await holds(undefined),
      [1, 3],
      'one that is dialled was added by somebody, who said so or left it',
    )
  },
)

t.test('a drained node follows when it is given work again', async t => {
  const w = await given(t)
  w.call.say({ limits: { numParallel: 1 } })
  await w.clock.advance(EVERY_MS)
  w.engine.commit('node', 'a', { type: 'node.drain', data: {} })
  await w.says(30_000, { limits: { numParallel: 4 } })
  t.equal(w.node().slots, 1)
  w.engine.commit('node', 'a', { type: 'node.resume', data: {} })
  await w.says(10_000)
  t.equal(w.node().slots, 4)
})
