import t from 'tap'
import type { PolicyData } from '../../machines/policy.ts'
import { Registry } from '../../src/registry/registry.ts'
import { stage } from './stage.ts'

const M = 'tiny:latest'
const MINUTE = 60_000

async function keeping(t: Parameters<typeof stage>[0], options: Parameters<typeof stage>[1] = {}) {
  const s = await stage(t, options)
  const deleted: string[] = []
  const registry = new Registry({
    ...s.needs,
    freeBytes: () => undefined,
    heard: () => undefined,
    ollama: url => ({
      async ask(_method, _path, body) {
        const { model } = body as { model: string }
        const node = new URL(url).hostname
        deleted.push(`${model}@${node}`)
        s.diskOf(node).delete(model)
        return Buffer.alloc(0)
      },
    }),
  })
  s.engine.start(...registry.reactors)
  t.teardown(() => registry.close())
  const pulling = (): string[] => s.pulls.filter(pull => !pull.left).map(({ node }) => node)
  const kept = {
    ...s,
    registry,
    deleted,
    pulling,
    policy: (data: PolicyData, model = M) =>
      void s.engine.commit('policy', model, { type: 'policy.set', data }),
    /** Whatever is pulled is there after a second. */
    async pass(ms: number): Promise<void> {
      for (let passed = 0; passed < ms; passed += 1_000) {
        await s.clock.advance(Math.min(1_000, ms - passed))
        for (const pull of s.pulls) if (!pull.left) pull.done()
      }
      await s.settle()
    },
    async facts(...types: string[]): Promise<string[]> {
      await s.engine.settled()
      const told: string[] = []
      for await (const page of s.journal.read())
        for (const { type, id } of page) if (types.includes(type)) told.push(`${type} ${id}`)
      return told
    },
  }
  return kept
}

t.test(
  'the only copy of a model, lost with its node, is made anew elsewhere after the grace, and the facts tell why',
  async t => {
    const s = await keeping(t)
    for (const node of ['a', 'b']) s.join(node)
    s.find(M, 'a')
    s.policy({ replicasMin: 1 })
    await s.pass(5 * MINUTE)
    t.same(s.pulls.length, 0, 'as it is wanted')
    s.lose('a')
    await s.pass(50_000)
    t.same(s.pulls.length, 0, 'it may come back')
    await s.pass(20_000)
    t.same(await s.story(), [
      'replica.found tiny:latest@a',
      'ordered tiny:latest@b',
      'begun tiny:latest@b',
      'replica.found tiny:latest@b',
      'completed tiny:latest@b',
    ])
    for await (const page of s.journal.read())
      for (const { type, data, by } of page)
        if (type === 'transfer.ordered')
          t.match({ data, by }, { data: { cause: 'policy', lost: ['a'] }, by: 'registry' })
  },
)

t.test('a lost node that is registered anew, and stays away, is lost all the same', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b']) s.join(node)
  s.find(M, 'a')
  s.policy({ replicasMin: 1 })
  await s.pass(MINUTE)
  s.lose('a')
  const data = { url: 'http://a:11434', slots: 2, residentMax: 3, labels: {}, origin: 'flag' } as const
  s.engine.commit('node', 'a', { type: 'node.register', data })
  await s.clock.advance(30_000)
  t.match(s.registry.status(), [{ copies: [{ standing: 'joining' }], missing: 1 }])
  await s.pass(2 * MINUTE)
  t.same([...s.residency.state.byModel.get(M)!.keys()], ['a', 'b'])
})

t.test('a node that is lost while it pulls for a policy: after the grace another one is chosen', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b', 'c']) s.join(node)
  s.find(M, 'a')
  await s.clock.advance(MINUTE)
  s.policy({ replicasMin: 2 })
  await s.clock.advance(1_000)
  const [first] = s.pulling()
  const other = first === 'b' ? 'c' : 'b'
  s.lose(first!)
  await s.clock.advance(50_000)
  t.same(s.pulling(), [first], 'it may come back')
  await s.clock.advance(20_000)
  t.same(s.pulling(), [other])
  await s.pass(2_000)
  t.same((await s.story()).slice(-2), [`replica.found ${M}@${other}`, `completed ${M}@${other}`])
  s.answer(first!)
  await s.pass(5 * MINUTE)
  t.equal(s.pulls.length, 2, 'and it is not begun again where nobody needs it')
})

