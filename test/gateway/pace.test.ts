import t from 'tap'
import { lineCounter, linesDue } from '../../src/gateway/pace.ts'

const LINES = 'application/x-ndjson'
const EVENTS = 'text/event-stream; charset=utf-8'

t.test('an eighth of what is usual in two seconds is due, of streams that are watched', async t => {
  const stream = { status: 200, contentType: LINES, class: 'interactive' } as const
  for (const [due, watched, answer, usual] of [
    [10, 'all', stream, 40],
    [10, 'interactive', stream, 40],
    [10, 'batch', { ...stream, class: 'batch' }, 43],
    [10, 'all', { ...stream, contentType: EVENTS }, 40],
    [2, 'all', stream, 8],
    [undefined, 'all', stream, 7.9],
    [undefined, 'all', stream, undefined],
    [undefined, 'off', stream, 40],
    [undefined, 'batch', stream, 40],
    [undefined, 'interactive', { ...stream, class: 'batch' }, 40],
    [undefined, 'all', { ...stream, contentType: 'application/json; charset=utf-8' }, 40],
    [undefined, 'all', { ...stream, status: 404 }, 40],
  ] as const) {
    t.equal(linesDue(watched, answer, usual), due, JSON.stringify([watched, answer, usual]))
  }
})

t.test('lines and events count when they are whole, wherever the chunks end', async t => {
  const count = (type: string, ...chunks: string[]): number => {
    const lines = lineCounter(type)
    return chunks.map(chunk => lines(Buffer.from(chunk))).at(-1)!
  }
  t.equal(count(LINES, '{"a":1}\n{"a"', ':2}', '\n{'), 2)
  t.equal(count(EVENTS, 'data: 1\n\nevent: x\ndata: 2\n', '\ndata: 3\n'), 2)
  t.equal(count(EVENTS, 'data: 1\r\n\r\ndata: 2\r\n\r', '\n'), 2)
})
