/** `quipu doctor`: says what is wrong with a folder and what to do, and changes nothing. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import {
  appendFile,
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock, virtualClock } from '../../src/clock.ts'
import type { Staged } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { keyIn, makeAuthority, pkiIn } from '../../src/pki/authority.ts'
import { openSecret } from '../../src/secret.ts'
import { openSpool } from '../../src/spool/store.ts'
import { stage } from '../archive/stage.ts'
import { run } from './terminal.ts'

const NODE = { url: 'http://shed:11434', slots: 1, residentMax: 3, labels: {}, origin: 'flag' }

/** A folder as a stopped house leaves it: facts in a table and in the log, a secret, one job in the spool. */
async function folder(t: Test, at = Date.UTC(2026, 0, 31)): Promise<string> {
  const dir = join(t.testdir(), 'data')
  // The same id each time, so the same hashes, and the same bytes in LevelDB's files.
  const clock = virtualClock()
  for (const count of [300, 200]) {
    const journal = await openLevelJournal({ dir, clock, create: true })
    for (let i = 0; i < count; i += 1) {
      const type = journal.head.seq % 2 === 1 ? 'node.drained' : 'node.resumed'
      const fact = journal.head.seq === 0 ? { type: 'node.registered', data: NODE } : { type, data: {} }
      journal.stage('node', 'shed', [{ ...fact, at } as unknown as Staged])
    }
    await journal.close()
  }
  await openSecret(dir)
  const spool = await openSpool({ dir, clock })
  await spool.put('01M7Z02NPBY5W9M7ATPG6V6H9Q', 'body', {}, Buffer.from('x'))
  await spool.close()
  return dir
}

interface Said {
  readonly room: string
  readonly verdict: string
  readonly says: string
  readonly next?: string
}

async function examined(
  t: Test,
  dir: string,
  ...more: string[]
): Promise<{ code: number | null; err: string; ill: readonly Said[]; findings: readonly Said[] }> {
  const { code, out, err } = await run(t, ['doctor', '--data', dir, '--json', ...more])
  const { ok, findings } = JSON.parse(out) as { ok: boolean; findings: readonly Said[] }
  const ill = findings.filter(({ verdict }) => verdict !== 'ok')
  t.equal(ok, !ill.some(({ verdict }) => verdict === 'bad'))
  t.equal(code, ok ? 0 : 1)
  for (const { says, next } of ill) {
    t.match(says, /\.$/, 'a sentence')
    t.ok(next !== undefined && next.length > 0, 'and what to do')
  }
  return { code, err, ill, findings }
}

/** Every file: its bytes, mode and when it was last written. */
function contents(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  const paths = files.map(({ parentPath, name }) => join(parentPath, name)).sort()
  return Object.fromEntries(
    paths.map(path => {
      const { mode, mtimeMs } = statSync(path)
      return [path, `${mode} ${mtimeMs} ${readFileSync(path).toString('base64')}`]
    }),
  )
}

async function fileIn(dir: string, kind: RegExp): Promise<string> {
  return join(dir, 'journal', (await readdir(join(dir, 'journal'))).find(name => kind.test(name))!)
}

t.test('a healthy folder is said to be, and nothing in it changes', async t => {
  const dir = await folder(t)
  const before = contents(dir)
  const { code, out, err } = await run(t, ['doctor', '--data', dir])
  t.same({ code, err }, { code: 0, err: '' })
  t.match(out, /^ok +facts +The last 500 of 500 facts verify; the last is of 2026-01-31 00:00:00\.000\./m)
  t.match(out, /^ok +tables +1 table, .*every checksum is right\.$/m)
  t.match(out, /^ok +lock +No house has the folder open\.$/m)
  t.match(out, /^ok +spool +1 item of jobs/m)
  t.match(out, new RegExp(`\nNothing is wrong with ${dir}\\.\n$`))
  t.match((await run(t, ['doctor', '--data', dir, '--deep'])).out, /All 500 facts verify/)
  t.same(contents(dir), before)
})

interface Row {
  readonly what: string
  readonly harm: (dir: string) => unknown
  /** What is not ok: verdict, room, and what is said of it. */
  readonly ill: readonly (readonly [verdict: 'warning' | 'bad', room: string, says: RegExp])[]
}