t.test('a node that comes and goes a hundred times moves nothing', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b', 'c']) s.join(node)
  s.find(M, 'a')
  s.policy({ replicasMin: 1, replicasMax: 1 })
  await s.pass(5 * MINUTE)
  for (let i = 0; i < 100; i += 1) {
    s.lose('a')
    await s.pass(20_000)
    s.answer('a')
    await s.pass(20_000)
  }
  t.same([s.pulls.length, s.deleted], [0, []])
})

t.test('nor do nodes that stay away a little too long each time make a storm of it', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b', 'c', 'd']) s.join(node)
  for (let i = 0; i < 30; i += 1) {
    s.find(`m${i}:latest`, 'a')
    s.policy({ replicasMin: 1, replicasMax: 1 }, `m${i}:latest`)
  }
  await s.pass(5 * MINUTE)
  const began = s.clock.now()
  for (let i = 0; i < 20; i += 1) {
    s.lose('a')
    await s.pass(70_000)
    s.answer('a')
    await s.pass(50_000)
  }
  const moves = (await s.facts('transfer.ordered', 'model.deleted')).length
  const windows = (s.clock.now() - began) / (10 * MINUTE)
  t.ok(moves <= 10 + 10 * windows, `${moves} moves in ${windows} windows`)
  t.ok(moves >= 30, 'what is wanted comes about all the same')
})

t.test('what is one too many goes, and never so many that too few are left', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b', 'c', 'd']) s.join(node)
  for (const node of ['a', 'b', 'c', 'd']) s.find(M, node)
  s.policy({ replicasMin: 2, replicasMax: 2 })
  await s.pass(10 * MINUTE)
  t.equal(s.deleted.length, 2)
  t.equal(s.residency.state.byModel.get(M)?.size, 2)
  t.same((await s.facts('model.deleted')).length, 2, 'and there is a fact of each')
})

t.test('a copy that could not be removed is not asked for again and again', async t => {
  const s = await stage(t)
  const asked: number[] = []
  const registry = new Registry({
    ...s.needs,
    freeBytes: () => undefined,
    heard: () => undefined,
    ollama: () => ({
      async ask() {
        asked.push(s.clock.now())
        const { NodeAnswer } = await import('../../src/ollama/ollama.ts')
        throw new NodeAnswer(500, 'permission denied')
      },
    }),
  })
  s.engine.start(...registry.reactors)
  t.teardown(() => registry.close())
  for (const node of ['a', 'b']) s.join(node)
  for (const node of ['a', 'b']) s.find(M, node)
  s.engine.commit('policy', M, { type: 'policy.set', data: { replicasMin: 1, replicasMax: 1 } })
  await s.clock.advance(60 * MINUTE)
  t.ok(asked.length >= 4 && asked.length <= 7, `${asked.length} times in an hour`)
})

t.test('to ask what sync would do does nothing; to sync does it, at once', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b', 'c']) s.join(node)
  s.find(M, 'a')
  s.policy({ replicasMin: 2 })
  s.lose('c')
  const before = s.journal.head.seq
  const dry = await s.registry.sync({ dryRun: true }, 'ann')
  t.match(dry, { dryRun: true, actions: [{ do: 'pull', model: M, node: 'b', reason: String }] })
  t.equal(s.journal.head.seq, before)
  await s.registry.sync({ dryRun: false }, 'ann')
  t.same(await s.facts('transfer.ordered'), [`transfer.ordered ${M}@b`])
  t.match(s.transfers.state.open.get(`${M}@b`), { cause: 'sync', by: 'ann' })
  t.same((await s.registry.sync({ dryRun: true }, 'ann')).actions, [], 'it is on its way')
})

