/** `quipu archive`: under the lock of a folder where no house runs, and through the house where one does. */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { openHouse } from '../../src/main.ts'
import { stage } from '../archive/stage.ts'
import { run } from './terminal.ts'

async function folder(t: Test, facts: number, name = 'house'): Promise<string> {
  const dir = join(t.testdirName, name)
  if (name === 'house') t.testdir()
  const s = await stage({ dir })
  await s.grow(facts)
  await s.close()
  return dir
}

const plain = (dir: string, out: string): string =>
  out
    .replaceAll(dir, 'DIR')
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}/g, 'TIME')
    .replaceAll(/\d+ KB/g, 'SIZE')

t.test('older facts go into files, which are listed and copied', async t => {
  const dir = await folder(t, 3_000)
  t.match(await run(t, ['archive', '--data', dir]), { code: 0, out: 'Nothing is archived yet.\n' })
  t.match(await run(t, ['archive', '--data', dir, '--before', '1501']), { code: 0, err: '' })
  const to = join(dir, 'copies')
  const copied = await run(t, ['archive', '--data', dir, '--before', '2999', '--to', to])
  t.same([copied.code, copied.err], [0, ''])
  t.matchSnapshot(plain(dir, copied.out))
  const names = readdirSync(join(dir, 'archive'))
  t.equal(names.length, 2)
  t.same(readdirSync(to), names)
  for (const name of names) t.same(readFileSync(join(to, name)), readFileSync(join(dir, 'archive', name)))
  writeFileSync(join(to, names[0]!), 'half')
  t.match(await run(t, ['archive', '--data', dir, '--to', to]), { code: 0 })
  t.same(
    readFileSync(join(to, names[0]!)),
    readFileSync(join(dir, 'archive', names[0]!)),
    'a bad copy is made anew',
  )
  t.match(JSON.parse((await run(t, ['archive', '--data', dir, '--json'])).out), { sealed: 2_998, trimmed: 0 })
})

t.test('what was typed wrongly is said', async t => {
  const dir = await folder(t, 10)
  for (const [word, said] of [
    ['0', /facts begin with 1/],
    ['tomorrow', /"tomorrow" is not a time/],
  ] as const)
    t.match(await run(t, ['archive', '--data', dir, '--before', word]), { code: 2, err: said })
  t.match(await run(t, ['archive', '--data', dir, '--trim']), {
    code: 1,
    err: /no archive file ends before that/,
  })
})

t.test('a house that runs on the folder does it', async t => {
  const dir = await folder(t, 500)
  const flags = { data: dir, port: '0', embedded: 'off', log: 'silent', grace: '0ms' }
  const house = await openHouse({ config: readConfig(flags, {}), version: '0.0.0' })
  t.teardown(() => house.close())
  const at = ['--data', dir, '--port', String(house.port)]
  const sealed = await run(t, ['archive', ...at, '--before', '2100-01-01', '--json'])
  t.match(sealed, { code: 0, err: '' })
  t.match(JSON.parse(sealed.out), {
    sealed: house.journal.durable - 1,
    files: [{ first: 1 }],
    work: { state: 'done' },
  })
  t.match(await run(t, ['archive', '--port', String(house.port), '--data', join(dir, 'nowhere')]), {
    code: 0,
    out: /1 file,/,
  })
  const other = await folder(t, 1, 'other')
  const s = await stage({ dir: other })
  const wrong = await run(t, ['archive', '--data', other, '--port', String(house.port)])
  await s.close()
  t.match(wrong, { code: 1, err: /has another folder/ })
})

t.test(
  'an audit reads archive files like the rest; where they are away, it verifies what is left and says so',
  async t => {
    const dir = await folder(t, 2_000)
    const s = await stage({ dir })
    for (const seq of [701, 1_501]) {
      s.archivist.seal({ seq }, 'cli')
      await s.archivist.idle()
    }
    s.archivist.trim({ seq: 1_501 }, 'cli')
    await s.archivist.idle()
    await s.close()
    const whole = await run(t, ['audit', '--data', dir, '--json'])
    t.match(whole, { code: 0, err: '' })
    t.match(JSON.parse(whole.out), { ok: true, facts: 2_003, first: { seq: 1 }, from: 1 })
    const files = join(dir, 'archive')
    const away = join(dir, 'elsewhere')
    renameSync(files, away)
    const text = await run(t, ['audit', '--data', dir])
    t.match(text, { code: 0 })
    t.match(text.out, /^Every fact from 1,501 on verifies/)
    const rest = await run(t, ['audit', '--data', dir, '--json'])
    t.match(JSON.parse(rest.out), {
      ok: true,
      facts: 503,
      from: 1_501,
      first: { seq: 1_501 },
      head: JSON.parse(whole.out).head,
      vouchedBy: 2_003,
      now: null,
    })
    t.match(await run(t, ['audit', '--data', dir, '--archive-dir', 'elsewhere', '--json']), {
      code: 0,
      out: /"from": 1,/,
    })
    t.match(await run(t, ['audit', '--data', dir, '--expect', `500:${'A'.repeat(43)}`]), {
      code: 1,
      err: /000000000701|000000000001/,
    })
    mkdirSync(files)
    const [one = '', two = ''] = readdirSync(away).sort()
    renameSync(join(away, one), join(files, one))
    writeFileSync(join(files, two), readFileSync(join(away, two)).subarray(0, 2_000))
    t.match(await run(t, ['audit', '--data', dir]), { code: 1, err: `${two} is damaged` })
  },
)
