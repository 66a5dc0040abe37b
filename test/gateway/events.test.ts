import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { Failure } from '../../src/failure.ts'
import { BEHIND_MAX, READERS_MAX } from '../../src/journal/feed.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { type Doors, openDoors } from './doors.ts'

interface Event {
  readonly id?: string
  readonly event?: string
  readonly data?: string
}

/** An event stream, read as the standard says: comments go, an id without data only moves the mark. */
class Reader {
  readonly response: IncomingMessage
  readonly events: Event[] = []
  readonly comments: string[] = []
  lastId = ''
  ended = false
  #rest = ''
  #wake = (): void => {}

  constructor(response: IncomingMessage) {
    this.response = response
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => this.#take(chunk))
    response.on('error', () => {})
    response.on('close', () => {
      this.ended = true
      this.#wake()
    })
  }

  get seqs(): number[] {
    return this.events.map(({ id }) => Number(id))
  }

  get entries(): Entry[] {
    return this.events.map(({ data }) => JSON.parse(data!))
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }

  close(): void {
    this.response.destroy()
  }

  #take(chunk: string): void {
    const frames = (this.#rest + chunk).split('\n\n')
    this.#rest = frames.pop()!
    for (const frame of frames) {
      const event: Record<string, string> = {}
      for (const line of frame.split('\n')) {
        if (line.startsWith(':')) this.comments.push(line)
        else event[line.slice(0, line.indexOf(':'))] = line.slice(line.indexOf(':') + 1).trimStart()
      }
      if (event.id !== undefined) this.lastId = event.id
      if (event.data !== undefined) this.events.push(event)
    }
    this.#wake()
  }
}

async function portOf({ app }: Doors): Promise<number> {
  if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as { port: number }).port
}

async function read(house: Doors, query = '', headers: Record<string, string> = {}): Promise<Reader> {
  const port = await portOf(house)
  const request = get({ host: '127.0.0.1', port, path: `/quipu/events${query}`, headers, agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const reader = new Reader(response)
  if (response.statusCode === 200) await reader.until(() => reader.lastId !== '')
  return reader
}

/** Facts with some weight: what somebody pulled, where. */
function pull(house: Doors, count: number, weight = 10): void {
  const nodes = ['n'.repeat(weight)]
  for (let i = 0; i < count; i += 1) {
    house.engine.commit('model', 'tiny:latest', { type: 'model.pull', data: { nodes } })
  }
}

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

t.test('a reader is told each fact as it becomes durable, from now on', async t => {
  const house = await openDoors(t)
  pull(house, 3)
  await house.engine.settled()
  const reader = await read(house)
  t.match(reader.response.headers, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
  })
  t.equal(reader.lastId, '3', 'it may come back to this place before any fact has arrived')
  house.join('a')
  await reader.until(() => reader.events.length === 2)
  t.match(reader.events, [
    { id: '4', event: 'node.registered' },
    { id: '5', event: 'node.joined' },
  ])
  t.same(reader.entries, house.journal.recent(3))
})

t.test('what the disk has not taken is not told', async t => {
  let release = (): void => {}
  const stuck = new Promise<void>(resolve => {
    release = resolve
  })
  const house = await openDoors(t, { fault: () => stuck })
  const reader = await read(house)
  pull(house, 1)
  for (let i = 0; i < 5; i += 1) await house.clock.advance(10)
  t.equal(reader.events.length, 0)
  release()
  await reader.until(() => reader.events.length === 1)
  t.same(reader.seqs, [1])
})

t.test('a reader that comes back with Last-Event-ID misses nothing and hears nothing twice', async t => {
  const house = await openDoors(t)
  // More than is held in memory, so that it is read from the disk first and from memory then.
  for (let i = 0; i < 6; i += 1) {
    pull(house, 1_000)
    await house.engine.settled()
  }
  const seen: number[] = []
  let mark = '0'
  for (const enough of [1, 700, 2_300, 6_001, 6_002]) {
    const reader = await read(house, '?after=5999', { 'last-event-id': mark })
    pull(house, 1)
    await reader.until(() => seen.length + reader.events.length >= enough)
    reader.close()
    seen.push(...reader.seqs)
    mark = reader.lastId
  }
  await house.engine.settled()
  const last = await read(house, '', { 'last-event-id': mark })
  await last.until(() => last.lastId === '6005')
  seen.push(...last.seqs)
  t.same(seen, numbers(1, 6_005))
})

t.test('facts that arrive while an older page is read are neither lost nor doubled', async t => {
  const house = await openDoors(t)
  for (let i = 0; i < 5; i += 1) {
    pull(house, 1_000)
    await house.engine.settled()
  }
  await portOf(house)
  const readers = await Promise.all(Array.from({ length: 8 }, () => read(house, '?after=0')))
  for (let i = 0; i < 40; i += 1) {
    pull(house, 25)
    await new Promise(resolve => setImmediate(resolve))
  }
  for (const reader of readers) {
    await reader.until(() => reader.events.length >= 6_000)
    t.same(reader.seqs, numbers(1, 6_000))
  }
})

t.test('a reader may want only some facts, and its mark moves on past the others', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.put('tiny:latest', 'a')
  house.admit('r1')
  house.assign('r1', 'a')
  house.join('b')
  await house.engine.settled()
  const types = async (query: string): Promise<unknown[]> => {
    const reader = await read(house, `?after=0&${query}`)
    await house.clock.advance(15_000)
    await reader.until(() => reader.lastId === String(house.journal.durable))
    reader.close()
    return reader.entries.map(({ type, id }) => `${type} ${id}`)
  }
  t.same(await types('kind=node'), [
    'node.registered a',
    'node.joined a',
    'node.registered b',
    'node.joined b',
  ])
  t.same(await types('type=node.joined'), ['node.joined a', 'node.joined b'])
  t.same(await types('type=request.,replica.loaded'), [
    'replica.loaded tiny:latest@a',
    'request.admitted r1',
    'request.assigned r1',
  ])
  t.same(await types('id=b,r1&kind=node,request&type=request.assigned,node.'), [
    'request.assigned r1',
    'node.registered b',
    'node.joined b',
  ])
  t.same(await types('type=node'), [], 'without the dot it is a whole name')
})