t.test('a sync of one model leaves the others alone', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b']) s.join(node)
  for (const model of ['m:latest', 'n:latest']) {
    s.find(model, 'a')
    s.policy({ replicasMin: 2 }, model)
  }
  const { actions } = await s.registry.sync({ model: 'n:latest', dryRun: false }, 'ann')
  t.match(actions, [{ model: 'n:latest' }])
})

t.test('to remove what a policy needs takes force, and is said how to do without', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b']) s.join(node)
  for (const node of ['a', 'b']) s.find(M, node)
  s.policy({ replicasMin: 1 })
  const all = { force: false }
  await t.rejects(s.registry.remove(M, all, 'ann'), {
    code: 'policy.needs',
    message:
      /wants 1, and 0 would be left that can be reached; ask for fewer first \(quipu policy set tiny:latest replicas=0-\), or/,
  })
  t.same(await s.registry.remove(M, { nodes: ['a'], force: false }, 'ann'), {
    model: M,
    removed: ['a'],
    failed: [],
  })
  await t.rejects(s.registry.remove(M, { nodes: ['a'], force: false }, 'ann'), { code: 'replica.absent' })
  await t.rejects(s.registry.remove(M, { nodes: ['z'], force: false }, 'ann'), { code: 'node.unknown' })
  t.match(await s.registry.remove(M, { force: true }, 'ann'), { removed: ['b'] })
  for await (const page of s.journal.read())
    for (const { type, by } of page) if (type === 'model.deleted') t.equal(by, 'ann')
})

t.test('a copy on a node that is down is none to rely on', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b']) s.join(node)
  for (const node of ['a', 'b']) s.find(M, node)
  s.policy({ replicasMin: 1 })
  s.lose('a')
  await t.rejects(s.registry.remove(M, { nodes: ['b'], force: false }, 'ann'), { code: 'policy.needs' })
  t.match(await s.registry.remove(M, { nodes: ['a'], force: false }, 'ann'), {
    failed: [{ node: 'a', why: 'it is not up' }],
  })
})

t.test('nor is a copy where the policy does not let it be', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b']) s.join(node)
  for (const node of ['a', 'b']) s.find(M, node)
  s.policy({ replicasMin: 1, avoid: ['b'] })
  await t.rejects(s.registry.remove(M, { nodes: ['a'], force: false }, 'ann'), { code: 'policy.needs' })
  t.match(await s.registry.remove(M, { nodes: ['b'], force: false }, 'ann'), { removed: ['b'] })
})

t.test('two who remove at once do not remove the last two', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b']) s.join(node)
  for (const node of ['a', 'b']) s.find(M, node)
  s.policy({ replicasMin: 1 })
  const ends = await Promise.allSettled(
    ['a', 'b'].map(node => s.registry.remove(M, { nodes: [node], force: false }, 'ann')),
  )
  t.same(
    ends.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  )
  t.equal(s.deleted.length, 1)
})

t.test('what is removed is not on its way any more', async t => {
  const s = await keeping(t)
  s.join('a')
  s.order(M, 'a')
  await s.settle()
  await s.registry.remove(M, { nodes: ['a'], force: false }, 'ann')
  t.match(s.transfers.state.ended.at(-1), { state: 'cancelled', why: 'asked' })
})

t.test('a pull goes where it is not; where it is, or is on its way, it is said', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b', 'c']) s.join(node)
  s.find(M, 'a')
  const first = s.registry.pull(M, { all: true }, 'ann')
  t.match(first, { already: ['a'], transfers: { length: 2 } })
  const again = s.registry.pull(M, { nodes: ['b'] }, 'bob')
  t.match(again, { transfers: [{ node: 'b', by: 'ann' }] }, 'once is enough')
  t.same((await s.facts('transfer.ordered')).length, 2)
  t.throws(() => s.registry.pull(M, { nodes: ['z'] }, 'ann'), { code: 'node.unknown' })
  s.lose('b')
  const patient = s.registry.pull('other:latest', { nodes: ['b'] }, 'ann')
  t.match(patient.transfers, [{ state: 'waiting', waits: 'b is down' }], 'whoever names it means it')
  for (const node of ['a', 'c']) s.lose(node)
  t.throws(() => s.registry.pull('third:latest', { count: 1 }, 'ann'), {
    code: 'transfer.nowhere',
    message: /a: is down; b: is down; c: is down/,
  })
})

