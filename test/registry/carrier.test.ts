import t from 'tap'
import { Failure } from '../../src/failure.ts'
import { Carrier } from '../../src/registry/carrier.ts'
import { PullFailed } from '../../src/registry/puller.ts'
import { type Pull, stage } from './stage.ts'

const M = 'tiny:latest'
const cut = new Failure('ollama.broken', 'reset', { retryable: true })

async function carrying(t: Parameters<typeof stage>[0], options: Parameters<typeof stage>[1] = {}) {
  const s = await stage(t, options)
  const carrier = new Carrier(s.needs)
  s.engine.start(carrier.reactor)
  t.teardown(() => carrier.close())
  const pull = (i: number): Pull => s.pulls[i]!
  return { ...s, carrier, pull }
}

t.test(
  'three nodes get a model one after the other, and each copy is found before its transfer is over',
  async t => {
    const s = await carrying(t)
    for (const node of ['a', 'b', 'c']) s.join(node)
    for (const node of ['c', 'a', 'b']) s.order(M, node)
    for (const [i, node] of ['c', 'a', 'b'].entries()) {
      await s.settle()
      t.equal(s.pulls.length, i + 1, 'one at a time')
      t.match(s.pull(i), { node, model: M, url: `http://${node}:11434` })
      s.pull(i).done()
    }
    await s.settle()
    t.same(await s.story(), [
      'ordered tiny:latest@c',
      'ordered tiny:latest@a',
      'ordered tiny:latest@b',
      'begun tiny:latest@c',
      'replica.found tiny:latest@c',
      'completed tiny:latest@c',
      'begun tiny:latest@a',
      'replica.found tiny:latest@a',
      'completed tiny:latest@a',
      'begun tiny:latest@b',
      'replica.found tiny:latest@b',
      'completed tiny:latest@b',
    ])
    t.same(s.transfers.state.open.size, 0)
    t.same(s.cancelled, [], 'what is over is not called off')
  },
)

t.test('how many at once may be turned while it runs; with none, none begins', async t => {
  const s = await carrying(t)
  for (const node of ['a', 'b', 'c']) s.join(node)
  s.config.pulls = 0
  for (const node of ['a', 'b', 'c']) s.order(M, node)
  await s.settle()
  t.equal(s.pulls.length, 0)
  s.config.pulls = 2
  s.engine.commit('setting', 'pulls', { type: 'setting.set', data: { value: '2', start: '1' } })
  await s.settle()
  t.same(
    s.pulls.map(({ node }) => node),
    ['a', 'b'],
  )
})

t.test(
  'what people asked for goes before what policies want, and a node that is down keeps nobody waiting',
  async t => {
    const s = await carrying(t)
    for (const node of ['a', 'b', 'c']) s.join(node)
    s.lose('b')
    s.config.pulls = 0
    s.order(M, 'a', 'policy')
    s.order(M, 'b')
    s.order(M, 'c')
    s.config.pulls = 1
    s.engine.commit('setting', 'pulls', { type: 'setting.set', data: { value: '1', start: '1' } })
    await s.settle()
    t.same([s.pulls.length, s.pull(0).node], [1, 'c'])
    s.pull(0).done()
    await s.settle()
    t.equal(s.pull(1).node, 'a')
    s.pull(1).done()
    await s.settle()
    t.equal(s.pulls.length, 2)
    s.answer('b')
    await s.settle()
    t.equal(s.pull(2).node, 'b')
  },
)

t.test(
  'a try that went wrong is tried again under another name, and its words are kept for people',
  async t => {
    const s = await carrying(t)
    s.join('a')
    s.order(M, 'a')
    await s.settle()
    s.pull(0).fail(
      new PullFailed('upstream', 'dial tcp 10.0.0.1: i/o timeout', { retryable: true, status: 200 }),
    )
    await s.settle()
    t.match(s.transfers.state.open.get(`${M}@a`), { state: 'resting', reason: 'upstream' })
    t.equal(s.carrier.words(`${M}@a`), 'dial tcp 10.0.0.1: i/o timeout')
    for await (const page of s.journal.read())
      for (const entry of page) t.notMatch(JSON.stringify(entry), /10\.0\.0\.1/, 'not in the journal')
    await s.clock.advance(120_000)
    t.equal(s.pulls.length, 2)
    t.not(s.pull(1).command, s.pull(0).command)
    s.pull(1).done()
    await s.settle()
    t.equal(s.carrier.words(`${M}@a`), undefined)
  },
)

