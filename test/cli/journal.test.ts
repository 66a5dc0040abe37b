/** `quipu journal` and `quipu events`: the facts, in pages and as they come. */
import type { ServerResponse } from 'node:http'
import t from 'tap'
import { type Asked, fakeHouse, json } from './house.ts'
import * as recorded from './recorded.ts'
import { run, start } from './terminal.ts'

const lines = (entries: readonly object[]): string =>
  entries.map(entry => `${JSON.stringify(entry)}\n`).join('')

/** A journal of facts 1 to 30, of which the first 22 are all alike. */
const ALL = [
  ...Array.from({ length: 22 }, (_, i) => ({ ...recorded.journal[1]!, seq: i + 1 })),
  ...recorded.journal,
]

const pages = {
  'GET /quipu': recorded.index,
  'GET /quipu/journal': ({ url }: Asked, res: ServerResponse) => {
    const query = new URL(url, 'http://x').searchParams
    const [after, limit] = [Number(query.get('after')), Number(query.get('limit'))]
    res.end(lines(ALL.slice(after, after + limit)))
  },
}

t.test('journal prints the last facts', async t => {
  const house = await fakeHouse(t, pages)
  const { code, out, err } = await run(t, ['journal', '--limit', '8'], house.env)
  t.same({ code, err }, { code: 0, err: '' })
  t.matchSnapshot(out)
})

t.test('journal prints a page after a seq, and how to get the next', async t => {
  const house = await fakeHouse(t, pages)
  const { out, err } = await run(t, ['journal', '--after', '3', '--limit', '4'], house.env)
  t.same(
    out.match(/^\S+ \S+ +\d+/gm)?.map(line => Number(line.split(/ +/).at(-1))),
    [4, 5, 6, 7],
  )
  t.equal(err, 'next: quipu journal --after 7 --limit 4\n')
  const end = await run(t, ['journal', '--after', '30'], house.env)
  t.same(end, { code: 0, out: '', err: 'the journal ends at fact 30\n' })
})

t.test('journal --json --limit all is the whole journal, as the house gave it', async t => {
  const house = await fakeHouse(t, pages)
  const { out } = await run(t, ['journal', '--after', '0', '--limit', 'all', '--json'], house.env)
  t.equal(out, lines(ALL))
})

t.test('a reader that has read enough is not an error', async t => {
  const house = await fakeHouse(t, pages)
  const { child, ended } = start(t, ['journal', '--after', '0', '--json', '--limit', 'all'], house.env)
  child.stdout!.destroy()
  t.match(await ended, { code: 0, err: '' })
})

const frame = (entry: { seq: number; type: string }): string =>
  `id: ${entry.seq}\nevent: ${entry.type}\ndata: ${JSON.stringify(entry)}\n\n`

t.test('events goes on where it was when the connection breaks, and ends well at Ctrl-C', async t => {
  let connections = 0
  const house = await fakeHouse(t, {
    'GET /quipu/events': (_: Asked, res: ServerResponse) => {
      connections += 1
      res.writeHead(200, { 'X-Quipu-Journal': 'j1', 'X-Quipu-Mark': '22' })
      if (connections === 1) {
        res.write(`retry: 1000\nid: 22\n\n${frame(recorded.journal[0]!)}: still here\nid: 24\n\n`)
        setTimeout(() => res.destroy(), 50)
      } else if (connections === 2) {
        res.end(
          `${frame(recorded.journal[2]!)}event: cut\ndata: {"error":"nothing was taken","code":"events.slow","retryable":true}\n\n`,
        )
      } else {
        res.write(frame(recorded.journal[3]!))
      }
    },
  })
  const events = start(t, ['events', '--kind', 'node,request', '--type', 'request.', '--id', 'x'], house.env)
  await events.saw('request.assigned')
  events.child.kill('SIGINT')
  const { code, out, err } = await events.ended
  t.equal(code, 0)
  t.matchSnapshot(out)
  t.match(
    err,
    /broke off in the middle of its answer; trying again …\nquipu: nothing was taken; trying again …\n/,
  )
  t.same(
    house.asked.map(({ url }) => url),
    [
      'from=now',
      `after=24&journal=j1&seen=23%3A${recorded.journal[0]!.hash}`,
      `after=25&journal=j1&seen=25%3A${recorded.journal[2]!.hash}`,
    ].map(mark => `/quipu/events?kind=node%2Crequest&type=request.&id=x&${mark}`),
  )
})

t.test('events --after begins there, and --json prints the facts as they are', async t => {
  const house = await fakeHouse(t, {
    'GET /quipu/events': (_: Asked, res: ServerResponse) => {
      // A frame in two pieces, cut inside a character.
      const text = Buffer.from(frame({ ...recorded.journal[0]!, id: 'Dachgeschoß' } as never))
      const cut = text.indexOf(0xc3) + 1
      res.writeHead(200, { 'X-Quipu-Journal': 'j1', 'X-Quipu-Mark': '22' })
      res.write(text.subarray(0, cut))
      setTimeout(() => res.write(text.subarray(cut)), 20)
    },
  })
  const events = start(t, ['events', '--after', '22', '--json'], house.env)
  await events.saw('\n')
  events.child.kill('SIGTERM')
  t.match(await events.ended, { code: 0, err: '' })
  t.same(JSON.parse(events.out()), { ...recorded.journal[0]!, id: 'Dachgeschoß' })
  t.equal(house.asked[0]!.url, '/quipu/events?from=23')
})

t.test('events gives up at once where no house ever answered, and where it is refused', async t => {
  t.match(await run(t, ['events', '--port', '9']), { code: 1, err: /no house answers/ })
  const error = 'the journal ends at 30, so 99 is a mark from another one'
  const house = await fakeHouse(t, {
    'GET /quipu/events': (_: Asked, res: ServerResponse) => json(res, 409, { error, code: 'events.foreign' }),
  })
  t.same(await run(t, ['events', '--after', '99'], house.env), { code: 1, out: '', err: `quipu: ${error}\n` })
})