t.test('readers of the same stretch are given what each of them wants of it', async t => {
  const house = await openDoors(t)
  const queries = [
    '',
    '',
    '?type=model.pulled,node.lost',
    '?kind=model',
    '?kind=model',
    '?type=model.,node.joined',
  ]
  const readers = await Promise.all(queries.map(query => read(house, query)))
  for (let round = 0; round < 3; round += 1) {
    pull(house, 1)
    house.join(`a${round}`)
    pull(house, 2)
    await house.engine.settled()
    for (const reader of readers) await reader.until(() => reader.lastId === String(house.journal.durable))
  }
  const all = readers[0]!.entries
  t.equal(all.length, 15)
  const counts = readers.map(({ events }) => events.length)
  t.same(counts, [15, 15, 9, 9, 9, 12])
  t.same(readers[1]!.entries, all)
  for (const reader of readers.slice(2, 5))
    t.same(
      reader.entries,
      all.filter(({ type }) => type === 'model.pulled'),
    )
})

t.test('a silent stream gives a sign of life every 15 s', async t => {
  const house = await openDoors(t)
  const reader = await read(house)
  await house.clock.advance(14_999)
  t.same(reader.comments, [])
  await house.clock.advance(1)
  await house.clock.advance(15_000)
  await reader.until(() => reader.comments.length === 2)
  t.same(reader.comments, [': still here', ': still here'])
  t.same(reader.events, [])
})