t.test('what no other try mends is given up at once', async t => {
  const s = await carrying(t)
  s.join('a')
  s.order(M, 'a')
  await s.settle()
  s.pull(0).fail(new PullFailed('full', 'no space left on device', { retryable: false }))
  await s.settle()
  t.same((await s.story()).slice(-2), ['begun tiny:latest@a', 'abandoned tiny:latest@a'])
  t.match(s.transfers.state.ended.at(-1), { state: 'abandoned', reason: 'full', attempt: 1 })
})

t.test('a try goes on where it was when its connection was cut and the node is soon back', async t => {
  const s = await carrying(t)
  s.join('a')
  s.order(M, 'a')
  await s.settle()
  s.pull(0).step({ status: 'pulling ab', digest: 'ab', totalBytes: 9, completedBytes: 3 })
  s.lose('a')
  s.pull(0).fail(cut)
  await s.clock.advance(30_000)
  t.equal(s.pulls.length, 1, 'nobody asks a node that is away')
  s.answer('a')
  await s.clock.advance(2_000)
  t.equal(s.pulls.length, 2)
  t.equal(s.pull(1).command, s.pull(0).command, 'the same try')
  s.pull(1).done()
  await s.settle()
  t.same((await s.story()).at(-1), 'completed tiny:latest@a')
})

t.test('nor does a short cut end what has verified for minutes, without a byte', async t => {
  const s = await carrying(t)
  s.join('a')
  s.order(M, 'a')
  await s.settle()
  s.pull(0).step({ status: 'verifying sha256 digest' })
  await s.clock.advance(120_000)
  s.pull(0).fail(cut)
  await s.clock.advance(3_000)
  t.equal(s.pulls.length, 2)
  t.equal(s.pull(1).command, s.pull(0).command, 'the same try')
  t.same(s.cancelled, [])
})

t.test(
  'a node that is away for longer than the grace fails the try, and does not hold up the others',
  async t => {
    const s = await carrying(t)
    s.join('a')
    s.join('b')
    s.order(M, 'a')
    s.order(M, 'b')
    await s.settle()
    s.lose('a')
    s.pull(0).fail(cut)
    await s.clock.advance(62_000)
    t.match(s.transfers.state.open.get(`${M}@a`), { state: 'resting', reason: 'away' })
    t.equal(s.pull(1).node, 'b')
    t.same(s.cancelled, [s.pull(0).command], 'if its agent is only cut off, it need not go on')
  },
)

t.test('a node that went away without a word is not waited for any longer', async t => {
  const s = await carrying(t)
  s.join('a')
  s.join('b')
  s.order(M, 'a')
  s.order(M, 'b')
  await s.settle()
  s.lose('a')
  await s.clock.advance(61_000)
  t.match(s.transfers.state.open.get(`${M}@a`), { state: 'resting', reason: 'away' })
  t.equal(s.pull(0).left, true)
  t.equal(s.pull(1).node, 'b')
})

t.test('a node that breaks off every time, without a byte, is not asked for ever', async t => {
  const s = await carrying(t)
  s.join('a')
  s.order(M, 'a')
  for (let ms = 0; ms < 80_000; ms += 1_000) {
    await s.clock.advance(1_000)
    s.pulls.at(-1)!.step({ status: 'pulling manifest' })
    s.pulls.at(-1)!.fail(cut)
  }
  t.match(await s.story(), ['ordered tiny:latest@a', 'begun tiny:latest@a', 'failed tiny:latest@a'])
  t.ok(s.pulls.length < 20, `${s.pulls.length} calls in a minute`)
})

t.test('what a node says it has pulled and does not list is not there', async t => {
  const s = await carrying(t)
  s.join('a')
  s.order(M, 'a')
  await s.settle()
  s.pull(0).done()
  s.diskOf('a').delete(M)
  await s.settle()
  t.match(s.transfers.state.open.get(`${M}@a`), { state: 'resting', reason: 'answer' })
})

t.test('whoever calls it off stops the node, and the next in line begins', async t => {
  const s = await carrying(t)
  s.join('a')
  s.join('b')
  s.order(M, 'a')
  s.order(M, 'b')
  await s.settle()
  s.engine.commit('transfer', `${M}@a`, { type: 'transfer.cancel', data: { why: 'asked' } })
  await s.settle()
  t.equal(s.pull(0).left, true)
  t.same(s.cancelled, [s.pull(0).command])
  t.equal(s.pull(1).node, 'b')
})

