/** `quipu erase`: under the lock of a folder where no house runs, and through the house where one does. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import type { Entry, Staged } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { openNaming } from '../../src/naming.ts'
import type { Proof } from '../../src/spool/proof.ts'
import { openSpool } from '../../src/spool/store.ts'
import { fakeHouse, json } from './house.ts'
import * as recorded from './recorded.ts'
import { run } from './terminal.ts'

const AT = Date.UTC(2026, 0, 31, 9, 5, 7, 250)

function fact(type: string, data: object): Staged {
  return { type, at: AT, data } as unknown as Staged
}

/** Four jobs: two of Ada's, of which one is open; one of Bob's; and one of an address, which has no spool any more. */
async function folder(t: Test): Promise<string> {
  const dir = t.testdir()
  const journal = await openLevelJournal({ dir, clock, create: true })
  const spool = await openSpool({ dir, clock })
  const clients = { ada1: 'ada', ada2: 'ada', bob1: 'bob', old1: '::ffff:10.0.0.7' }
  for (const [id, client] of Object.entries(clients)) {
    const what = { path: '/api/chat', model: 'tiny:latest', client, priority: 5, bodyBytes: 20, job: true }
    journal.stage('request', id, [fact('request.admitted', { ...what, expiresAt: AT, attemptsMax: 3 })])
    if (id !== 'ada2') journal.stage('request', id, [fact('request.expired', { waitedMs: 1 })])
    if (id !== 'old1') await spool.put(id, 'body', { type: 'json' }, Buffer.from(`question of ${id}`))
  }
  await spool.put('ada1', 'answer-1', { status: 200 }, Buffer.from('answer to ada1'))
  await spool.close()
  await journal.close()
  return dir
}

async function facts(dir: string): Promise<readonly Entry[]> {
  const journal = await openLevelJournal({ dir, clock })
  const entries: Entry[] = []
  for await (const page of journal.read()) entries.push(...page)
  await journal.close()
  return entries
}

t.test('erases and proves what is kept of a client, and writes it down', async t => {
  const dir = await folder(t)
  const before = (await facts(dir)).length
  const { code, out, err } = await run(t, ['erase', '--client', 'ada', '--data', dir])
  t.same([code, err], [0, ''])
  t.matchSnapshot(out)
  const spool = await openSpool({ dir, clock })
  t.same(
    spool.items().map(({ id }) => id),
    ['bob1'],
  )
  await spool.close()
  const [cancelled, ...erased] = (await facts(dir)).slice(before)
  t.match(cancelled, { type: 'request.cancelled', id: 'ada2', by: 'cli' })
  t.match(erased, [
    { type: 'spool.erased', id: 'ada1', by: 'cli', data: { why: 'asked', bytes: 8_192 } },
    { type: 'spool.erased', id: 'ada2', by: 'cli', data: { why: 'asked', bytes: 4_096 } },
  ])
  t.match(await run(t, ['erase', '--client', 'ada', '--data', dir]), {
    code: 0,
    out: 'Nothing is kept of that.\n',
  })
  t.equal((await facts(dir)).length, before + 3, 'and nothing more is written down')
})

t.test('one request alone; and the proof for programs', async t => {
  const dir = await folder(t)
  const { code, out } = await run(t, ['erase', '--request', 'ada1', '--data', dir, '--json'])
  t.equal(code, 0)
  t.same(JSON.parse(out), [
    {
      id: 'ada1',
      parts: ['answer-1', 'body'],
      bytes: 8_192,
      slot: 'zero',
      files: [],
      readable: [],
      keyFoundIn: [],
      proved: true,
    },
  ])
  t.same((await readdir(join(dir, 'spool'))).sort(), ['ada2.body.part', 'bob1.body.part', 'keys'])
})

t.test('where nothing is kept, that is all it says', async t => {
  const dir = await folder(t)
  for (const whose of [
    ['--client', '10.0.0.7'],
    ['--client', 'nobody'],
    ['--request', 'nobody'],
  ]) {
    t.match(await run(t, ['erase', ...whose, '--data', dir]), { code: 0, out: 'Nothing is kept of that.\n' })
  }
})

