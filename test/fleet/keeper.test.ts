/** Who keeps a copy in memory for as long as a policy says, and how often a node is told. */
import t, { type Test } from 'tap'
import type { PolicyData } from '../../machines/policy.ts'
import { virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Failure } from '../../src/failure.ts'
import { Keeper } from '../../src/fleet/keeper.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { views } from '../../src/projections/views.ts'

const MODEL = 'tiny:latest'
const ID = `${MODEL}@a`
const never = new AbortController().signal

/** A node that has the model in memory, loaded by somebody else, and what it is told. */
async function given(
  t: Test,
  policy: PolicyData | undefined,
  { capabilities = ['completion'], fails = false } = {},
) {
  const clock = virtualClock()
  const journal = openMemoryJournal({ clock })
  const answers = views()
  const engine = new Engine(journal, clock, Object.values(answers))
  await engine.replay()
  const told: object[] = []
  const ollama = (url: string) => ({
    async load(model: string, { signal: _signal, ...order }: object & { signal?: AbortSignal }) {
      told.push({ url, model, ...order })
      if (fails) throw new Failure('ollama.broken', 'it broke')
      return undefined
    },
    async unload(model: string) {
      told.push({ url, model, unload: true })
    },
  })
  const looked: string[] = []
  const keeper = new Keeper({ ...answers, clock, ollama, look: node => void looked.push(node) })
  engine.start(keeper.reactor)
  t.teardown(async () => {
    engine.close()
    await journal.close()
  })
  const data = { url: 'http://a:1', slots: 1, residentMax: 1, labels: {}, origin: 'api' } as const
  engine.commit('node', 'a', { type: 'node.register', data })
  engine.commit('node', 'a', { type: 'node.answer', data: { version: '0' } })
  const model = { digest: 'd', sizeBytes: 1, family: '', parameterSize: '', quantization: '' }
  engine.commit('model', MODEL, { type: 'model.find', data: { ...model, capabilities } })
  engine.commit('replica', ID, { type: 'replica.find', data: { digest: 'd', sizeBytes: 1 } })
  engine.commit('replica', ID, { type: 'replica.confirm', data: {} })
  let count = 0
  const world = {
    clock,
    engine,
    looked,
    told,
    set: (data: PolicyData) => void engine.commit('policy', MODEL, { type: 'policy.set', data }),
    load: () => keeper.load('http://a:1', MODEL, { embedding: false, keepAlive: '1m', signal: never }),
    /** Admits a request; what is returned answers it. */
    ask(path: string): (status?: number) => Promise<void> {
      const id = `r${++count}`
      const asked = {
        path,
        model: MODEL,
        client: 'c',
        priority: 5,
        bodyBytes: 1,
        expiresAt: 9e15,
        attemptsMax: 1,
      }
      engine.commit('request', id, { type: 'request.admit', data: asked })
      return async (status = 200) => {
        engine.commit('request', id, { type: 'request.assign', data: { node: 'a', candidates: [] } })
        engine.commit('request', id, { type: 'request.begin', data: { status } })
        engine.commit('request', id, { type: 'request.complete', data: { bytes: 1, chunks: 1 } })
        await engine.settled()
      }
    },
    /** Answers so many requests of /v1, and says how often the node was told something meanwhile. */
    async v1(times = 1): Promise<number> {
      const before = told.length
      for (let i = 0; i < times; i += 1) await world.ask('/v1/chat/completions')()
      return told.length - before
    },
  }
  if (policy !== undefined) world.set(policy)
  await engine.settled()
  return world
}

const kept = { url: 'http://a:1', model: MODEL, embedding: false }

t.test('a copy that somebody else loaded is told once, after its first answer to /v1', async t => {
  const { told, v1 } = await given(t, { keepAliveS: 300 })
  t.equal(await v1(3), 1)
  t.same(told, [{ ...kept, keepAlive: 300 }])
})

