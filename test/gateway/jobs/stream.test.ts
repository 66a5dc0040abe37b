/** A job as events: what is told of a part that grows, is dropped, and comes again. */
import t from 'tap'
import { Failure } from '../../../src/failure.ts'
import { News } from '../../../src/gateway/jobs/news.ts'
import type { AnswerHead } from '../../../src/gateway/jobs/parts.ts'
import { type Mark, markIn, type StreamEvent, streamOf } from '../../../src/gateway/jobs/stream.ts'
import type { Entry } from '../../../src/journal/journal.ts'
import { type Job, jobs } from '../../../src/projections/jobs.ts'

/** One job whose facts, and whose answers' bytes, the test makes. */
function stage() {
  const view = jobs()
  const news = new News()
  const parts = new Map<string, { bytes: Buffer; as: 'open' | 'ended' | 'gone'; wake: Set<() => void> }>()
  const heads = new Map<string, AnswerHead>()
  const part = (name: string) => {
    const found = parts.get(name) ?? { bytes: Buffer.alloc(0), as: 'open' as const, wake: new Set() }
    parts.set(name, found)
    return found
  }
  const fact = (type: string, data: object = {}): void => {
    const entry = { type, id: 'j', at: 1, data } as unknown as Entry
    view.rows[type]!(entry)
    news.reactor.react(entry)
  }
  const spool = {
    head: async (_id: string, name: string) => heads.get(name),
    async *follow(_id: string, name: string, from: number, signal: AbortSignal) {
      for (let at = from; ; ) {
        signal.throwIfAborted()
        const it = part(name)
        if (it.as === 'gone') throw new Failure('spool.gone', 'gone')
        if (at < it.bytes.length) {
          const chunk = it.bytes.subarray(at)
          at += chunk.length
          yield chunk
        } else if (it.as === 'ended') return
        else await new Promise<void>(resolve => it.wake.add(resolve))
      }
    },
  }
  const change = (name: string, bytes: Buffer, as: 'open' | 'ended' | 'gone' = 'open'): void => {
    const it = part(name)
    it.bytes = Buffer.concat([it.bytes, bytes])
    it.as = as
    for (const wake of it.wake) wake()
    it.wake.clear()
  }
  fact('request.admitted', { job: true, path: '/api/chat', model: 'm' })
  return {
    job: () => view.state.all.get('j') as Job,
    fact,
    begin(attempt: number, status = 200): void {
      fact('request.assigned', { attempt, node: 'a' })
      heads.set(`answer-${attempt}`, { status, headers: ['Content-Type', 'text/plain'], node: 'a' })
      fact('request.begun')
    },
    say: (attempt: number, text: string | Buffer) => change(`answer-${attempt}`, Buffer.from(text)),
    whole: (attempt: number) => change(`answer-${attempt}`, Buffer.alloc(0), 'ended'),
    end(attempt: number): void {
      change(`answer-${attempt}`, Buffer.alloc(0), 'ended')
      fact('request.completed', { status: 200, bytes: 1, digest: 'd' })
    },
    drop(attempt: number): void {
      heads.delete(`answer-${attempt}`)
      change(`answer-${attempt}`, Buffer.alloc(0), 'gone')
    },
    stream(after?: Mark, signal = new AbortController().signal) {
      const needs = { engine: { settled: async () => {} }, jobs: view, news, spool }
      return streamOf(needs as never, 'j', after, signal)
    },
  }
}

async function next(stream: AsyncGenerator<StreamEvent>): Promise<StreamEvent | 'over'> {
  const { value, done } = await stream.next()
  return done ? 'over' : value
}

t.test('what it waits for, what comes, and the end', async t => {
  const { stream, begin, say, end } = stage()
  const told = stream()
  t.same(await next(told), { event: 'state', data: { state: 'queued' } })
  const coming = next(told)
  begin(1)
  say(1, 'one')
  t.same(await coming, {
    event: 'attempt',
    id: '1.0',
    data: { attempt: 1, node: 'a', status: 200, contentType: 'text/plain' },
  })
  t.same(await next(told), { event: 'output', id: '1.3', data: { text: 'one' } })
  end(1)
  t.match(await next(told), { event: 'end', id: '1.end', data: { state: 'completed', digest: 'd' } })
  t.equal(await next(told), 'over')
})