const ROWS: readonly Row[] = [
  {
    what: 'no folder',
    harm: dir => rm(dir, { recursive: true }),
    ill: [['bad', 'folder', /There is no folder/]],
  },
  {
    what: 'an empty folder',
    harm: async dir => {
      await rm(dir, { recursive: true })
      await mkdir(dir)
    },
    ill: [['bad', 'identity', /no journal in .*, nor a trace/]],
  },
  {
    what: 'a file',
    harm: async dir => {
      await rm(dir, { recursive: true })
      await writeFile(dir, '')
    },
    ill: [['bad', 'folder', /is not a folder/]],
  },
  {
    what: 'a folder without journal.json',
    harm: dir => rm(join(dir, 'journal.json')),
    ill: [['bad', 'identity', /journal\.json, which says whose they are, is gone/]],
  },
  {
    what: 'a journal of a newer Quipu',
    harm: async dir => {
      const identity = JSON.parse(await readFile(join(dir, 'journal.json'), 'utf8'))
      await writeFile(join(dir, 'journal.json'), JSON.stringify({ ...identity, format: 99 }))
    },
    ill: [['bad', 'identity', /has format 99/]],
  },
  {
    what: 'a database without CURRENT',
    harm: dir => rm(join(dir, 'journal', 'CURRENT')),
    ill: [['bad', 'identity', /CURRENT is gone/]],
  },
  {
    what: 'a CURRENT that names nothing',
    harm: dir => writeFile(join(dir, 'journal', 'CURRENT'), 'MANI'),
    ill: [
      ['bad', 'tables', /does not name a manifest/],
      ['bad', 'facts', /cannot be read/],
    ],
  },
  {
    what: 'a lost manifest',
    harm: async dir => rm(await fileIn(dir, /^MANIFEST/)),
    ill: [
      ['bad', 'tables', /MANIFEST-\d+, which CURRENT names, is gone/],
      ['bad', 'facts', /cannot be read/],
    ],
  },
  {
    what: 'a lost table',
    harm: async dir => rm(await fileIn(dir, /ldb$/)),
    ill: [['bad', 'facts', /1 missing files/]],
  },
  {
    what: 'a flipped bit in a table',
    harm: async dir => {
      const path = await fileIn(dir, /ldb$/)
      const bytes = await readFile(path)
      bytes[100]! ^= 1
      await writeFile(path, bytes)
    },
    ill: [
      ['bad', 'tables', /ldb is not what was written, from byte 0 on/],
      ['bad', 'facts', /^Fact \d+ /],
    ],
  },
  {
    what: 'a log without its end',
    harm: async dir => {
      const path = await fileIn(dir, /\.log$/)
      await truncate(path, statSync(path).size - 100)
    },
    ill: [['bad', 'facts', /the journal ends before it, and it had come to fact 500/]],
  },
  {
    what: 'the same, without a mark',
    harm: async dir => {
      const path = await fileIn(dir, /\.log$/)
      await truncate(path, statSync(path).size - 100)
      await rm(join(dir, 'mark'))
    },
    ill: [['warning', 'facts', /`mark` is gone: if the end of the journal is lost, nobody will notice/]],
  },
  {
    what: "trouble in LevelDB's diary",
    harm: async dir =>
      appendFile(
        join(dir, 'journal', 'LOG'),
        '2026/11/21-17:02:00.1 7f00 000008.log: dropping 812 bytes; Corruption\n',
      ),
    ill: [['warning', 'tables', /"000008\.log: dropping 812 bytes; Corruption"/]],
  },
  {
    what: 'a lock of one that was killed',
    harm: dir => writeFile(join(dir, 'lock'), lockOf({ pid: 4_194_304 })),
    ill: [['warning', 'lock', /Process 4194304 had the folder open since .*, and died with it\./]],
  },
  {
    what: 'a lock of the third that was killed',
    harm: dir => writeFile(join(dir, 'lock'), lockOf({ pid: 4_194_304, died: 2 })),
    ill: [['warning', 'lock', /as did 2 houses before it/]],
  },
  {
    what: 'a torn lock',
    harm: dir => writeFile(join(dir, 'lock'), '{"pi'),
    ill: [['warning', 'lock', /makes sense/]],
  },
  {
    what: 'a lost secret',
    harm: dir => rm(join(dir, 'secret')),
    ill: [['warning', 'secret', /There is no `secret`/]],
  },
  {
    what: 'half a secret',
    harm: dir => truncate(join(dir, 'secret'), 16),
    ill: [['bad', 'secret', /has 16 bytes/]],
  },
  {
    what: 'a secret for everybody',
    harm: dir => chmod(join(dir, 'secret'), 0o644),
    ill: [['bad', 'secret', /Others on this machine may read .*\(644\)/]],
  },
  {
    what: 'an authority whose key is gone',
    harm: async dir => {
      await makeAuthority(pkiIn(dir), systemClock)
      await rm(keyIn(pkiIn(dir)))
    },
    ill: [['bad', 'pki', /pki\/key is gone\. No house with --agents starts/]],
  },
  {
    what: 'an authority for everybody',
    harm: async dir => {
      await makeAuthority(pkiIn(dir), systemClock)
      await chmod(pkiIn(dir), 0o755)
      await chmod(keyIn(pkiIn(dir)), 0o640)
    },
    ill: [
      ['bad', 'pki', /Others on this machine may read .*pki \(755\)/],
      ['bad', 'pki', /pki\/key \(640\)/],
    ],
  },
  {
    what: 'an authority that is about to expire',
    harm: async dir => {
      const past = Date.now() - 10 * 365 * 86_400_000 + 30 * 86_400_000
      await makeAuthority(pkiIn(dir), virtualClock({ start: past }))
    },
    ill: [['warning', 'pki', /expires on .*, and all certificates with it/]],
  },
  {
    what: 'a spool without its keys',
    harm: dir => rm(join(dir, 'spool', 'keys')),
    ill: [['bad', 'spool', /keys is gone, .* 1 item /]],
  },
  {
    what: 'a part without a key, and a damaged one',
    harm: async dir => {
      await writeFile(join(dir, 'spool', 'abc.answer-1.part'), '')
      const path = join(dir, 'spool', 'keys')
      const bytes = await readFile(path)
      bytes[bytes.findIndex((byte, at) => at >= 64 && byte !== 0)]! ^= 1
      await writeFile(path, bytes)
    },
    ill: [
      ['warning', 'spool', /1 key of the spool is damaged/],
      ['warning', 'spool', /2 items in the spool have no key/],
    ],
  },
  {
    what: 'checkpoints without their key, a torn one, and a scrub that found something',
    harm: async dir => {
      await mkdir(join(dir, 'checkpoints'))
      await writeFile(join(dir, 'checkpoints', 'latest'), 'quipu')
      await writeFile(
        join(dir, 'scrub.json'),
        '{"last":{"finishedAt":1767225600000,"facts":500,"ms":9,"bad":2}}',
      )
    },
    ill: [
      ['warning', 'checkpoints', /key is gone: nothing is signed/],
      ['warning', 'checkpoints', /latest/],
      ['bad', 'checkpoints', /found 2 damaged places/],
    ],
  },
  {
    what: 'an archive file that is damaged, and one before it that is gone',
    harm: async dir => {
      await mkdir(join(dir, 'archive'))
      await writeFile(join(dir, 'archive', '000000000011-000000000020.quipu.gz'), 'not gzip')
    },
    ill: [
      ['warning', 'archives', /Facts 1 to 10 are in no file/],
      ['bad', 'archives', /000000000011-000000000020.quipu.gz is damaged/],
    ],
  },
  {
    what: 'marks that are torn',
    harm: async dir => {
      await mkdir(join(dir, 'marks'))
      await writeFile(join(dir, 'marks', 'subscriptions'), 'billing 12 40')
    },
    ill: [['warning', 'marks', /1 of 1 lines are damaged/]],
  },
  {
    what: 'damaged samples and a damaged snapshot',
    harm: async dir => {
      for (const room of ['stats', 'snapshots']) await mkdir(join(dir, room))
      await writeFile(join(dir, 'stats', '10s'), 'x')
      await writeFile(join(dir, 'snapshots', '0000000000000400.snapshot'), 'x')
    },
    ill: [
      ['warning', 'snapshots', /cannot be read: it is damaged/],
      ['warning', 'stats', /10s cannot be read/],
    ],
  },
]

