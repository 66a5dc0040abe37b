/** Up, down and up again: old journals are read through upcasts, and what is too new is refused before it is touched. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import { importRecords } from '../../src/journal/import.ts'
import { outcome, stage } from '../archive/stage.ts'

interface Golden {
  readonly id: string
  readonly head: { readonly seq: number; readonly hash: string }
  readonly records: string[]
}

interface Said {
  readonly head: { readonly seq: number; readonly hash: string }
  readonly seen: { readonly seq: number; readonly v: number; readonly data: Record<string, unknown> }[]
  readonly code?: string
  readonly message?: string
}

/** Each of these starts processes, and a process of TypeScript takes half a second. */
const LONG = { timeout: 240_000 }

const here = import.meta.dirname
const releases = readdirSync(here)
  .filter(name => name.endsWith('.json'))
  .map(name => name.replace('.json', ''))

/** What this release, or the one after the next, makes of the journal in a folder. */
function run(release: 'today' | 'tomorrow', dir: string, writes = ''): Said {
  const hooks = release === 'tomorrow' ? ['--import', join(here, 'tomorrow.ts')] : []
  const { stdout, stderr } = spawnSync(process.execPath, [...hooks, join(here, 'upgraded.ts'), dir, writes])
  if (String(stdout) === '') throw new Error(String(stderr))
  return JSON.parse(String(stdout))
}

async function folder(t: Test, release: string): Promise<{ dir: string; golden: Golden }> {
  const golden = JSON.parse(readFileSync(join(here, `${release}.json`), 'utf8')) as Golden
  const dir = join(t.testdir(), 'house')
  await importRecords({ dir, id: golden.id, records: [golden.records], clock })
  return { dir, golden }
}

const identity = (dir: string) => JSON.parse(readFileSync(join(dir, 'journal.json'), 'utf8'))

t.setTimeout(LONG.timeout)

for (const release of releases) {
  t.test(
    `a journal of ${release} is read in the shapes of a release to come, and its bytes stay`,
    async t => {
      const { dir, golden } = await folder(t, release)
      const today = run('today', dir)
      const tomorrow = run('tomorrow', dir)
      t.same(today.head, golden.head)
      t.same(tomorrow.head, golden.head)
      t.ok(today.seen.length > 2)
      t.same(
        tomorrow.seen,
        today.seen.map(({ seq, data: { url, ...data } }) =>
          url === undefined
            ? { seq, v: 2, data: { ...data, family: String(data.family).toUpperCase() } }
            : { seq, v: 3, data: { ...data, address: url, room: 'nowhere' } },
        ),
      )
      t.same(run('today', dir), today, 'nothing was rewritten')
    },
  )

  // From 0.3.0 on, the story tells of archive files that nobody made, and has facts that only then were new.
  if (release >= '0.3.0') continue

  t.test(`archive files of ${release} are read through the same upcasts`, LONG, async t => {
    const { dir, golden } = await folder(t, release)
    const before = run('tomorrow', dir)
    const s = await stage({ dir })
    s.archivist.seal({ seq: golden.head.seq + 1 }, 'cli')
    t.match(await outcome(s), { state: 'done' })
    s.archivist.trim({ seq: golden.head.seq + 1 }, 'cli')
    t.match(await outcome(s), { state: 'done' })
    t.equal(s.journal.base.seq, golden.head.seq)
    await s.close()
    const after = run('tomorrow', dir)
    t.same(after.seen, before.seen)
    t.equal(after.head.seq, golden.head.seq + 2)
  })

  t.test(
    `up, down, up: as long as nothing is new in it, both read a journal of ${release}`,
    LONG,
    async t => {
      const { dir, golden } = await folder(t, release)
      for (const turn of ['today', 'tomorrow', 'today', 'tomorrow'] as const)
        t.not(run(turn, dir, 'settings').head, undefined)
      t.equal(run('today', dir).head.seq, golden.head.seq + 4)
      t.match(identity(dir), { format: 1 }, '0.1.0 and 0.2.0 would read it, too')
      t.notOk('minReader' in identity(dir))
    },
  )
}

t.test(
  'a fact in a shape, or of a type, that this release does not know is refused before anything is touched',
  async t => {
    for (const news of ['nodes', 'blessings']) {
      const { dir } = await folder(t, releases[0]!)
      const { head } = run('tomorrow', dir, news)
      t.match(identity(dir), { format: 2, minReader: '0.5.0' })
      const { code, message } = run('today', dir, 'settings')
      t.equal(code, 'journal.newer')
      t.match(
        message,
        /only Quipu 0\.5\.0 and later know, and this one knows those of 0\.4\.0\. Start that one/,
      )
      t.equal(run('tomorrow', dir).head.seq, head.seq + 1)
    }
  },
)