t.test('a client that came over IPv6 as an IPv4 one is the same client', async t => {
  const dir = await folder(t)
  const spool = await openSpool({ dir, clock })
  await spool.put('old1', 'body', null, Buffer.from('x'))
  await spool.close()
  t.match(await run(t, ['erase', '--client', '10.0.0.7', '--data', dir]), {
    code: 0,
    out: /1 request erased/,
  })
})

t.test('a client is found by its name where it is written down as a pseudonym', async t => {
  const dir = await folder(t)
  const naming = await openNaming(dir, true)
  const journal = await openLevelJournal({ dir, clock })
  const what = { path: '/api/chat', model: 'tiny:latest', priority: 5, bodyBytes: 20, job: true }
  const data = { ...what, client: naming('ada'), expiresAt: AT, attemptsMax: 3 }
  journal.stage('request', 'ada3', [fact('request.admitted', data)])
  await journal.close()
  const spool = await openSpool({ dir, clock })
  await spool.put('ada3', 'body', null, Buffer.from('x'))
  await spool.close()
  t.match(await run(t, ['erase', '--client', 'ada', '--data', dir]), { code: 0, out: /3 requests erased/ })
})

t.test('what is left makes it fail, and is named', async t => {
  const dir = await folder(t)
  await writeFile(join(dir, 'keys.bak'), await readFile(join(dir, 'spool', 'keys')))
  const { code, out, err } = await run(t, ['erase', '--client', 'bob', '--data', dir])
  t.equal(code, 1)
  t.match(out, /bob1 .*keys\.bak/)
  t.match(err, /something is left of 1 request: remove what the table names/)
})

t.test('a house that runs on the folder is asked to', async t => {
  const dir = await folder(t)
  const journal = await openLevelJournal({ dir, clock })
  t.teardown(() => journal.close())
  const proof: Proof = {
    id: 'ada1',
    parts: ['body', 'answer-1'],
    bytes: 8_192,
    slot: 'another',
    files: ['ada1.body.part'],
    readable: [],
    keyFoundIn: [],
    proved: false,
  }
  const house = await fakeHouse(t, {
    'GET /quipu': { ...recorded.index, journal: { ...recorded.index.journal, id: journal.id } },
    'POST /quipu/erase': [proof],
  })
  const { code, out } = await run(t, ['erase', '--client', 'ada', '--data', dir], house.env)
  t.equal(code, 1)
  t.matchSnapshot(out)
  t.match(house.asked.at(-1), { url: '/quipu/erase', body: '{"client":"ada"}' })

  const other = await fakeHouse(t, { 'GET /quipu': recorded.index, 'POST /quipu/erase': [] })
  t.match(await run(t, ['erase', '--client', 'ada', '--data', dir], other.env), {
    code: 1,
    err: /in use by process .* has another folder: say with --host and --port where the right one is/,
  })
  t.equal(other.asked.length, 1, 'and nothing is erased there')
  const busy = await fakeHouse(t, {
    'GET /quipu': { ...recorded.index, journal: { ...recorded.index.journal, id: journal.id } },
    'POST /quipu/erase': (_: unknown, res: never) =>
      json(res, 503, { error: 'the disk is full', code: 'spool.disk' }),
  })
  t.match(await run(t, ['erase', '--request', 'ada1', '--data', dir], busy.env), {
    code: 1,
    err: /the disk is full/,
  })
})

t.test('it wants to know whose, and where', async t => {
  t.match(await run(t, ['erase']), { code: 2, err: /--request ID or --client NAME, and not both/ })
  t.match(await run(t, ['erase', '--request', 'a', '--client', 'b']), { code: 2 })
  const nowhere = join(t.testdir(), 'nowhere')
  t.match(await run(t, ['erase', '--request', 'a', '--data', nowhere]), { code: 1, err: /no journal in/ })
})
