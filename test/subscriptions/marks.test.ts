/** Where subscriptions are: over restarts, kills and damage. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { type Clock, mulberry32, systemClock, virtualClock } from '../../src/clock.ts'
import { marksIn } from '../../src/subscriptions/marks.ts'

// Timers of the house let a process end; here somebody waits for them.
const alive = setInterval(() => {}, 1_000)
t.teardown(() => clearInterval(alive))

const journal = { id: 'j1' }
const A = { name: 'a', seq: 3 }
const B = { name: 'b-b', seq: 4 }

async function opened(dir: string, { clock = systemClock as Clock, id = journal.id } = {}) {
  const warnings: string[] = []
  const marks = marksIn({ dir, clock, journal: { id }, warn: message => warnings.push(message) })
  await marks.open()
  return Object.assign(marks, { warnings })
}

const fileIn = (dir: string): string => join(dir, 'marks/subscriptions')

t.test('a mark that is moved is there at the next start, for that subscription of that journal', async t => {
  const dir = t.testdir()
  const marks = await opened(dir)
  t.same([marks.of(A), marks.warnings], [undefined, []])
  await Promise.all([marks.move(A, 17), marks.move(B, 9)])
  await marks.move(A, 17)
  const again = await opened(dir)
  t.same([again.of(A), again.of(B)], [17, 9])
  t.equal(again.of({ name: 'a', seq: 5 }), undefined, 'another one of the same name begins where it begins')
  const other = await opened(dir, { id: 'j2' })
  t.same([other.of(A), other.of(B)], [undefined, undefined])
  t.match(other.warnings, [/2 of 2 lines are damaged or of another journal/])
  await marks.close()
})

t.test('who waits is answered once it is written; all who come meanwhile share the next write', async t => {
  const dir = t.testdir()
  const clock = virtualClock()
  const marks = await opened(dir, { clock })
  await marks.move(A, 1)
  const told: number[] = []
  const moves = [2, 3, 4].map(seq => marks.move(A, seq).then(() => told.push(seq)))
  await clock.advance(199)
  t.same([told, read(dir)], [[], ['a 1']])
  await clock.advance(1)
  await Promise.all(moves)
  t.same([told, read(dir)], [[2, 3, 4], ['a 4']])
  await marks.close()
})

t.test('what nobody waits for is written within seconds, and when the house closes', async t => {
  const dir = t.testdir()
  const clock = virtualClock()
  const marks = await opened(dir, { clock })
  marks.note(A, 5)
  await clock.advance(1_999)
  t.same(read(dir), [])
  await clock.advance(1)
  while (read(dir).length === 0) await new Promise(resolve => setImmediate(resolve))
  marks.note(A, 6)
  marks.drop(B)
  await marks.close()
  t.same(read(dir), ['a 6'])
  const last = await opened(dir, { clock })
  last.drop({ name: 'a', seq: 9 })
  last.drop(A)
  await last.close()
  t.same(read(dir), [])
})

function read(dir: string): string[] {
  try {
    const lines = readFileSync(fileIn(dir), 'utf8').split('\n').filter(Boolean)
    return lines.map(line => line.split(' ')).map(([name, , mark]) => `${name} ${mark}`)
  } catch {
    return []
  }
}

t.test('whichever byte is damaged, no mark is wrong, and one line costs one mark', async t => {
  const dir = t.testdir()
  const marks = await opened(dir)
  await Promise.all([marks.move(A, 17), marks.move(B, 9)])
  await marks.close()
  const whole = readFileSync(fileIn(dir))
  for (let at = 0; at < whole.length; at += 1) {
    for (const bit of [0, 3, 6]) {
      const bytes = Buffer.from(whole)
      bytes[at]! ^= 1 << bit
      writeFileSync(fileIn(dir), bytes)
      const { of, warnings } = await opened(dir)
      const found = [of(A), of(B)]
      const wrong = found.some((mark, i) => mark !== undefined && mark !== [17, 9][i])
      const kept = found.filter(mark => mark !== undefined).length
      const newline = whole[at] === 0x0a
      if (wrong || (kept < 1 && !newline) || (kept < 2 && warnings.length !== 1)) {
        return t.fail(`byte ${at}, bit ${bit}`, { found, warnings })
      }
    }
  }
  for (let end = 0; end < whole.length; end += 1) {
    writeFileSync(fileIn(dir), whole.subarray(0, end))
    const { of } = await opened(dir)
    t.ok([17, undefined].includes(of(A)) && [9, undefined].includes(of(B)), `cut at ${end}`)
  }
})

t.test('a folder that cannot be written fails who waits, and the next one writes for all', async t => {
  const dir = t.testdir()
  const clock = virtualClock()
  writeFileSync(join(dir, 'marks'), 'in the way')
  const marks = await opened(dir, { clock })
  t.match(marks.warnings, [/cannot be read/])
  await t.rejects(marks.move(A, 5), { code: 'marks.disk', retryable: true })
  t.equal(marks.of(A), 5)
  rmSync(join(dir, 'marks'))
  await clock.advance(200)
  await marks.move(B, 6)
  t.same((await opened(dir)).of(A), 5)
  await marks.close()
})

t.test('killed at any moment, it has what it said, or what it was about to say', async t => {
  const seed = Date.now() % 1_000_000
  t.comment(`seed ${seed}`)
  const random = mulberry32(seed)
  const dir = t.testdir()
  let written = 0
  for (let round = 0; round < 12; round += 1) {
    const { child, said, began } = await writer(t, dir)
    t.ok(began >= written, `round ${round}: ${began} after ${written}`)
    await new Promise(resolve => setTimeout(resolve, random() * 150))
    child.kill('SIGKILL')
    await once(child, 'close')
    written = said.at(-1) ?? written
  }
  t.ok(written > 12, `${written} marks`)
})

/** A process that moves a mark on and on, and says each that it was told is kept. */
async function writer(t: Test, dir: string): Promise<{ child: ChildProcess; said: number[]; began: number }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'marker.ts'), dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const said: number[] = []
  const { promise, resolve } = Promise.withResolvers<number>()
  createInterface({ input: child.stdout! }).on('line', line => {
    if (line.startsWith('began ')) resolve(Number(line.slice(6)))
    else said.push(Number(line))
  })
  return { child, said, began: await promise }
}