t.test(
  'how a model stands is told in words: what is missing, what is on its way, what will be done',
  async t => {
    const s = await keeping(t)
    for (const node of ['a', 'b']) s.join(node)
    s.find(M, 'a')
    s.policy({ replicasMin: 2, replicasMax: 3 })
    await s.clock.advance(20_000)
    t.match(s.registry.status(), [
      {
        model: M,
        wanted: { min: 2, max: 3 },
        copies: [{ node: 'a', standing: 'up' }],
        missing: 1,
        surplus: 0,
      },
    ])
    t.match(s.registry.status()[0]!.plan[0], /gets no other: b came a moment ago/)
    await s.clock.advance(20_000)
    t.match(s.registry.status(new Set([M])), [
      { missing: 0, transfers: [{ node: 'b', state: 'running' }], plan: [] },
    ])
    t.same(s.registry.status(new Set(['none:latest'])), [])
  },
)

t.test('a copy against the policy is not one of those it wants, nor is one that is renewed', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b']) s.join(node)
  for (const node of ['a', 'b']) s.find(M, node)
  s.policy({ replicasMin: 2, avoid: ['b'] })
  t.match(s.registry.status(), [{ missing: 1, surplus: 0 }])
  s.registry.pull(M, { nodes: ['a'] }, 'ann')
  t.match(s.registry.status(), [{ missing: 1, transfers: [{ node: 'a' }] }])
  s.policy({ replicasMin: 1, replicasMax: 2, avoid: ['b'] })
  t.match(s.registry.status(), [{ missing: 0, surplus: 1 }])
})

t.test('what would serve better is only said, until somebody takes it up', async t => {
  const s = await keeping(t)
  for (const node of ['a', 'b']) s.join(node)
  s.find(M, 'a')
  await s.clock.advance(5 * MINUTE)
  for (let i = 0; i < 20; i += 1) await waited(s, `r${i}`)
  const before = s.journal.head.seq
  const told = await s.registry.optimize({ apply: false }, 'ann')
  t.match(told, { applied: false, proposals: [{ do: 'add', model: M, node: 'b', benefitMs: Number }] })
  t.equal(s.journal.head.seq, before)
  t.match(await s.registry.optimize({ apply: true }, 'ann'), { applied: true, proposals: { length: 1 } })
  t.match(s.transfers.state.open.get(`${M}@b`), { cause: 'optimize', by: 'ann' })
})

/** A request that waited half a minute for the one slot, and then took as long. */
async function waited(s: Awaited<ReturnType<typeof keeping>>, id: string): Promise<void> {
  const { clock, engine } = s
  const expiresAt = clock.now() + 600_000
  const ask = {
    path: '/api/generate',
    model: M,
    client: 'c',
    priority: 5,
    bodyBytes: 1,
    expiresAt,
    attemptsMax: 3,
  }
  engine.commit('request', id, { type: 'request.admit', data: ask })
  await clock.advance(30_000)
  engine.commit('request', id, { type: 'request.assign', data: { node: 'a', candidates: [] } })
  engine.commit('request', id, { type: 'request.begin', data: { status: 200 } })
  await clock.advance(30_000)
  engine.commit('request', id, { type: 'request.complete', data: { bytes: 1, chunks: 1 } })
}

t.test('a house that starts again finds by itself what is missing', async t => {
  const first = await keeping(t)
  for (const node of ['a', 'b']) first.join(node)
  first.find(M, 'a')
  await first.settle()
  first.registry.close()
  first.policy({ replicasMin: 2 })
  await first.engine.settled()
  first.engine.close()
  const next = await keeping(t, { clock: first.clock, journal: first.journal })
  await next.pass(2 * MINUTE)
  t.same((await next.story()).slice(-2), ['replica.found tiny:latest@b', 'completed tiny:latest@b'])
})
