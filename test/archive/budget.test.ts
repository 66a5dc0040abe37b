/** A budget warns before it refuses, and does not refuse on and off. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Budget, bytesIn, standingAt } from '../../src/archive/budget.ts'
import { systemClock, virtualClock } from '../../src/clock.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { world } from '../house/world.ts'

const MIB = 1_048_576

t.test('each limit has its own way back', async t => {
  let standing: ReturnType<typeof standingAt> = 'fine'
  const walk = [0, 0.79, 0.8, 0.99, 0.76, 0.74, 0.85, 1, 0.97, 0.95, 0.949, 1.2, 0.5, 0.79]
  const steps = walk.map(share => {
    standing = standingAt(share, standing)
    return standing
  })
  t.same(steps, [
    ...['fine', 'fine', 'tight', 'tight', 'tight', 'fine', 'tight'],
    ...['full', 'full', 'full', 'tight', 'full', 'fine', 'fine'],
  ])
})

t.test('a folder takes what its files take on the disk, whatever they say of their length', async t => {
  const dir = t.testdir({ a: { b: { c: 'x' } } })
  const before = await bytesIn(dir)
  writeFileSync(join(dir, 'a', 'large'), Buffer.alloc(MIB, 1))
  symlinkSync('/', join(dir, 'a', 'elsewhere'))
  mkdirSync(join(dir, 'many'))
  for (let i = 0; i < 200; i += 1) writeFileSync(join(dir, 'many', `${i}`), 'x')
  const after = await bytesIn(dir)
  t.ok(after - before >= MIB + 200 * 512, `${after - before}`)
  t.ok(after - before < 3 * MIB, 'nothing beyond the folder is counted')
  t.equal(await bytesIn(join(dir, 'nowhere')), 0)
})

t.test('it is looked at an interval, and a budget that is set anew holds at once', async t => {
  const dir = t.testdir()
  const clock = virtualClock()
  const config = { diskBudgetBytes: 0 }
  const said: string[] = []
  const budget = new Budget({ clock, config, dir, warn: message => said.push(message) })
  t.teardown(() => budget.close())
  writeFileSync(join(dir, 'ballast'), Buffer.alloc(MIB, 1))
  await budget.look()
  t.ok(budget.usedBytes >= MIB)
  t.equal(budget.standing, 'fine', 'where there is no budget nothing is too much')
  config.diskBudgetBytes = MIB
  budget.reactor.react({ type: 'setting.set' } as never)
  t.equal(budget.standing, 'full')
  t.match(said, [/takes \d MiB of 1 MiB: nothing new is taken; archive and trim/])
  config.diskBudgetBytes = 100 * MIB
  budget.reactor.react({ type: 'setting.set' } as never)
  t.equal(budget.standing, 'fine')
  t.match(said[1], /requests are taken again/)
})

t.test(
  'a house over its budget takes nothing new, ends what runs, and can be helped from within',
  async t => {
    const dir = await mkdtemp(join(tmpdir(), 'quipu-budget-'))
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=120m', 'tmpfs', dir])
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
    const w = await world(t, {
      sims: [{ decodeTps: 100, words: 150 }],
      journal,
      flags: { data, 'disk-budget': '20M' },
    })
    const index = async () => (await (await fetch(`${w.url}/quipu`)).json()) as { disk: { standing: string } }
    const set = (value: string) =>
      fetch(`${w.url}/quipu/config/disk-budget`, { method: 'PUT', body: JSON.stringify({ value }) })
    const stands = async (standing: string) => {
      while ((await index()).disk.standing !== standing) await new Promise(resolve => setTimeout(resolve, 50))
    }
    t.match(await index(), { disk: { budget: 20 * MIB, standing: 'fine' } })
    const running = await w.generate()
    t.equal(running.status, 200)
    await writeFile(join(data, 'ballast'), Buffer.alloc(25 * MIB, 1))
    t.equal((await set('21M')).status, 200)
    await stands('full')
    const refused = await w.generate({ stream: false })
    t.equal(refused.status, 503)
    t.ok(Number(refused.headers.get('retry-after')) > 0)
    t.match(await refused.json(), { error: /used up its disk budget/ })
    const job = { path: '/api/generate', body: { model: 'tiny', prompt: 'x' } }
    t.equal((await w.post('/quipu/jobs', job)).status, 503)
    const ready = await fetch(`${w.url}/readyz`)
    t.same(
      [ready.status, await ready.json()],
      [503, { status: 'no', reasons: ['the disk budget is used up'] }],
    )
    t.match(await (await fetch(`${w.url}/metrics`)).text(), /quipu_disk_intake_paused 1/)
    t.match(await running.text(), /"done":true/, 'what ran is answered to its end')
    await w.fact('request.completed')

    const seal = (path: string) => w.post(path, { at: Date.now() + 60_000 })
    t.equal((await seal('/quipu/archive')).status, 202, 'the way out is open')
    while (
      ((await (await fetch(`${w.url}/quipu/archive`)).json()) as { work: { state: string } }).work.state ===
      'running'
    )
      await new Promise(resolve => setTimeout(resolve, 20))
    t.equal((await fetch(`${w.url}/quipu/nodes/n1/drain`, { method: 'POST' })).status, 200)
    t.equal((await fetch(`${w.url}/quipu/nodes/n1/resume`, { method: 'POST' })).status, 200)
    await unlink(join(data, 'ballast'))
    await stands('fine')
    const again = await w.generate()
    t.equal(again.status, 200)
    await again.text()
  },
)