function lockOf(more: object): string {
  return JSON.stringify({ pid: 1, since: '2026-11-21T10:00:00.000Z', world: 'before', started: '1', ...more })
}

for (const { what, harm, ill } of ROWS) {
  t.test(`${what}: ${ill.map(([verdict, room]) => `${room} is ${verdict}`).join(', ')}`, async t => {
    const dir = await folder(t)
    await harm(dir)
    const before = statSync(dir, { throwIfNoEntry: false })?.isDirectory() ? contents(dir) : {}
    const found = await examined(t, dir)
    t.same(
      found.ill.map(({ verdict, room }) => [verdict, room]),
      ill.map(([verdict, room]) => [verdict, room]),
      JSON.stringify(found.ill, null, 2),
    )
    for (const [i, [, , says]] of ill.entries()) t.match(found.ill[i]?.says, says)
    if (Object.keys(before).length > 0) t.same(contents(dir), before, 'nothing was changed')
  })
}

t.test(
  'files of another user are named',
  { skip: process.getuid?.() !== 0 && 'that takes root' },
  async t => {
    const dir = await folder(t)
    await chown(join(dir, 'mark'), 4_711, 0)
    const { ill } = await examined(t, dir)
    t.match(ill, [
      { verdict: 'warning', room: 'folder', says: /mark in .* another user than the folder itself/ },
    ])
  },
)

