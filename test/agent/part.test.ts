/** One thing that is read again and again, and may hang. */
import { writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { Part } from '../../src/agent/part.ts'
import { virtualClock } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'

/** Each read stays under way until the test ends it. */
function part(t: Test, { first }: { readonly first?: string } = {}) {
  const clock = virtualClock()
  const reads: { fresh: boolean; gaveUp: boolean; end: (value: string | undefined | Error) => void }[] = []
  const one = new Part<string>({
    clock,
    everyMs: 10_000,
    deadlineMs: 5_000,
    differs: (known, now) => known !== now,
    ...(first !== undefined && { first }),
    read: ({ fresh, signal }) =>
      new Promise((resolve, reject) => {
        const end = (value: string | undefined | Error): void =>
          value instanceof Error ? reject(value) : resolve(value)
        const read = { fresh, gaveUp: false, end }
        signal.addEventListener('abort', () => {
          read.gaveUp = true
        })
        reads.push(read)
      }),
  })
  t.teardown(() => one.close())
  return { clock, one, reads }
}

t.test('what was read is good for a while; whoever looks meanwhile is given that', async t => {
  const { clock, one, reads } = part(t)
  const looks = [one.look(), one.look()]
  t.equal(reads.length, 1)
  reads[0]!.end('a')
  await Promise.all(looks)
  t.same([one.value, one.version], ['a', 1])
  await clock.advance(9_999)
  await one.look()
  t.equal(reads.length, 1)
  await clock.advance(1)
  const again = one.look()
  reads[1]!.end('a')
  await again
  t.same([one.value, one.version], ['a', 1], 'the same is no other version')
  one.expire()
  const third = one.look()
  reads[2]!.end('b')
  await third
  t.same([one.value, one.version], ['b', 2])
})

t.test('what expires while it is read is read again, once for all who wait', async t => {
  const { one, reads, clock } = part(t)
  const first = one.look()
  one.expire('fresh')
  one.expire()
  const later = [one.look(), one.look()]
  reads[0]!.end('old')
  await first
  await clock.advance(0)
  t.same(
    reads.map(({ fresh }) => fresh),
    [false, true],
  )
  t.equal(one.value, 'old')
  reads[1]!.end('new')
  await Promise.all(later)
  t.equal(one.value, 'new')
  await one.look()
  t.equal(reads.length, 2)
})

t.test('what hangs is told to give up, and nothing is begun beside it', async t => {
  const { one, reads, clock } = part(t)
  const look = one.look()
  await clock.advance(4_999)
  t.equal(reads[0]!.gaveUp, false)
  await clock.advance(100_000)
  t.equal(reads[0]!.gaveUp, true)
  void one.look()
  one.expire()
  void one.look()
  t.equal(reads.length, 1)
  reads[0]!.end(new Failure('ollama.timeout', 'late'))
  await look
  await clock.advance(0)
  t.equal(reads.length, 2)
})

t.test(
  'what fails leaves what was known, and is tried when it is due again; unknown is known, too',
  async t => {
    const { one, reads, clock } = part(t, { first: 'before' })
    t.same([one.value, one.version], ['before', 1])
    const turn = async (value: string | undefined | Error): Promise<unknown[]> => {
      await clock.advance(10_000)
      const look = one.look()
      reads.at(-1)!.end(value)
      await look
      return [one.value, one.version]
    }
    t.same(await turn('a'), ['a', 2])
    t.same(await turn(new Failure('ollama.broken', 'x')), ['a', 2])
    await one.look()
    t.equal(reads.length, 2)
    await writeFile('/nowhere/at/all', '').catch(turn)
    t.same([one.value, one.version], ['a', 2], 'a disk that says no')
    t.same(await turn(undefined), [undefined, 3])
    t.same(await turn('a'), ['a', 4])
  },
)

t.test('an end has what is under way give up', async t => {
  const { one, reads } = part(t)
  void one.look()
  one.close()
  t.equal(reads[0]!.gaveUp, true)
})