/** Asks, and then takes nothing. */
async function sleeper(house: Doors, path: string, t: Test): Promise<Socket> {
  const socket = connect(await portOf(house), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.pause()
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  await once(socket, 'connect')
  return socket
}

/** The server's side of the only connection there is. */
async function otherEnd({ app }: Doors): Promise<Socket> {
  const [socket] = (await once(app.server, 'connection')) as [Socket]
  return socket
}

t.test('a reader that takes nothing is cut, and costs one piece of memory until then', async t => {
  const house = await openDoors(t)
  await portOf(house)
  const meeting = otherEnd(house)
  const socket = await sleeper(house, '/quipu/events?after=0', t)
  const end = await meeting
  const ended = once(end, 'close')
  // 24 MB of facts: more than the kernel takes for a socket.
  for (let i = 0; i < 12; i += 1) {
    pull(house, 200, 10_000)
    await house.engine.settled()
  }
  for (let i = 0; i < 20; i += 1) await house.clock.advance(100)
  t.ok(end.writableLength > 0, 'something waits for it')
  t.ok(end.writableLength < 1_048_576, `${end.writableLength} bytes wait in this process`)
  await house.clock.advance(20_000)
  t.notOk(end.destroyed, 'not so soon')
  await house.clock.advance(9_000)
  await house.clock.advance(1_000)
  await ended
  t.ok(end.destroyed)
  // What the kernel had taken still arrives, and it breaks off in the middle: it was not the end.
  let text = ''
  socket.setEncoding('latin1').on('data', chunk => {
    text += chunk
  })
  socket.resume()
  await once(socket, 'close')
  t.notOk(text.endsWith('0\r\n\r\n'))
})

t.test('a reader that wakes up just too late is told why it was cut', async t => {
  const house = await openDoors(t)
  await portOf(house)
  const meeting = otherEnd(house)
  const socket = await sleeper(house, '/quipu/events?after=0', t)
  await meeting
  for (let i = 0; i < 12; i += 1) {
    pull(house, 200, 10_000)
    await house.engine.settled()
  }
  for (let i = 0; i < 20; i += 1) await house.clock.advance(1)
  await house.clock.advance(30_000)
  let text = ''
  socket.setEncoding('latin1').on('data', chunk => {
    text += chunk
  })
  socket.resume()
  while (!text.endsWith('0\r\n\r\n')) await once(socket, 'data')
  t.match(
    text,
    /event: cut\ndata: \{"error":"nothing was taken for 30 s; come back with Last-Event-ID","code":"events.slow","retryable":true\}/,
  )
})

t.test('a reader that is slow but takes something now and then is not cut', async t => {
  const house = await openDoors(t)
  await portOf(house)
  const meeting = otherEnd(house)
  const socket = await sleeper(house, '/quipu/events?after=0', t)
  const end = await meeting
  for (let i = 0; i < 12; i += 1) {
    pull(house, 200, 10_000)
    await house.engine.settled()
  }
  const chunks: string[] = []
  socket.setEncoding('latin1').on('data', chunk => chunks.push(String(chunk)))
  // A piece every 25 s; bytesWritten counts a piece when it is handed over, which is when the last one has gone.
  for (let i = 0; i < 5; i += 1) {
    const before = end.bytesWritten
    await house.clock.advance(25_000)
    while (end.bytesWritten === before) {
      socket.resume()
      await once(socket, 'data')
      socket.pause()
      await house.clock.advance(0)
    }
  }
  t.notOk(end.destroyed)
  socket.resume()
  while (!chunks.slice(-2).join('').includes('\nid: 2400\n')) await once(socket, 'data')
  const ids = [...chunks.join('').matchAll(/\nid: (\d+)\nevent/g)].map(([, id]) => Number(id))
  t.same(ids, numbers(1, 2_400))
})

t.test('readers are at most 2,048, and one that leaves makes room', async t => {
  const house = await openDoors(t)
  const first = await read(house)
  for (let i = 0; i < READERS_MAX - 1; i += 1) house.feed.enter()
  const late = await read(house)
  t.equal(late.response.statusCode, 503)
  t.equal((await house.get('/quipu/journal')).json().code, 'events.full')
  first.close()
  for (;;) {
    const next = await read(house)
    if (next.response.statusCode === 200) break
  }
  t.pass('there was room again')
})

t.test('readers who are behind take turns, and who waits too long for one is told so', async t => {
  const house = await openDoors(t)
  for (let i = 0; i < 6; i += 1) {
    pull(house, 1_000)
    await house.engine.settled()
  }
  const { signal } = new AbortController()
  const held = await Promise.all(Array.from({ length: BEHIND_MAX }, () => house.feed.turns.take(signal)))
  const live = await read(house, '?from=now')
  const [patient, late] = [await read(house, '?from=start'), await read(house, '?from=start')]
  pull(house, 1)
  await live.until(() => live.events.length === 1)
  await house.clock.advance(59_000)
  t.same([patient.events.length, late.events.length], [0, 0])
  held[0]!()
  await patient.until(() => patient.events.length === 6_001)
  await late.until(() => late.events.length === 6_001)
  t.same(late.seqs, numbers(1, 6_001), 'it was its turn next')
  held[0] = await house.feed.turns.take(signal)
  const last = await read(house, '?from=start')
  await house.clock.advance(60_000)
  await last.until(() => last.ended)
  t.match(last.events, [
    { event: 'cut', data: /too many wait to read the journal from the disk.*"code":"house.busy"/ },
  ])
})

t.test('streams end when the house closes', async t => {
  const house = await openDoors(t)
  const reader = await read(house)
  const closing = house.app.close()
  await reader.until(() => reader.ended)
  await closing
  t.pass('and the house is not held up')
})

t.test('what is not understood is refused', async t => {
  const house = await openDoors(t)
  pull(house, 2)
  await house.engine.settled()
  for (const [query, id, said] of [
    ['?after=1&from=2', '', /after and from both say where to begin/],
    ['?from=noon', '', /"noon" is not a time such as/],
    ['?since=noon', '', /"noon" is not a time such as/],
    ['', 'abc', /Last-Event-ID must be the seq of a fact/],
    ['?after=x', '', /after must be integer/],
    ['?kind=nodes', '', /kind must match pattern/],
    ['?typ=node.', '', /unknown property "typ"; known are from, after, kind, type, id/],
  ] as const) {
    const answer = await house.get(`/quipu/events${query}`, id === '' ? {} : { 'last-event-id': id })
    t.same([answer.statusCode, answer.json().code], [400, 'request.invalid'], query + id)
    t.match(answer.json().error, said)
  }
})

t.test('who comes back to another journal, or to one that has lost facts, is told so', async t => {
  const house = await openDoors(t, { id: 'j1' })
  pull(house, 2)
  await house.engine.settled()
  const [first, second] = house.journal.recent(0)!
  for (const [query, id, said] of [
    ['', '3', /the journal ends at 2, so 3 is a mark from another one, or from facts it has lost/],
    ['?after=3', '', /the journal ends at 2/],
    ['?from=4', '', /the journal ends at 2/],
    ['?after=2&journal=j2', '', /this is the journal j1, and not j2/],
    [`?after=1&seen=1:${second!.hash}`, '', /fact 1 is not the one that was received/],
    [`?after=1&seen=3:${second!.hash}`, '', /the journal ends at 2/],
  ] as const) {
    const answer = await house.get(`/quipu/events${query}`, id === '' ? {} : { 'last-event-id': id })
    t.same([answer.statusCode, answer.json().code], [409, 'events.foreign'], query + id)
    t.match(answer.json().error, said)
  }
  const reader = await read(house, `?after=1&journal=j1&seen=1:${first!.hash}`)
  await reader.until(() => reader.events.length === 1)
  t.same(reader.seqs, [2])
  t.match(reader.response.headers, { 'x-quipu-journal': 'j1', 'x-quipu-mark': '1' })
})

t.test('a reader says where to begin: at the start, now, at a fact, or at a time', async t => {
  const house = await openDoors(t)
  for (let i = 0; i < 3; i += 1) {
    pull(house, 1)
    await house.engine.settled()
    await house.clock.advance(1_000)
  }
  for (const [query, mark] of [
    ['', 3],
    ['?from=now', 3],
    ['?from=start', 0],
    ['?from=2', 1],
    ['?from=2026-01-01T00:00:01Z', 1],
    ['?since=2026-01-01T00:00:02', 2],
    ['?from=start&since=2026-01-01T00:00:02', 0],
    ['?from=2030-01-01', 3],
  ] as const) {
    const reader = await read(house, query)
    t.equal(reader.response.headers['x-quipu-mark'], String(mark), query)
    reader.close()
  }
})

t.test(
  'requests of a client, for a model or on a node come whole, also when they began long before',
  async t => {
    const house = await openDoors(t)
    house.join('a')
    house.admit('r1', { client: 'ann' })
    house.admit('r2', { client: 'bob' })
    for (let i = 0; i < 2_100; i += 1) {
      house.admit(`x${i}`, { client: 'bob', model: 'other:latest' })
      if (i % 300 === 0) await house.engine.settled()
    }
    await house.engine.settled()
    const mark = house.journal.durable
    t.equal(house.history.state.get('r1'), undefined, 'in the journal only')
    const told = async (query: string): Promise<string[]> => {
      const reader = await read(house, `?after=${mark}&${query}`)
      await house.clock.advance(15_000)
      await reader.until(() => reader.lastId === String(house.journal.durable))
      reader.close()
      return reader.entries.map(({ type, id }) => `${type} ${id}`)
    }
    house.assign('r1', 'a')
    house.assign('r2', 'a')
    house.begin('r1')
    house.begin('r2')
    house.complete('r2')
    house.complete('r1')
    await house.engine.settled()
    t.same(await told('client=ann'), ['request.assigned r1', 'request.begun r1', 'request.completed r1'])
    t.same(await told('model=tiny&client=bob&type=request.begun'), ['request.begun r2'])
    t.equal((await told('node=a')).length, 6)
    t.same(await told('node=b'), [])
  },
)

t.test('lines of JSON come for who asks for them, and blank ones as a sign of life', async t => {
  const house = await openDoors(t)
  pull(house, 2)
  await house.engine.settled()
  const port = await portOf(house)
  for (const [path, headers] of [
    ['?from=2&format=ndjson', {}],
    ['?from=2', { accept: 'application/x-ndjson' }],
  ] as const) {
    const request = get({ host: '127.0.0.1', port, path: `/quipu/events${path}`, headers, agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    t.match(response.headers, { 'content-type': 'application/x-ndjson', 'x-quipu-mark': '1' })
    let text = ''
    response.setEncoding('utf8').on('data', chunk => {
      text += chunk
    })
    while (!text.endsWith('\n')) await once(response, 'data')
    await house.clock.advance(15_000)
    while (!text.endsWith('\n\n')) await once(response, 'data')
    t.equal(text, `${JSON.stringify(house.journal.recent(1)![0])}\n\n`)
    response.destroy()
  }
})

t.test('the journal is read in pages, one fact a line', async t => {
  const house = await openDoors(t)
  for (let i = 0; i < 3; i += 1) {
    pull(house, 1_000)
    await house.engine.settled()
  }
  const page = async (query: string): Promise<number[]> => {
    const answer = await house.get(`/quipu/journal${query}`)
    t.equal(answer.statusCode, 200)
    t.equal(answer.headers['content-type'], 'application/x-ndjson')
    t.equal(answer.headers['x-quipu-durable'], '3000')
    t.equal(answer.payload === '' || answer.payload.endsWith('\n'), true)
    return answer.payload
      .split('\n')
      .filter(Boolean)
      .map(line => JSON.parse(line).seq)
  }
  t.same(await page(''), numbers(1, 1_000))
  t.same(await page('?after=1500&limit=2'), [1_501, 1_502])
  t.same(await page('?after=0&limit=10000'), numbers(1, 3_000))
  t.same(await page('?after=2999&limit=10'), [3_000])
  t.same(await page('?after=3000'), [])
  t.same(await page('?after=9999'), [])
})

t.test('a journal that cannot be read is an error, not an empty page', async t => {
  const records: string[] = []
  const house = await openDoors(t, { records })
  pull(house, 3)
  await house.engine.settled()
  records[1] = records[1]!.replace('model.pulled', 'model.pushed')
  const answer = await house.get('/quipu/journal')
  t.same([answer.statusCode, answer.json().code], [500, 'journal.broken'])
})

t.test('a stream that comes to a damaged fact says so instead of skipping it', async t => {
  const records: string[] = []
  const before = await openDoors(t, { records })
  pull(before, 3)
  await before.engine.settled()
  const house = await openDoors(t, { records })
  records[1] = records[1]!.replace('model.pulled', 'model.pushed')
  const reader = await read(house, '?after=0')
  await reader.until(() => reader.ended)
  t.match(reader.events, [{ event: 'cut', data: /"code":"journal.broken"/ }])
  t.equal(reader.lastId, '0')
})

t.test('a page whose reader takes nothing is given up', async t => {
  const house = await openDoors(t)
  for (let i = 0; i < 12; i += 1) {
    pull(house, 200, 10_000)
    await house.engine.settled()
  }
  await portOf(house)
  const meeting = otherEnd(house)
  await sleeper(house, '/quipu/journal?limit=10000', t)
  const end = await meeting
  const ended = once(end, 'close')
  for (let i = 0; i < 20; i += 1) await house.clock.advance(1)
  t.ok(end.writableLength < 1_048_576)
  await house.clock.advance(30_000)
  await ended
  t.ok(end.destroyed)
})

t.test('a stream survives a disk that fails for a while', async t => {
  let full = false
  const house = await openDoors(t, {
    fault: () => {
      if (full) throw new Failure('journal.unwritable', 'ENOSPC')
    },
  })
  const reader = await read(house)
  pull(house, 1)
  await reader.until(() => reader.events.length === 1)
  full = true
  pull(house, 2)
  await house.clock.advance(1)
  t.same(reader.seqs, [1])
  full = false
  await house.clock.advance(2_000)
  await reader.until(() => reader.events.length === 3)
  t.same(reader.seqs, [1, 2, 3])
})