t.test('what was trimmed is looked for among the archive files', async t => {
  const dir = join(t.testdir(), 'data')
  const s = await stage({ dir })
  await s.grow(600)
  for (const seq of [201, 401]) {
    s.archivist.seal({ seq }, 'cli')
    await s.archivist.idle()
  }
  s.archivist.trim({ seq: 401 }, 'cli')
  await s.archivist.idle()
  await s.close()
  await openSecret(dir)
  const whole = await examined(t, dir, '--deep')
  t.same(whole.ill, [])
  t.match(
    whole.findings.map(({ says }) => says).join('\n'),
    /Facts up to 400 were trimmed; they are in archive files\.\n2 archive files, facts 1 to 400, verify\./,
  )
  const files = join(dir, 'archive')
  const [, second = ''] = (await readdir(files)).sort()
  const bytes = await readFile(join(files, second))
  bytes[bytes.length >> 1]! ^= 1
  await writeFile(join(files, second), bytes)
  t.match((await examined(t, dir, '--deep')).ill, [
    { verdict: 'bad', room: 'archives', says: new RegExp(second) },
  ])
  await rename(files, join(dir, 'elsewhere'))
  t.match((await examined(t, dir)).ill, [
    { verdict: 'warning', room: 'facts', says: /up to 400 were trimmed, and none of them is in/ },
  ])
})

t.test('a newest fact in the future is told', async t => {
  const dir = await folder(t, Date.now() + 3_600_000)
  const { ill } = await examined(t, dir)
  t.match(ill, [{ verdict: 'warning', room: 'facts', says: /^The newest fact is (59|1 h).* in the future/ }])
})

t.test('a table that makes LevelDB abort is a finding, and not the end of the doctor', async t => {
  const dir = await folder(t)
  const path = await fileIn(dir, /ldb$/)
  const bytes = await readFile(path)
  // The first byte of the index that does it; found by trying, and looked for again where the layout is another.
  let aborted: Said | undefined
  for (let at = bytes.length - 232; aborted === undefined && at < bytes.length - 60; at += 1) {
    const changed = Buffer.from(bytes)
    changed[at]! ^= 16
    await writeFile(path, changed)
    const { ill } = await examined(t, dir)
    t.match(ill[0], { verdict: 'bad', room: 'tables', says: /ldb is not what was written/ })
    aborted = ill.find(({ says }) => says.includes('SIGABRT'))
  }
  t.match(aborted, {
    verdict: 'bad',
    room: 'facts',
    says: /^A house would die of this folder: .*SIGABRT \(.*Assertion/,
  })
})

t.test(
  'a house that has the folder open is named; stopped, or without its lock file, that is bad',
  async t => {
    const dir = t.testdir()
    const writer = join(import.meta.dirname, '../journal/writer.ts')
    const child = spawn(process.execPath, [writer, dir, '1', '200'])
    t.teardown(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    child.kill('SIGSTOP')
    const stopped = await examined(t, dir)
    t.match(
      stopped.ill.filter(({ room }) => room === 'lock'),
      [
        {
          verdict: 'bad',
          says: new RegExp(`^Process ${child.pid} .* is stopped`),
          next: new RegExp(`kill -CONT ${child.pid}$`),
        },
      ],
    )
    if (process.platform === 'linux') {
      await rm(join(dir, 'lock'))
      const removed = await examined(t, dir)
      t.match(
        removed.ill.filter(({ room }) => room === 'lock'),
        [{ verdict: 'bad', says: new RegExp(`^Process ${child.pid} has LevelDB's files open`) }],
      )
    }
  },
)
