/** `quipu audit`: finds whatever was altered, and alters nothing. */
import { readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import t, { type Test } from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import type { Entry, Journal, Staged } from '../../src/journal/journal.ts'
import { keyOf } from '../../src/journal/keys.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { dataFolder } from '../house/world.ts'
import { run, start } from './terminal.ts'

const AT = Date.UTC(2026, 0, 31, 9, 5, 7, 250)

function fact(type: string, after: number, data: object): Staged {
  return { type, at: AT + after, data } as unknown as Staged
}

/** What a few nodes and `requests` requests leave behind: 3 facts, then 4 a request. */
async function live(journal: Journal, requests: number): Promise<void> {
  const node = { url: 'http://shed:11434', slots: 1, residentMax: 3, labels: {}, origin: 'flag' }
  const model = {
    digest: 'd',
    sizeBytes: 1,
    family: '',
    parameterSize: '',
    quantization: '',
    capabilities: [],
  }
  journal.stage('node', 'shed', [fact('node.registered', 0, node)])
  journal.stage('node', 'shed', [fact('node.joined', 5, { version: '0.33.0' })])
  journal.stage('model', 'tiny:latest', [fact('model.found', 6, model)])
  for (let i = 0; i < requests; i += 1) {
    const id = `r${i}`
    const admitted = { path: '/api/chat', model: 'tiny:latest', client: `10.0.0.${i % 250}`, priority: 5 }
    const limits = { bodyBytes: i, expiresAt: AT + 600_000, attemptsMax: 3 }
    const answer = {
      node: 'shed',
      model: 'tiny:latest',
      status: 200,
      runMs: 1,
      bytes: 1,
      chunks: 1,
      totalMs: 1,
    }
    journal.stage('request', id, [fact('request.admitted', i, { ...admitted, ...limits })])
    journal.stage('request', id, [fact('request.assigned', i, { node: 'shed', attempt: 1, candidates: [] })])
    journal.stage('request', id, [fact('request.begun', i, { node: 'shed', status: 200, ttftMs: 1 })])
    journal.stage('request', id, [fact('request.completed', i, answer)])
    if (i % 100 === 0) await journal.flushed()
  }
  await journal.flushed()
}

interface Written {
  readonly dir: string
  readonly facts: readonly Entry[]
}

/** A folder with a closed journal in it. `tables`: not in LevelDB's log any more, as after a restart. */
async function written(t: Test, requests: number, { tables = false } = {}): Promise<Written> {
  const dir = t.testdir()
  const journal = await openLevelJournal({ dir, clock, create: true })
  if (requests >= 0) await live(journal, requests)
  const facts: Entry[] = []
  for await (const page of journal.read()) facts.push(...page)
  await journal.close()
  if (tables) await (await openLevelJournal({ dir, clock })).close()
  return { dir, facts }
}

async function folder(t: Test, requests: number): Promise<string> {
  return (await written(t, requests)).dir
}

/** Every file: its bytes and when it was last written. */
function contents(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  const paths = files.map(({ parentPath, name }) => join(parentPath, name)).sort()
  return Object.fromEntries(
    paths.map(p => [p, `${statSync(p).mtimeMs} ${readFileSync(p).toString('base64')}`]),
  )
}

async function tamper(
  dir: string,
  seq: number,
  change: (record: string) => string | undefined,
): Promise<void> {
  const level = new Level<Buffer, string>(join(dir, 'journal'), {
    keyEncoding: 'buffer',
    createIfMissing: false,
  })
  const changed = change((await level.get(keyOf(seq)))!)
  if (changed === undefined) await level.del(keyOf(seq))
  else await level.put(keyOf(seq), changed)
  await level.close()
}

t.test('a whole journal passes, fact by fact, and nothing in its folder changes', async t => {
  const dir = await folder(t, 300)
  const before = contents(dir)
  const { code, out, err } = await run(t, ['audit', '--data', dir])
  t.same({ code, err }, { code: 0, err: '' })
  const steady = out
    .replace(dir, 'DIR')
    .replace(/\(\w{26}\)/, '(ID)')
    .replace(/\d+:[\w-]{43}/, 'SEQ:HASH')
  t.matchSnapshot(steady.replace(/in .* a second/, 'in TIME, SPEED'))
  t.same(contents(dir), before)
})

t.test('an audit says the same to programs, and its head can be held against a later one', async t => {
  const dir = await folder(t, 10)
  const { code, out } = await run(t, ['audit', '--data', dir, '--json'])
  t.equal(code, 0)
  const { head, ...said } = JSON.parse(out)
  t.match(said, {
    ok: true,
    dir,
    id: /^\w{26}$/,
    facts: 43,
    first: { seq: 1, at: AT, type: 'node.registered' },
    last: { seq: 43, at: AT + 9, type: 'request.completed' },
    types: { 'node.registered': 1, 'request.completed': 10 },
    now: { nodes: 1, models: 1, openRequests: 0 },
  })
  t.match(head, /^43:[\w-]{43}$/)

  const journal = await openLevelJournal({ dir, clock })
  journal.stage('node', 'shed', [fact('node.drained', 99, {})])
  await journal.close()
  t.match(await run(t, ['audit', '--data', dir, '--expect', head]), { code: 0 })
  const other = head.replace(/.$/, (last: string) => (last === 'A' ? 'E' : 'A'))
  t.match(await run(t, ['audit', '--data', dir, '--expect', other]), {
    code: 1,
    err: /Fact 43 has the hash .*rewritten/s,
  })
  const later = head.replace('43:', '45:')
  t.match(await run(t, ['audit', '--data', dir, '--expect', later]), {
    code: 1,
    err: /ends at fact 44, and fact 45/,
  })
})

t.test('an empty journal is whole', async t => {
  const dir = await folder(t, -1)
  t.match(await run(t, ['audit', '--data', dir]), { code: 0, out: /^The journal is empty, and whole\./ })
})

t.test('where there is no journal, none is made', async t => {
  const dir = t.testdir({ empty: {} })
  for (const name of ['empty', 'missing']) {
    const { code, err } = await run(t, ['audit', '--data', join(dir, name)])
    t.equal(code, 1)
    t.match(err, `quipu: There is no journal in ${join(dir, name)}.`)
  }
  t.same(readdirSync(dir, { recursive: true }), ['empty'])
})

t.test('an altered fact is named, wherever it stands', async t => {
  const dir = await folder(t, 600)
  for (const [seq, was, is] of [
    [2, '0.33.0', '0.33.1'],
    [1205, '"node":"shed"', '"node":"shad"'],
    [2400, '"kind":"request"', '"kind":"requess"'],
  ] as const) {
    await tamper(dir, seq, record => record.replace(was, is))
    const { code, out, err } = await run(t, ['audit', '--data', dir, '--json'])
    t.equal(code, 1)
    t.match(err, new RegExp(`^quipu: Fact ${seq} is not what was written`))
    t.match(JSON.parse(out), { ok: false, code: 'journal.broken', seq, dir })
    await tamper(dir, seq, record => record.replace(is, was))
  }
  t.match(await run(t, ['audit', '--data', dir]), { code: 0 })
})

t.test('a missing fact is named', async t => {
  const dir = await folder(t, 10)
  await tamper(dir, 17, () => undefined)
  const { code, out, err } = await run(t, ['audit', '--data', dir, '--json'])
  t.equal(code, 1)
  t.match(err, /^quipu: Fact 17 is missing: the next one there is 18\./)
  t.match(JSON.parse(out), { ok: false, code: 'journal.gap', seq: 17 })
})

t.test('a fact whose chart cannot take it is named, though the chain holds', async t => {
  const dir = await folder(t, 2)
  const journal = await openLevelJournal({ dir, clock })
  journal.stage('request', 'r1', [fact('request.begun', 9, { node: 'shed', status: 200, ttftMs: 1 })])
  await journal.close()
  const { code, out, err } = await run(t, ['audit', '--data', dir, '--json'])
  t.equal(code, 1)
  t.match(err, /[Ff]act 12: request r1/)
  t.match(JSON.parse(out), { ok: false, code: 'journal.unacceptable', seq: 12 })
})

/** Where in LevelDB's files a fact lies: of its hash, compression leaves at least some letters in a row as they are. */
function placeOf(dir: string, { hash }: Entry): { readonly path: string; readonly at: number } {
  for (const name of readdirSync(join(dir, 'journal')).filter(file => /\.(ldb|log)$/.test(file))) {
    const path = join(dir, 'journal', name)
    const bytes = readFileSync(path)
    for (let from = 0; from + 10 <= hash.length; from += 1) {
      const at = bytes.indexOf(hash.slice(from, from + 10))
      if (at !== -1) return { path, at }
    }
  }
  throw new Error(`${hash} is nowhere in ${dir}`)
}

for (const tables of [false, true]) {
  t.test(`a byte flipped in LevelDB's ${tables ? 'tables' : 'log'} is found`, async t => {
    const { dir, facts } = await written(t, 600, { tables })
    for (const [i, seq] of [1, 700, 1100, 2403].entries()) {
      const { path, at } = placeOf(dir, facts[seq - 1]!)
      const whole = readFileSync(path)
      const bytes = Buffer.from(whole)
      bytes[at + i]! ^= 1 << i
      writeFileSync(path, bytes)
      const { code, err } = await run(t, ['audit', '--data', dir])
      writeFileSync(path, whole)
      t.equal(code, 1)
      const [, named] = /^quipu: Fact (\d+) is (missing|not what was written)/.exec(err) ?? []
      if (tables) t.equal(Number(named), seq)
      // LevelDB drops what was written together.
      else t.ok(Number(named) <= seq && Number(named) > seq - 512, `${named} for ${seq}`)
    }
    t.match(await run(t, ['audit', '--data', dir]), { code: 0 })
  })
}

t.test('a journal that lost its end is whole up to there, and that is not enough', async t => {
  const { dir, facts } = await written(t, 600, { tables: true })
  await tamper(dir, facts.length, () => undefined)
  t.match(await run(t, ['audit', '--data', dir, '--json']), {
    code: 1,
    out: /"code": "journal\.gap"/,
    err: /^quipu: Fact 2403 is missing: the journal ends before it, and it had come to fact 2403\./,
  })
  await tamper(dir, 7, record => record.replace('"r0"', '"rO"'))
  t.match(await run(t, ['audit', '--data', dir]), { code: 1, err: /^quipu: Fact 7 is not what was written/ })
})

t.test('LevelDB without its table of contents is not taken for an empty journal', async t => {
  const dir = await folder(t, 1)
  unlinkSync(join(dir, 'journal', 'CURRENT'))
  const before = contents(dir)
  t.match(await run(t, ['audit', '--data', dir]), {
    code: 1,
    err: `quipu: ${join(dir, 'journal', 'CURRENT')} is gone. Nothing was touched.`,
  })
  t.same(contents(dir), before)
})

t.test('a house that runs on the folder, and writes, is audited as far as it had come', async t => {
  const dir = t.testdir()
  const journal = await openLevelJournal({ dir, clock, create: true })
  t.teardown(() => journal.close())
  await live(journal, 500)
  let writing = true
  const busy = (async () => {
    for (let i = 0; writing; i += 1) {
      const verb = i % 2 === 0 ? 'node.drained' : 'node.resumed'
      journal.stage('node', 'shed', [fact(verb, i, {})])
      await journal.flushed()
    }
  })()
  const from = journal.durable
  const { code, out, err } = await run(t, ['audit', '--data', dir, '--json'])
  const until = journal.durable
  writing = false
  await busy
  t.same({ code, err }, { code: 0, err: '' })
  const { facts } = JSON.parse(out)
  t.ok(from <= facts && facts <= until, `${from} ≤ ${facts} ≤ ${until}`)
  t.ok(journal.writable)
})

t.test('no copy is left behind, whatever became of it', async t => {
  const dir = await folder(t, 5)
  const scratch = t.testdirName
  const env = { TMPDIR: scratch }
  const left = (): string[] => readdirSync(scratch).filter(name => name.startsWith('quipu-audit-'))
  t.match(await run(t, ['audit', '--data', dir], env), { code: 0 })
  t.same(left(), [])
  const { child, ended } = start(t, ['audit', '--data', dir], env)
  child.stdout!.destroy()
  await ended
  t.same(left(), [])
  await tamper(dir, 5, () => '')
  t.match(await run(t, ['audit', '--data', dir], env), { code: 1 })
  t.same(left(), [])
})

t.test('one that is stopped has proved nothing', async t => {
  const dir = await folder(t, 4000)
  const scratch = t.testdirName
  const audit = start(t, ['audit', '--data', dir], { TMPDIR: scratch })
  const copied = new Promise<void>(resolve => {
    const look = setInterval(() => {
      if (!readdirSync(scratch).some(name => name.startsWith('quipu-audit-'))) return
      clearInterval(look)
      resolve()
    }, 1)
  })
  await Promise.race([copied, audit.ended])
  audit.child.kill('SIGINT')
  t.match(await audit.ended, { code: 1, out: '', err: /nothing is proved/ })
  t.same(
    readdirSync(scratch).filter(name => name.startsWith('quipu-audit-')),
    [],
  )
})

t.test('a report says what the journal comes to, twice the same, and changes nothing', async t => {
  const { dir } = await written(t, 30)
  const to = dataFolder(t)
  for (const name of ['a.html', 'b.html', 'a.json']) {
    const { code } = await run(t, ['audit', '--data', dir, '--report', join(to, name)])
    t.equal(code, 0)
  }
  const [a, b, json] = ['a.html', 'b.html', 'a.json'].map(name => readFileSync(join(to, name), 'utf8'))
  t.equal(a, b)
  t.match(JSON.parse(json!), {
    journal: { whole: true, facts: 123 },
    requests: { requests: 30, endings: { completed: 30 } },
    nodes: { rows: [{ name: 'shed', requests: 30 }] },
  })
  t.match(await run(t, ['audit', '--data', dir, '--report', join(to, 'a.pdf')]), {
    code: 2,
    err: /\.html nor with \.json/,
  })
  const nowhere = join(to, 'no', 'a.html')
  t.match(await run(t, ['audit', '--data', dir, '--report', nowhere]), {
    code: 1,
    err: /report cannot be written/,
  })
})

t.test('of a damaged journal the report tells what is whole, and what is not', async t => {
  const { dir } = await written(t, 30)
  const level = new Level<Buffer, string>(join(dir, 'journal'), {
    keyEncoding: 'buffer',
    valueEncoding: 'utf8',
  })
  const record = (await level.get(keyOf(60))) as string
  await level.put(keyOf(60), record.replace('"at":1', '"at":2'))
  await level.close()
  const file = join(dataFolder(t), 'a.json')
  t.match(await run(t, ['audit', '--data', dir, '--report', file]), { code: 1, err: /Fact 60/ })
  const { journal } = JSON.parse(readFileSync(file, 'utf8'))
  t.match(journal, { whole: false, damage: { code: 'journal.broken', seq: 60 } })
  t.ok(journal.facts < 60)
})
