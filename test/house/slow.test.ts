/** Nodes that are alive, and far too slow. */
import t, { type Test } from 'tap'
import { storyOf, type World, world } from './world.ts'

/** 200 tokens a second as a rule; an eighth of that are 50 lines in two seconds, and a slow node says 40. */
const USUAL = { decodeTps: 200, words: 64 }

/** The first node has become slow; the house knows how fast it was. */
async function slowed(t: Test, sims: number, slowMove: string): Promise<World> {
  const w = await world(t, {
    sims: Array.from({ length: sims }, () => USUAL),
    flags: { 'slow-move': slowMove },
  })
  for (const sim of w.sims)
    await fetch(`${sim.url}/api/generate`, { method: 'POST', body: '{"model":"tiny"}' })
  for (const sim of w.sims) await w.fact('replica.loaded', ({ id }) => id.endsWith(sim.name))
  for (let i = 0; i < 3; i += 1) {
    const res = await w.generate()
    t.equal(res.headers.get('x-quipu-node'), 'n1')
    await res.text()
  }
  t.equal((await w.facts('request.retried')).length, 0, 'at its usual pace it stays')
  w.sims[0]!.setMode('slow')
  return w
}

const lines = (text: string): number => text.trimEnd().split('\n').length

t.test('a stream that begins far too slowly is moved, and its client sees one answer, whole', async t => {
  const w = await slowed(t, 2, 'interactive')
  const res = await w.generate()
  t.equal(res.headers.get('x-quipu-node'), 'n2')
  const text = await res.text()
  t.equal(lines(text), 65)
  t.match(text, /"done":true/)
  const id = res.headers.get('x-quipu-request')
  await w.fact('request.completed', fact => fact.id === id)
  t.same(await storyOf(w, id), [
    'request.admitted',
    'request.assigned',
    'request.retried',
    'request.assigned',
    'request.begun',
    'request.completed',
  ])
  const [retried] = await w.facts('request.retried')
  t.same(retried!.data, { node: 'n1', reason: 'slow' })
  while (w.sims[0]!.counters.inFlight > 0) await new Promise(resolve => setTimeout(resolve, 5))
  t.equal((await w.facts('breaker.tripped')).length, 0, 'once is nothing')
})

t.test('each dialect’s streams are, and whose class is not watched stays where it is', async t => {
  const w = await slowed(t, 2, 'batch')
  const ask = { model: 'tiny', messages: [{ role: 'user', content: 'x' }], stream: true, max_tokens: 60 }
  const [watched, other] = await Promise.all(
    ['/v1/chat/completions', '/api/chat'].map(async (path, i) => {
      const headers: Record<string, string> = i === 0 ? { 'X-Quipu-Class': 'batch' } : {}
      // One at a time on n1: the watched one first, and the other once that has moved to n2.
      if (i === 1) await w.fact('request.retried')
      const res = await w.post(path, { ...ask, options: { num_predict: 8 } }, headers)
      const text = await res.text()
      return { node: res.headers.get('x-quipu-node'), text }
    }),
  )
  t.equal(watched!.node, 'n2')
  t.match(watched!.text, /data: \[DONE\]\n\n$/)
  t.equal(other!.node, 'n1')
  t.equal(lines(other!.text), 9)
})

t.test('where no other node is ready, the answer goes out at the end of the window', async t => {
  const w = await slowed(t, 1, 'all')
  const res = await w.generate()
  t.equal(res.headers.get('x-quipu-node'), 'n1')
  t.equal(lines(await res.text()), 65)
  const begun = (await w.facts('request.begun')).at(-1)!
  t.ok(begun.data.ttftMs >= 1_900, `held for ${begun.data.ttftMs} ms`)
  t.equal((await w.facts('request.retried')).length, 0)
})
