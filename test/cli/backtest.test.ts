/** `quipu backtest`: reads a journal, changes nothing in it, and says how far it can be trusted. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { House } from '../../src/backtest/house.ts'
import { staff } from '../../src/cli/production.ts'
import { systemClock as clock } from '../../src/clock.ts'
import type { Staged } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { asked, fleet, played } from '../backtest/stage.ts'
import { type Outcome, run as runThere } from './terminal.ts'

/** Days and hours in a fleet are those of this machine, for whoever reads them. */
const { timeZone: TZ } = Intl.DateTimeFormat().resolvedOptions()
const run = (t: Test, args: readonly string[]): Promise<Outcome> => runThere(t, args, { TZ })

/** What a house wrote down of an hour with two nodes, two models and forty requests. */
async function journal(t: Test): Promise<string> {
  let house: House | undefined
  const requests = asked(
    ...Array.from(
      { length: 40 },
      (_, i) => `r${i} ${i % 4 === 0 ? 'n' : 'm'} ${i * 9} ${4 + (i % 7)} c${i % 3}`,
    ),
  )
  const nodes = fleet('{ name: a, resident: 1 }, { name: b, resident: 2, speed: 0.5 }', {
    models: 'm,n',
    load: 5,
  })
  await played('quipu', nodes, requests, {
    staff: given => {
      house = given
      return staff(given)
    },
  })
  const dir = join(t.testdir({ data: {} }), 'data')
  const level = await openLevelJournal({ dir, clock, create: true })
  for await (const page of house!.journal.read()) {
    for (const { kind, id, type, at, data } of page) {
      level.stage(kind as 'request', id, [{ type, at, data } as Staged])
    }
  }
  await level.close()
  return dir
}

function contents(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  const paths = files.map(({ parentPath, name }) => join(parentPath, name)).sort()
  return Object.fromEntries(
    paths.map(p => [p, `${statSync(p).mtimeMs} ${readFileSync(p).toString('base64')}`]),
  )
}

t.test('the answer stands beside what was recorded, and beside the error of the replay', async t => {
  const dir = await journal(t)
  const before = contents(dir)
  const { code, out, err } = await run(t, ['backtest', '--data', dir, '--policy', 'quipu,least-connections'])
  t.same({ code, err }, { code: 0, err: '' })
  t.match(out, /^40 requests of .*, \d{4}-.* \(5 m 51 s\)\n/)
  for (const row of ['recorded', 'quipu, replayed', 'least-connections'])
    t.match(out, new RegExp(`^${row} +\\d`, 'm'))
  t.match(out, /FIGURE +RECORDED +REPLAYED +ERROR\n/)
  t.match(out, /^p95 of total +[\d.]+ +[\d.]+ +(?:[+-]?\d+ %|-)$/m)
  t.same(contents(dir), before, 'the folder is as it was')
})

t.test('what the nodes were can be written out, edited and asked about', async t => {
  const dir = await journal(t)
  const written = await run(t, ['backtest', '--data', dir, '--write-fleet'])
  t.equal(written.code, 0)
  t.match(written.out, /^# The fleet as the journal has it/)
  t.match(written.out, /- name: a\n {4}slots: 1\n {4}resident: 1\n/)
  const file = join(dir, '../edited.yaml')
  writeFileSync(file, written.out)
  const ask = (): Promise<string> =>
    run(t, ['backtest', '--data', dir, '--fleet', file, '--json', '--seeds', '1']).then(({ out }) => out)
  const same = JSON.parse(await ask())
  t.same(same.answers[0].total.p50, same.replayed.total.p50)
  t.match(same, { requests: 40, withoutTokenCounts: 0, leftOut: { refused: 0 }, fleet: file })
  t.match(
    same.replayError.map(({ figure }: { figure: string }) => figure),
    ['wait.p50', 'wait.p95', 'total.p50', 'total.p95'],
  )
  writeFileSync(file, written.out.replace('- name: a\n', '- name: a\n    off: mon\n'))
  const without = JSON.parse(await ask())
  t.same(without.replayed, same.replayed)
  t.ok(without.answers[0].total.p50 > same.answers[0].total.p50, 'the fast node is off that day')
  t.equal(await ask(), await ask(), 'and the same question has the same answer')
})

t.test('a part of the journal, by day or by minute', async t => {
  const dir = await journal(t)
  const count = async (...args: readonly string[]): Promise<number> =>
    JSON.parse((await run(t, ['backtest', '--data', dir, '--json', '--seeds', '1', ...args])).out).requests
  const minute = (m: number): string => `2026-01-05T09:0${m}`
  t.equal(await count('--from', '2026-01-05', '--to', '2026-01-06'), 40)
  t.equal(await count('--from', minute(1), '--to', minute(2)), 7)
})

t.test('what is missing is said, and what to do', async t => {
  const dir = await journal(t)
  const empty = join(dir, '..')
  await (await openLevelJournal({ dir: join(empty, 'fresh'), clock, create: true })).close()
  writeFileSync(join(empty, 'fleet.yaml'), 'models: [{ name: m }]\nnodes: [{ name: a }]\n')
  const wrong: readonly (readonly [args: string, code: number, said: RegExp])[] = [
    [`--data ${empty}`, 1, /There is no journal in/],
    [`--data ${join(empty, 'fresh')}`, 1, /nothing to test on: it knows of no node with a model/],
    [
      `--data ${dir} --from 2027-01-01`,
      1,
      /no request came between these times; the journal has them from 2026-01-05/,
    ],
    [
      `--data ${dir} --fleet ${join(empty, 'fleet.yaml')}`,
      1,
      /requests ask for n:latest, and no node of the fleet/,
    ],
    [`--data ${dir} --fleet ${join(empty, 'gone.yaml')}`, 1, /--fleet: ENOENT/],
    [`--data ${dir} --from yesterday`, 2, /--from: "yesterday" is not a time/],
    [`--data ${dir} --policy warm`, 2, /did you mean warm-first\?/],
    [`--data ${dir} --seeds 0`, 2, /--seeds: at least 1/],
  ]
  for (const [args, code, said] of wrong) {
    t.match(await run(t, ['backtest', ...args.split(' ')]), { code, out: '', err: said }, args)
  }
})
