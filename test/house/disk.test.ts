/** A house on a real disk that is full: it takes nothing new, says so, answers what it knows, and comes back by itself. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { world } from './world.ts'

const MIB = 1024 * 1024

t.test('a full disk stops the intake, not the house, and nothing acknowledged is lost', async t => {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-disk-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=80m', 'tmpfs', dir])
  if (mounted.status !== 0) {
    t.comment('skipped: no right to mount a small disk (tmpfs) here')
    return
  }
  t.teardown(async () => {
    spawnSync('umount', ['-l', dir])
    await rm(dir, { recursive: true, force: true })
  })

  const data = join(dir, 'data')
  const journal = await openLevelJournal({ dir: data, clock: systemClock, create: true })
  const w = await world(t, { sims: [{ decodeTps: 100, words: 150 }, {}], journal })
  t.equal((await w.generate()).status, 200)
  const running = await w.generate()
  const ready = () => fetch(`${w.url}/readyz`).then(res => res.status)
  t.equal(await ready(), 200)

  // As much as leaves less than the journal's reserve.
  await writeFile(join(dir, 'ballast'), Buffer.alloc(60 * MIB))
  const refused = await until(async () => {
    const res = await w.generate({ stream: false })
    return res.status === 503 ? res : undefined
  })
  t.match(await refused.json(), { error: /cannot write its journal/ })
  t.equal(await ready(), 503)
  t.equal((await fetch(`${w.url}/quipu/nodes`)).status, 200, 'reads go on')
  t.equal((await fetch(`${w.url}/api/tags`)).status, 200)
  t.equal((await fetch(`${w.url}/quipu/nodes/n1/drain`, { method: 'POST' })).status, 503, 'commands do not')
  t.match(await running.text(), /"done":true/, 'what ran when the disk filled up is answered to its end')

  await rm(join(dir, 'ballast'))
  await until(async () => ((await ready()) === 200 ? true : undefined))
  const again = await w.generate()
  t.equal(again.status, 200)
  await again.text()
  await w.fact('request.completed', ({ id }) => id === again.headers.get('x-quipu-request'))
  const ended = await w.facts('request.completed', 'request.failed', 'request.abandoned', 'request.expired')
  const admitted = await w.facts('request.admitted')
  t.same(
    ended.map(({ id }) => id).sort(),
    admitted.map(({ id }) => id).sort(),
    'each request ended exactly once',
  )
  t.ok(
    ended.some(
      ({ id, type }) => id === running.headers.get('x-quipu-request') && type === 'request.completed',
    ),
  )
})

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
