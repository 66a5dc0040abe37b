import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readRings, writeRings } from '../../src/stats/files.ts'
import { Ring, STEPS } from '../../src/stats/series.ts'

const [STEP, OTHER] = [STEPS[0]!, STEPS[1]!]

function some() {
  return ['http://a:1', 'http://b:1'].map((server, i) => {
    const ring = new Ring(STEP)
    ring.put(500, i + 0.5)
    ring.put(502, 100)
    return { server, type: 'load', ring }
  })
}

t.test('what is written is read again, gaps and all', async t => {
  const path = join(t.testdir(), '10s')
  const rings = some()
  await writeRings(path, STEP, [...rings, { server: 'http://c:1', type: 'load', ring: new Ring(STEP) }])
  const found = await readRings(path, STEP, 10)
  t.same(found, rings, 'and what has no value is left out')
  t.same(
    [500, 501, 502].map(slot => found[1]!.ring.at(slot)),
    [1.5, Number.NaN, 100],
  )
  await writeRings(path, STEP, [])
  t.same(await readRings(path, STEP, 10), [])
})

t.test('where there is no file there is nothing', async t => {
  t.same(await readRings(join(t.testdir(), '10s'), STEP, 10), [])
})

t.test('a file that is cut, altered, too large or another one is not believed', async t => {
  const path = join(t.testdir(), '10s')
  await writeRings(path, STEP, some())
  const whole = await readFile(path)
  const refused = async (bytes: Buffer, why: RegExp, step = STEP, max = 10): Promise<void> => {
    await writeFile(path, bytes)
    await t.rejects(readRings(path, step, max), { message: why })
  }
  for (let end = 1; end < whole.length; end += 97) {
    await refused(whole.subarray(0, end), /./)
  }
  const flipped = (at: number): Buffer => {
    const bytes = Buffer.from(whole)
    bytes[at]! ^= 1
    return bytes
  }
  for (let at = 0; at < whole.length - 1; at += 89) await refused(flipped(at), /./)
  await refused(flipped(500), /checksum/) // among the values
  await refused(whole, /other steps/, OTHER)
  await refused(Buffer.from(whole.toString('latin1').replace('"format":1', '"format":2'), 'latin1'), /format/)
  await refused(Buffer.concat(Array(20).fill(whole)), /too large/, STEP, 1)
})

t.test('a write that fails leaves the old file', async t => {
  const path = join(t.testdir(), '10s')
  await writeRings(path, STEP, some())
  function* broken() {
    yield some()[0]!
    throw new Error('no more')
  }
  await t.rejects(writeRings(path, STEP, broken()), /no more/)
  t.equal((await readRings(path, STEP, 10)).length, 2)
})
