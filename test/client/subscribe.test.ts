import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import {
  type Fact,
  type Mark,
  type SubscribeOptions,
  SubscriptionError,
  subscribe,
  type Trouble,
} from '../../src/client/index.ts'
import { type Doors, openDoors } from '../gateway/doors.ts'

/** A house that says what a test has it say: one script for each connection, the last one for all others. */
async function scripted(
  t: Test,
  ...scripts: readonly ((res: ServerResponse, req: IncomingMessage) => void)[]
): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = []
  const server = createServer((req, res) => {
    const script = scripts[Math.min(asked.length, scripts.length - 1)]!
    asked.push(req.url!.split('?')[1]!)
    script(res, req)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

const fact = (seq: number, more = ''): string =>
  `id: ${seq}\nevent: node.lost\ndata: ${JSON.stringify({ seq, type: 'node.lost', hash: `h${seq}`, more })}\n\n`
const head = (res: ServerResponse, mark: number, journal = 'j1'): ServerResponse =>
  res.writeHead(200, { 'X-Quipu-Journal': journal, 'X-Quipu-Mark': mark })
/** Says this, and breaks off. */
const says =
  (mark: number, ...frames: readonly string[]) =>
  (res: ServerResponse) =>
    head(res, mark).write(`retry: 1000\nid: ${mark}\n\n${frames.join('')}`, () =>
      setTimeout(() => res.destroy(), 5),
    )
const quick: SubscribeOptions = { waitMaxMs: 5 }

/** So many facts, and then it leaves. */
async function take(facts: AsyncIterable<Fact>, count: number): Promise<number[]> {
  const seqs: number[] = []
  for await (const { seq } of facts) if (seqs.push(seq) === count) break
  return seqs
}

async function error(facts: AsyncIterable<Fact>): Promise<SubscriptionError> {
  try {
    await take(facts, Number.POSITIVE_INFINITY)
  } catch (error) {
    if (error instanceof SubscriptionError) return error
    throw error
  }
  throw new Error('it should have failed')
}

t.test('it goes on where it was, hands nothing over twice, and says what it knows', async t => {
  const { url, asked } = await scripted(
    t,
    says(4, fact(5), fact(6), ': still here\nid: 6\n\n'),
    (res: ServerResponse) => void res.destroy(),
    (res: ServerResponse) => void res.writeHead(503).end('{"error":"stopping"}'),
    says(6, fact(5), fact(6), fact(7)),
    says(7, fact(8)),
  )
  const troubles: Trouble[] = []
  const facts = subscribe({ ...quick, url: `${url}/`, from: 5, onTrouble: trouble => troubles.push(trouble) })
  t.equal(facts.mark, undefined)
  t.same(await take(facts, 3), [5, 6, 7])
  t.same(facts.mark, { journal: 'j1', seq: 7, seen: '7:h7' })
  t.same(await take(facts, 1), [8], 'it may be iterated again')
  t.same(asked, ['from=5', ...[6, 6, 6, 7].map(seq => `after=${seq}&journal=j1&seen=${seq}%3Ah${seq}`)])
  t.same(
    troubles.map(({ attempt, error: { code, retryable } }) => [attempt, code, retryable]),
    [
      [1, 'house.silent', true],
      [2, 'house.absent', true],
      [3, 'house.refused', true],
    ],
  )
})

t.test('a mark moves past what a filter leaves out, and keeps what was seen', async t => {
  const { url, asked } = await scripted(
    t,
    says(0, fact(2), ': still here\nid: 900\n\n'),
    says(900, fact(901)),
  )
  const facts = subscribe({
    ...quick,
    url,
    from: { journal: 'j1', seq: 0 },
    kinds: ['node', 'breaker'],
    types: ['node.'],
    clients: ['ann'],
    since: new Date(0),
  })
  t.same(await take(facts, 2), [2, 901])
  const filter = 'kind=node%2Cbreaker&type=node.&client=ann&since=1970-01-01T00%3A00%3A00.000Z'
  t.same(asked, [`${filter}&after=0&journal=j1`, `${filter}&after=900&journal=j1&seen=2%3Ah2`])
})

t.test('a character that is cut in two, and text that looks like the end of a line', async t => {
  const { url } = await scripted(t, (res: ServerResponse) => {
    const bytes = Buffer.from(fact(1, 'Dachgescho\u00df\u2028x: y') + fact(2))
    const cut = bytes.indexOf(0xc3) + 1
    head(res, 0).write(bytes.subarray(0, cut))
    setTimeout(() => res.write(bytes.subarray(cut)), 10)
  })
  for await (const fact of subscribe({ url, from: 'start' })) {
    if (fact.seq === 2) break
    t.equal((fact as unknown as { more: string }).more, 'Dachgescho\u00df\u2028x: y')
  }
})

t.test('what will not be over by itself is thrown', async t => {
  const mark: Mark = { journal: 'j1', seq: 7, seen: '7:h7' }
  for (const [code, said, from, script] of [
    [
      'events.foreign',
      /is j2, and the mark is from j1/,
      mark,
      (res: ServerResponse) => void head(res, 7, 'j2').end(),
    ],
    ['events.foreign', /ends at 3/, mark, refuses(409, 'events.foreign', 'the journal ends at 3')],
    ['request.invalid', /no time/, 'now', refuses(400, 'request.invalid', 'no time')],
    ['house.untrusted', /--trust/, 'now', refuses(403, 'house.untrusted', 'start it with --trust')],
    ['journal.gap', /fact 8 is missing: the next one is 9/, mark, says(7, fact(9))],
    [
      'journal.broken',
      /not what was written/,
      mark,
      says(7, cut('journal.broken', 'not what was written', false)),
    ],
    [
      'house.refused',
      /not as a house does/,
      'now',
      (res: ServerResponse) => void res.end('Ollama is running'),
    ],
    [
      'house.refused',
      /not as a house does/,
      'now',
      (res: ServerResponse) => void res.writeHead(404).end('404'),
    ],
  ] as const) {
    const { url } = await scripted(t, script)
    const { code: is, message, retryable } = await error(subscribe({ ...quick, url, from }))
    t.same([is, retryable], [code, false])
    t.match(message, said)
  }
})

const refuses = (status: number, code: string, error: string) => (res: ServerResponse) =>
  void res.writeHead(status).end(JSON.stringify({ error, code }))
const cut = (code: string, error: string, retryable: boolean): string =>
  `event: cut\ndata: ${JSON.stringify({ error, code, retryable })}\n\n`

t.test('a reader that was cut comes back', async t => {
  const { url } = await scripted(t, says(0, fact(1), cut('events.slow', 'slow', true)), says(1, fact(2)))
  const codes: string[] = []
  const facts = subscribe({ ...quick, url, from: 'start', onTrouble: ({ error }) => codes.push(error.code) })
  t.same(await take(facts, 2), [1, 2])
  t.same(codes, ['events.slow'])
})

t.test('silence is noticed, before the first word and after it', async t => {
  const { url, asked } = await scripted(
    t,
    () => {},
    (res: ServerResponse) => void head(res, 0).write(fact(1)),
    says(1, fact(2)),
  )
  const troubles: string[] = []
  const facts = subscribe({
    ...quick,
    url,
    from: 'start',
    silenceMaxMs: 50,
    onTrouble: ({ error }) => troubles.push(error.message),
  })
  t.same(await take(facts, 2), [1, 2])
  t.equal(asked.length, 3)
  t.same(troubles, Array(2).fill(`the house at ${url} has given no sign of life for 0.05 s`))
})

t.test('it gives up after so many attempts in a row, or when it is told to', async t => {
  const { url, asked } = await scripted(t, (res: ServerResponse) => void res.destroy())
  t.match(await error(subscribe({ ...quick, url, attemptsMax: 3 })), { code: 'house.absent' })
  t.equal(asked.length, 4)
  const enough = new Error('enough')
  const facts = subscribe({
    ...quick,
    url,
    onTrouble: () => {
      throw enough
    },
  })
  await t.rejects(take(facts, 1), enough)
})

t.test('a signal ends it without an error, whatever it is doing', async t => {
  const { url } = await scripted(t, (res: ServerResponse) => void head(res, 0).write(fact(1)))
  const stop = new AbortController()
  const seqs: number[] = []
  for await (const { seq } of subscribe({ url, from: 'start', signal: stop.signal })) {
    seqs.push(seq)
    setTimeout(() => stop.abort(), 5)
  }
  t.same(seqs, [1])
  const pausing = new AbortController()
  const away = subscribe({
    url: 'http://127.0.0.1:9',
    waitMaxMs: 1_000_000,
    signal: pausing.signal,
    onTrouble: ({ attempt }) => attempt === 2 && setImmediate(() => pausing.abort()),
  })
  t.same(await take(away, 1), [])
})

async function urlOf({ app }: Doors): Promise<string> {
  return app.listen({ port: 0, host: '127.0.0.1' })
}

t.test('facts of a house are typed by their type', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.admit('r1', { client: 'ann' })
  house.admit('r2', { client: 'bob' })
  house.assign('r1', 'a')
  await house.engine.settled()
  const url = await urlOf(house)
  const told: string[] = []
  for await (const fact of subscribe({ url, from: 'start', clients: ['ann'] })) {
    if (fact.type === 'request.admitted') told.push(`${fact.data.client} asks for ${fact.data.model}`)
    if (fact.type === 'request.assigned') told.push(`on ${fact.data.node}`)
    if (told.length === 2) break
  }
  t.same(told, ['ann asks for tiny:latest', 'on a'])
})

t.test('a journal that was put back to an older copy is noticed, though its numbers go on', async t => {
  const first = await openDoors(t, { id: 'j1' })
  first.join('a')
  first.join('b')
  await first.engine.settled()
  const facts = subscribe({ url: await urlOf(first), from: 'start' })
  t.same(await take(facts, 4), [1, 2, 3, 4])
  const restored = await openDoors(t, { id: 'j1' })
  for (const name of ['a', 'c', 'd']) restored.join(name)
  await restored.engine.settled()
  const again = subscribe({ url: await urlOf(restored), from: facts.mark! })
  t.match(await error(again), { code: 'events.foreign', message: /fact 4 is not the one that was received/ })
})
