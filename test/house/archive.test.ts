/** A house archives and trims under its own signed checkpoints, and what it can start with is what it says it needs. */
import { readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { type House, openHouse } from '../../src/main.ts'
import { run } from '../cli/terminal.ts'
import { failure, texts } from '../journal/facts.ts'

function open(data: string, flags: Record<string, string> = {}): Promise<House> {
  const usual = { data, port: '0', embedded: 'off', log: 'silent', grace: '0ms' }
  return openHouse({ config: readConfig({ ...usual, ...flags }, {}), version: '0.0.0' })
}

/** Somebody turns a knob so often. */
async function turn(house: House, times: number): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    const value = String(600 + (house.journal.head.seq % 1_000))
    house.engine.commit('setting', 'queue-max', { type: 'setting.set', data: { value, start: '512' } })
  }
  await house.engine.settled()
}

interface Told {
  readonly work?: { readonly state: string; readonly code?: string }
}

/** Asks until it is done; a signed checkpoint comes within a second or so. */
async function carryOut(t: Test, { url }: House, path: string, body: object): Promise<void> {
  for (;;) {
    const asked = await fetch(url + path, { method: 'POST', body: JSON.stringify(body) })
    t.equal(asked.status, 202)
    for (;;) {
      const { work } = (await (await fetch(`${url}/quipu/archive`)).json()) as Told
      if (work?.state === 'done') return
      if (work?.state === 'failed' && work.code !== 'archive.unproven') throw new Error(JSON.stringify(work))
      if (work?.state === 'failed') break
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

t.setTimeout(240_000)

t.test('archived, trimmed, carried away and brought back', async t => {
  const dir = join(t.testdir(), 'data')
  let house = await open(dir)
  t.teardown(() => house.close())
  await turn(house, 1_200)
  await carryOut(t, house, '/quipu/archive', { seq: 1_001 })
  const early = await fetch(`${house.url}/quipu/archive/trim`, { method: 'POST', body: '{"seq":5}' })
  t.same([early.status, ((await early.json()) as { code: string }).code], [409, 'archive.unsealed'])
  await carryOut(t, house, '/quipu/archive/trim', { seq: 1_001 })
  t.equal(house.journal.base.seq, 1_000)
  t.match(await (await fetch(`${house.url}/quipu/archive`)).json(), {
    sealed: 1_000,
    trimmed: 1_000,
    first: 1_001,
  })
  const page = await (await fetch(`${house.url}/quipu/journal?after=0&limit=1500`)).text()
  const facts = page
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Entry)
  t.same(
    facts.map(({ seq }) => seq),
    Array.from({ length: house.journal.durable }, (_, i) => i + 1),
  )
  const records = await texts(house.journal)
  await house.close()

  const archive = join(dir, 'archive')
  const away = join(dir, 'away')
  renameSync(archive, away)
  house = await open(dir)
  t.equal(house.journal.base.seq, 1_000, 'with the snapshot of its last stop it starts without the files')
  await turn(house, 50)
  const missing = await fetch(`${house.url}/quipu/journal?after=0`)
  t.same([missing.status, ((await missing.json()) as { code: string }).code], [503, 'archive.missing'])
  t.equal((await fetch(`${house.url}/quipu/journal?after=1000`)).status, 200)
  await house.close()

  rmSync(join(dir, 'snapshots'), { recursive: true })
  const refused = await failure(() => open(dir))
  t.equal(refused.code, 'archive.missing')
  t.match(
    refused.message,
    `Facts 1 to 1000 are in an archive file that is not there: ${join(archive, readdirSync(away)[0]!)}`,
  )
  house = await open(dir, { 'archive-dir': away })
  t.strictSame((await texts(house.journal)).slice(0, records.length), records)
  await house.close()

  renameSync(away, archive)
  const verb = await run(t, ['archive', '--data', dir, '--before', '1201', '--trim', '--json'])
  t.match(verb, { code: 0, err: '' })
  t.match(
    JSON.parse(verb.out),
    { sealed: 1_200, trimmed: 1_200 },
    'the verb by itself takes the checkpoints in the folder',
  )
  t.match(await run(t, ['audit', '--data', dir]), { code: 0, out: /^Every fact verifies/ })
  rmSync(join(dir, 'checkpoints'), { recursive: true })
  const unproven = await run(t, ['archive', '--data', dir, '--before', '1221', '--trim'])
  t.match(unproven, { code: 1, err: /there is no signed checkpoint/ })
})
