/** An answer on its way into the spool. */
import t from 'tap'
import { Failure } from '../../../src/failure.ts'
import { KeptAnswer } from '../../../src/gateway/jobs/kept.ts'

/** A part that takes a chunk when the test says so. */
function slowPart() {
  const taken: string[] = []
  const waiting: { take: () => void; refuse: (failure: Failure) => void }[] = []
  let ended = false
  return {
    taken,
    waiting,
    get ended() {
      return ended
    },
    open: async () => ({
      write: (chunk: Uint8Array) =>
        new Promise<void>((take, refuse) => {
          const done = (): void => {
            taken.push(Buffer.from(chunk).toString('latin1', 0, 3))
            take()
          }
          waiting.push({ take: done, refuse })
        }),
      end: async () => {
        ended = true
        return { bytes: 7, digest: 'd' }
      },
      drop: async () => {},
    }),
  }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

t.test('chunks go in one after the other, and the end is when all are in', async t => {
  const part = slowPart()
  const sink = new KeptAnswer(part.open)
  sink.head(200, [])
  t.ok(sink.write(Buffer.from('one')))
  t.ok(sink.write(Buffer.from('two')))
  sink.end()
  const kept = sink.kept()
  await turn()
  t.equal(part.waiting.length, 1, 'one at a time')
  part.waiting.shift()!.take()
  await turn()
  t.notOk(part.ended)
  part.waiting.shift()!.take()
  t.same(await kept, { bytes: 7, digest: 'd' })
  t.same(part.taken, ['one', 'two'])
})

t.test('a disk that is slower than the node pauses it', async t => {
  const part = slowPart()
  const sink = new KeptAnswer(part.open)
  let drained = 0
  sink.hear({
    left: () => t.fail('it is still there'),
    drained: () => {
      drained += 1
    },
  })
  sink.head(200, [])
  const half = Buffer.alloc(512 * 1024)
  t.ok(sink.write(half))
  t.notOk(sink.write(half), 'a MiB is enough')
  t.notOk(sink.write(half))
  for (let i = 0; i < 3; i += 1) {
    await turn()
    t.equal(drained, 0)
    part.waiting.shift()!.take()
    await turn()
    if (drained > 0) break
  }
  t.equal(drained, 1, 'half a MiB is held')
  t.ok(sink.write(Buffer.alloc(1)))
})

t.test('a spool that takes no more calls the node off, and says why', async t => {
  const full = new Failure('spool.full', 'full', { retryable: true })
  for (const when of ['open', 'write'] as const) {
    const part = slowPart()
    const sink = new KeptAnswer(when === 'open' ? () => Promise.reject(full) : part.open)
    let left = 0
    const deaf = sink.hear({
      left: () => {
        left += 1
      },
      drained: () => {},
    })
    sink.head(200, [])
    sink.write(Buffer.from('one'))
    sink.write(Buffer.from('two'))
    await turn()
    part.waiting.shift()?.refuse(full)
    await turn()
    t.same([left, sink.closed, sink.failure], [1, true, full], when)
    deaf()
    sink.leave()
    t.equal(left, 1)
    sink.end()
    await t.rejects(sink.kept(), full)
  }
})

t.test('who calls it off is heard once', async t => {
  const sink = new KeptAnswer(slowPart().open)
  let left = 0
  sink.hear({
    left: () => {
      left += 1
    },
    drained: () => {},
  })
  sink.leave()
  sink.leave()
  t.same([left, sink.closed, sink.failure], [1, true, undefined])
})