t.test('it is told again when it has been loaded again, and when the policy says something else', async t => {
  const { engine, set, told, v1 } = await given(t, { keepAliveS: 300 })
  await v1()
  engine.commit('replica', ID, { type: 'replica.unload', data: {} })
  engine.commit('replica', ID, { type: 'replica.confirm', data: {} })
  await engine.settled()
  t.equal(await v1(2), 1)
  engine.commit('node', 'a', { type: 'node.lose', data: { reason: 'refused' } })
  engine.commit('node', 'a', { type: 'node.answer', data: { version: '0' } })
  await engine.settled()
  t.equal(await v1(2), 1, 'nobody knows what it did meanwhile')
  set({ keepAliveS: -1 })
  t.equal(await v1(2), 1)
  t.match(told.at(-1), { keepAlive: -1 })
})

t.test('what the house loads carries the policy’s time, and needs no telling', async t => {
  const { engine, load, told, v1 } = await given(t, { keepAliveS: 300 })
  engine.commit('replica', ID, { type: 'replica.unload', data: {} })
  engine.commit('replica', ID, { type: 'replica.load', data: { request: 'r', estimateMs: 1 } })
  await engine.settled()
  await load()
  t.match(told, [{ keepAlive: 300 }])
  engine.commit('replica', ID, { type: 'replica.confirm', data: { ms: 5 } })
  await engine.settled()
  t.equal(await v1(3), 0)
})

t.test(
  'without a policy, or with one that only caps, a load goes as ordered and nobody is told anything',
  async t => {
    for (const policy of [undefined, { keepAliveMaxS: 60 }, { numCtx: 512 }]) {
      const { load, told, v1 } = await given(t, policy)
      await load()
      t.match(told, [{ keepAlive: '1m' }])
      t.equal(await v1(3), 0)
    }
  },
)

t.test('a native request has said it itself, if the policy is older than it', async t => {
  const { ask, clock, set, v1 } = await given(t, undefined)
  const older = ask('/api/chat')
  await clock.advance(1_000)
  set({ keepAliveS: 300 })
  await older()
  t.equal(await v1(2), 1)
  const other = await given(t, { keepAliveS: 300 })
  await other.ask('/api/chat')()
  t.equal(await other.v1(2), 0)
})

t.test('a copy that is to leave at once is sent away after its answer, and looked for', async t => {
  const { engine, load, looked, told, v1 } = await given(t, { keepAliveS: 0 })
  await load()
  t.equal(await v1(), 1, 'its load could not say so')
  t.match(told, [{ keepAlive: 0 }, { unload: true }])
  t.same(looked, ['a'])
  engine.commit('replica', ID, { type: 'replica.unload', data: {} })
  engine.commit('replica', ID, { type: 'replica.confirm', data: {} })
  await engine.settled()
  t.equal(await v1(), 1)
})

t.test('a copy that the house has loaded otherwise is left alone', async t => {
  const { engine, v1 } = await given(t, { keepAliveS: 300 })
  engine.commit('replica', ID, {
    type: 'replica.load',
    data: { request: 'r', estimateMs: 1, variant: 'num_ctx=512' },
  })
  engine.commit('replica', ID, { type: 'replica.confirm', data: { ms: 1 } })
  await engine.settled()
  t.equal(await v1(), 0)
})

t.test('an answer that was none leaves the copy alone: it may be loaded otherwise', async t => {
  const { ask, told, v1 } = await given(t, { keepAliveS: 300 })
  await ask('/v1/chat/completions')(400)
  t.same(told, [])
  t.equal(await v1(), 1)
})

t.test('a copy that is not known to be in memory is left alone: telling it would load it', async t => {
  const { engine, v1 } = await given(t, { keepAliveS: 300 })
  engine.commit('replica', ID, { type: 'replica.unload', data: {} })
  await engine.settled()
  t.equal(await v1(2), 0)
})

t.test(
  'an embedding model is told by its own call, and a node that does not listen is not asked twice',
  async t => {
    const { told, v1 } = await given(t, { keepAliveS: 300 }, { capabilities: ['embedding'], fails: true })
    t.equal(await v1(3), 1)
    t.same(told, [{ ...kept, embedding: true, keepAlive: 300 }])
  },
)