t.test('a character is told whole, wherever the chunks end; what is none as bytes', async t => {
  const { stream, begin, say, end } = stage()
  begin(1)
  const euro = Buffer.from('€')
  const clef = Buffer.from('𝄞')
  const told = stream()
  await next(told)
  say(1, Buffer.concat([Buffer.from('a'), euro.subarray(0, 1)]))
  t.same(await next(told), { event: 'output', id: '1.1', data: { text: 'a' } })
  say(1, Buffer.concat([euro.subarray(1), clef.subarray(0, 3)]))
  t.same(await next(told), { event: 'output', id: '1.4', data: { text: '€' } })
  say(1, Buffer.concat([clef.subarray(3), Buffer.from('é')]))
  t.same(await next(told), { event: 'output', id: '1.10', data: { text: '𝄞é' } })
  const bytes = Buffer.from([0x1f, 0x8b, 0xff, 0x00])
  say(1, bytes)
  t.same(await next(told), { event: 'output', id: '1.14', data: { base64: bytes.toString('base64') } })
  say(1, euro.subarray(0, 2))
  end(1)
  const rest = euro.subarray(0, 2).toString('base64')
  t.same(await next(told), { event: 'output', id: '1.16', data: { base64: rest } }, 'cut off for good')
  t.match(await next(told), { event: 'end' })
})

t.test('who comes back goes on at the byte', async t => {
  const { stream, begin, say, end } = stage()
  begin(1)
  say(1, 'abcdef')
  const told = stream({ attempt: 1, byte: 4 })
  t.same(await next(told), { event: 'output', id: '1.6', data: { text: 'ef' } })
  end(1)
  t.match(await next(told), { event: 'end' })
  const late = stream({ attempt: 1, byte: 6 })
  t.match(await next(late), { event: 'end' }, 'even where nothing is missing')
})

t.test('an attempt that came to nothing is begun again, and so is what is told', async t => {
  const { stream, begin, say, end, drop, fact } = stage()
  begin(1)
  say(1, 'half')
  const told = stream()
  t.match(await next(told), { event: 'attempt', id: '1.0' })
  t.match(await next(told), { event: 'output', id: '1.4' })
  fact('request.retried', { node: 'a', reason: 'lost' })
  drop(1)
  t.same(await next(told), { event: 'state', data: { state: 'queued' } })
  const coming = next(told)
  begin(2)
  say(2, 'whole')
  end(2)
  t.match(await coming, { event: 'attempt', id: '2.0' })
  t.match(await next(told), { event: 'output', id: '2.5', data: { text: 'whole' } })
  t.match(await next(told), { event: 'end', id: '2.end' })
  const returning = stream({ attempt: 1, byte: 2 })
  t.match(await next(returning), { event: 'attempt', id: '2.0' }, 'a mark of the first is none of the second')
})

t.test(
  'an answer that is whole is no end before the journal says so, and may be judged not to be one',
  async t => {
    const { stream, begin, say, whole, fact, drop } = stage()
    begin(1)
    say(1, 'a')
    const told = stream()
    await next(told)
    await next(told)
    const coming = next(told)
    whole(1)
    await new Promise(resolve => setImmediate(resolve))
    fact('request.retried', { node: 'a', reason: 'error-line' })
    drop(1)
    t.same(await coming, { event: 'state', data: { state: 'queued' } })
    begin(2)
    say(2, 'b')
    t.match(await next(told), { event: 'attempt', id: '2.0' })
    t.match(await next(told), { event: 'output', id: '2.1' })
    const last = next(told)
    whole(2)
    fact('request.failed', { reason: 'error-line', bytes: 1, digest: 'd' })
    t.match(await last, { event: 'end', data: { state: 'failed', reason: 'error-line', digest: 'd' } })
  },
)

t.test('a job that ends without an answer, or is erased, says so', async t => {
  const failed = stage()
  failed.fact('request.failed', { reason: 'poison', bytes: 0 })
  const told = failed.stream()
  t.same(await next(told), { event: 'end', id: '0.end', data: { state: 'failed', reason: 'poison' } })
  t.equal(await next(told), 'over')
  const erased = stage()
  const reading = erased.stream()
  await next(reading)
  const coming = next(reading)
  erased.fact('request.cancelled')
  erased.fact('spool.erased')
  t.match(await coming, { event: 'end', data: { state: 'erased' } })
})

t.test('a reader that leaves ends its stream, whatever it waits for', async t => {
  for (const begun of [false, true]) {
    const { stream, begin, say } = stage()
    const leaving = new AbortController()
    if (begun) begin(1)
    const told = stream(undefined, leaving.signal)
    await next(told)
    const coming = next(told)
    leaving.abort(new Error('left'))
    if (begun) say(1, '') // the spool looks at the signal by itself
    await t.rejects(coming, { message: 'left' })
  }
})

t.test('marks are read strictly', async t => {
  t.same(markIn('1.0'), { attempt: 1, byte: 0 })
  t.same(markIn('12.end'), { attempt: 12, byte: 'end' })
  for (const text of ['', '1', '1.', '.1', '1.x', '-1.0', '1.0.0', '1.1e3'])
    t.equal(markIn(text), undefined, text)
})