t.test('an agent that is away when its pull is called off is told when it is back', async t => {
  const s = await carrying(t)
  s.join('a')
  const data = { url: 'agent://a', slots: 1, residentMax: 3, labels: {}, origin: 'agent' } as const
  s.engine.commit('node', 'a', { type: 'node.register', data })
  s.answer('a')
  s.order(M, 'a')
  await s.settle()
  const { cancel } = s.puller
  s.puller.cancel = async () => false
  s.engine.commit('transfer', `${M}@a`, { type: 'transfer.cancel', data: { why: 'asked' } })
  await s.clock.advance(60_000)
  t.same(s.cancelled, [])
  s.puller.cancel = cancel
  await s.clock.advance(60_000)
  t.same(s.cancelled, [s.pull(0).command], 'once is enough')
})

t.test('a copy that turns up otherwise is what was wanted', async t => {
  const s = await carrying(t)
  s.join('a')
  s.join('b')
  s.order(M, 'a')
  s.order(M, 'b')
  await s.settle()
  s.find(M, 'b')
  await s.settle()
  t.equal(s.transfers.state.open.has(`${M}@b`), false)
  t.equal((await s.story()).at(-1), 'completed tiny:latest@b')
  t.equal(s.pulls.length, 1)
})

t.test('a node that is removed takes its transfers with it', async t => {
  const s = await carrying(t)
  s.join('a')
  s.order(M, 'a')
  await s.settle()
  s.engine.commit('node', 'a', { type: 'node.remove', data: {} })
  await s.settle()
  t.match(s.transfers.state.ended.at(-1), { state: 'cancelled', why: 'gone' })
  t.equal(s.pull(0).left, true)
})

t.test('a house that starts again goes on with the try that it had begun, under the same name', async t => {
  const first = await carrying(t)
  first.join('a')
  first.join('b')
  first.order(M, 'a')
  first.order(M, 'b')
  await first.settle()
  first.carrier.close()
  t.equal(first.pull(0).left, true, 'it leaves')
  t.same(first.cancelled, [], 'and calls nothing off')
  first.engine.close()

  const next = await carrying(t, { clock: first.clock, journal: first.journal })
  await next.settle()
  t.equal(next.pulls.length, 1)
  t.equal(next.pull(0).command, first.pull(0).command)
  next.pull(0).done()
  await next.settle()
  next.pull(1).done()
  await next.settle()
  const begun = (await next.story()).filter(line => /^(begun|completed)/.test(line))
  t.same(begun, [
    'begun tiny:latest@a',
    'completed tiny:latest@a',
    'begun tiny:latest@b',
    'completed tiny:latest@b',
  ])
})

t.test('killed between the copy and the word of it, a house asks for nothing twice', async t => {
  const first = await carrying(t)
  first.join('a')
  first.order(M, 'a')
  await first.settle()
  first.find(M, 'a') // it was pulled; nobody has said so
  await first.engine.settled()
  first.carrier.close()
  first.engine.close()
  const next = await carrying(t, { clock: first.clock, journal: first.journal })
  await next.settle()
  t.equal(next.pulls.length, 0)
  t.equal((await next.story()).at(-1), 'completed tiny:latest@a')
})

t.test('what was called off while the house was about to die is called off again', async t => {
  const first = await carrying(t)
  first.join('a')
  first.order(M, 'a')
  await first.settle()
  first.carrier.close()
  first.engine.commit('transfer', `${M}@a`, { type: 'transfer.cancel', data: { why: 'asked' } })
  await first.engine.settled()
  first.engine.close()
  const next = await carrying(t, { clock: first.clock, journal: first.journal })
  await next.settle()
  t.same(next.cancelled, [first.pull(0).command])
})

t.test('how far it has come is told of what runs, and bytes are counted once', async t => {
  const s = await carrying(t)
  s.join('a')
  s.order(M, 'a')
  await s.settle()
  t.match(s.carrier.progress(`${M}@a`), { bytes: 0 })
  for (const completedBytes of [0, 400, 900])
    s.pull(0).step({ status: 'pulling ab', digest: 'ab', totalBytes: 1_000, completedBytes })
  t.match(s.carrier.progress(`${M}@a`), { bytes: 900, totalBytes: 1_000 })
  t.equal(s.carrier.bytes, 900)
  s.pull(0).done()
  await s.settle()
  t.equal(s.carrier.progress(`${M}@a`), undefined)
})
