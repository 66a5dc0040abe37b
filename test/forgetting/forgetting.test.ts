/** A client is forgotten: in every file, at every cut, and so that whoever forgets by other means is found. */
import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Failure } from '../../src/failure.ts'
import { Archives } from '../../src/journal/archives.ts'
import { withoutData } from '../../src/journal/chain.ts'
import { archivesIn } from '../../src/journal/level.ts'
import {
  admit,
  archiveSome,
  checkFiles,
  FILES,
  factsOf,
  holding,
  lived,
  NAME,
  open,
  replace,
  TRACE,
  uncovered,
} from './stage.ts'

t.test('after a forgetting no file has the name, every fact is there, and the chain holds', async t => {
  const dir = t.testdir()
  await lived(dir)
  const before = await factsOf(dir)
  t.ok(holding(dir, NAME).length > 0)
  const house = await open(dir)
  const { facts, kept, id } = await house.forgetting.forget([NAME], 'op')
  t.same([facts, kept], [402, 0])
  t.same(house.copied, [`${NAME}: 402`])
  t.same(holding(dir, TRACE), [], 'while the house runs')
  await house.close()
  const after = await factsOf(dir)
  t.same(holding(dir, TRACE), [])
  t.notOk(readdirSync(dir).includes('forgetting'))
  t.same(
    after.slice(0, before.length).map(({ hash }) => hash),
    before.map(({ hash }) => hash),
  )
  const hers = after.filter(({ forgotten }) => forgotten?.by === id)
  t.equal(hers.length, 402)
  t.match(hers[0]!.data, { client: 'forgotten', model: 'm:latest', path: '/api/chat' })
  t.same(
    after.slice(before.length).map(({ type, by }) => [type, by]),
    [
      ['forgetting.ordered', 'op'],
      ['forgetting.done', undefined],
    ],
  )
  t.notMatch(JSON.stringify(after.slice(before.length)), NAME)
  t.same(uncovered(after), [])
})

t.test('what she asked of the house herself keeps her name, and is counted', async t => {
  const dir = t.testdir()
  await lived(dir, NAME)
  const house = await open(dir)
  t.match(await house.forgetting.forget([NAME], 'op'), { facts: 402, kept: 3 })
  await house.close()
  t.equal((await factsOf(dir)).filter(({ by }) => by === NAME).length, 3)
})

t.test('whatever step it is cut off at, the next start brings it to its end', async t => {
  for (const step of ['first', 'second', 'last', 'copy']) {
    const dir = join(t.testdir({ [step]: {} }), step)
    await lived(dir)
    const cut = await open(dir, at => {
      if (at === step) throw new Failure('journal.unwritable', 'cut')
    })
    await t.rejects(cut.forgetting.forget([NAME], 'op'), { code: 'journal.unwritable' })
    await cut.close()
    t.ok(readdirSync(dir).includes('forgetting'), 'whose name it is, is known')
    t.equal(statSync(join(dir, 'forgetting')).mode & 0o777, 0o600)
    const next = await open(dir)
    next.engine.start(next.forgetting.reactor)
    await next.done()
    await next.close()
    t.same(next.warned, [])
    const facts = await factsOf(dir)
    t.equal(facts.at(-1)!.type, 'forgetting.done', step)
    t.same(holding(dir, TRACE), [], step)
    t.same(uncovered(facts), [], step)
  }
})

t.test('what was cut off is brought to its end before the next is begun', async t => {
  const dir = t.testdir()
  await lived(dir)
  const cut = await open(dir, at => {
    if (at === 'second') throw new Failure('journal.unwritable', 'cut')
  })
  await t.rejects(cut.forgetting.forget([NAME], 'op'), { code: 'journal.unwritable' })
  await cut.close()
  const next = await open(dir)
  t.equal((await next.forgetting.forget(['other-1'], 'op')).facts, 3)
  await next.close()
  const facts = await factsOf(dir)
  t.equal(facts.filter(({ type }) => type === 'forgetting.done').length, 2)
  t.same(holding(dir, TRACE), [])
  t.same(uncovered(facts), [])
})

t.test('what was not ordered before a crash is not done after it', async t => {
  const dir = t.testdir()
  await lived(dir)
  writeFileSync(join(dir, 'forgetting'), JSON.stringify({ id: 'X', names: [NAME] }))
  const house = await open(dir)
  house.engine.start(house.forgetting.reactor)
  await house.forgetting.close()
  await house.close()
  t.notOk(readdirSync(dir).includes('forgetting'))
  t.ok(holding(dir, TRACE).length > 0)
})

t.test('what was cut off while the name was written over is at its end, and holds nobody up', async t => {
  const dir = t.testdir()
  await lived(dir)
  writeFileSync(join(dir, 'forgetting'), Buffer.alloc(60))
  const house = await open(dir)
  t.match(await house.forgetting.forget([NAME], 'op'), { facts: Number })
  await house.close()
  t.same(house.warned, [])
  t.notOk(readdirSync(dir).includes('forgetting'))
  t.same(holding(dir, TRACE), [])
})

t.test('who has open requests is not forgotten yet, and a name nobody had leaves no fact', async t => {
  const dir = t.testdir()
  const house = await open(dir)
  admit(house.engine, 'r1', `::ffff:${'10.0.0.7'}`)
  await t.rejects(house.forgetting.forget(['10.0.0.7'], 'op'), { code: 'forgetting.open' })
  house.engine.commit('request', 'r1', { type: 'request.cancel', data: {} })
  t.same(await house.forgetting.forget(['10.0.0.8'], 'op'), { id: '', facts: 0, kept: 0 })
  t.equal(house.journal.head.seq, 2)
  t.equal((await house.forgetting.forget(['10.0.0.7'], 'op')).facts, 1)
  await t.rejects(house.forgetting.forget(['forgotten'], 'op'), { code: 'request.invalid' })
  await house.close()
})

t.test('facts come in while it goes on, and what she asks for after is new', async t => {
  const dir = t.testdir()
  await lived(dir)
  const house = await open(dir)
  const done = house.forgetting.forget([NAME], 'op')
  for (let i = 0; i < 50; i += 1) {
    admit(house.engine, `n${i}`, 'somebody')
    await house.engine.settled()
  }
  admit(house.engine, 'new', NAME)
  t.equal((await done).facts, 402)
  await house.close()
  const facts = await factsOf(dir)
  t.equal(facts.filter(({ data }) => (data as { client?: string } | null)?.client === NAME).length, 1)
  t.same(uncovered(facts), [])
})

t.test('a residue that was altered, or that no forgetting covers, is found', async t => {
  const dir = t.testdir()
  await lived(dir)
  const house = await open(dir)
  const { id } = await house.forgetting.forget([NAME], 'op')
  const records: string[] = []
  for await (const page of house.journal.records()) records.push(...page)
  const other = records.findIndex(record => record.includes('"client":"other-1"'))
  await replace(house, other, withoutData(records[other]!, 'nobody', { client: 'x' }))
  const hers = records.findIndex(record => record.includes(` ${id} {`))
  await replace(house, hers, records[hers]!.replace('"m:latest"', '"n:latest"'))
  await house.close()
  const complaints = uncovered(await factsOf(dir))
  t.equal(complaints.length, 2)
  t.match(complaints.join(), /altered/)
  t.match(complaints.join(), /nobody/)
})

t.test('archive files forget, whether their facts are in the journal, too, or nowhere else', async t => {
  for (const trimmed of [false, true]) {
    const dir = join(t.testdir({ [`${trimmed}`]: {} }), `${trimmed}`)
    await lived(dir)
    const before = await factsOf(dir)
    await archiveSome(t, dir, trimmed)
    t.same(holding(join(dir, 'archive'), TRACE), FILES)
    const house = await open(dir)
    const { facts, id } = await house.forgetting.forget([NAME], 'op')
    t.equal(facts, 402)
    t.same(house.copied, [`${NAME}: 402`])
    t.same(holding(dir, TRACE), [], 'while the house runs')
    await house.close()
    t.same(holding(dir, TRACE), [])
    const after = await factsOf(dir)
    t.same(
      after.slice(0, before.length).map(({ hash }) => hash),
      before.map(({ hash }) => hash),
    )
    t.equal(after.filter(({ forgotten }) => forgotten?.by === id).length, 402)
    t.same(uncovered(after), [])
    const said = after.filter(({ type }) => type === 'archive.rewritten').map(({ data }) => data)
    t.match(said, [
      { first: 1, last: 500, forgetting: id, sha256: /^[0-9a-f]{64}$/ },
      { first: 501, last: 900, forgetting: id },
      { first: 901, last: 1_200, forgetting: id },
    ])
    await checkFiles(t, dir)
    t.same(holding(dir, TRACE), [], 'trimming brings nothing back')
  }
})

t.test('what is sealed, trimmed and forgotten in one life of the house leaves no trace either', async t => {
  const dir = t.testdir()
  const house = await open(dir)
  for (let i = 0; i < 50; i += 1) {
    admit(house.engine, `r${i}`, NAME)
    house.engine.commit('request', `r${i}`, { type: 'request.cancel', data: {} })
  }
  await house.engine.settled()
  house.archivist.seal({ seq: 101 }, 'op')
  await house.archivist.idle()
  house.archivist.trim({ seq: 101 }, 'op')
  await house.archivist.idle()
  t.equal(house.journal.base.seq, 100)
  t.equal((await house.forgetting.forget([NAME], 'op')).facts, 50)
  t.same(holding(dir, TRACE), [])
  await house.close()
  t.same(uncovered(await factsOf(dir)), [])
})

t.test('a file without the name stays as it is', async t => {
  const dir = t.testdir()
  await lived(dir)
  const first = await open(dir)
  admit(first.engine, 'late', 'somebody new')
  first.engine.commit('request', 'late', { type: 'request.cancel', data: {} })
  await first.close()
  await archiveSome(t, dir, true)
  const house = await open(dir)
  house.archivist.seal({ seq: house.journal.durable + 1 }, 'op')
  await house.archivist.idle()
  const last = house.archive.state.files.at(-1)!.file
  t.equal((await house.forgetting.forget(['somebody new'], 'op')).facts, 1)
  await house.close()
  const files = (await factsOf(dir)).flatMap(({ type, data }) =>
    type === 'archive.rewritten' ? [data!.last] : [],
  )
  t.same(files, [Number(last.slice(13, 25))])
})

t.test('archive files, too, are brought to their end after whatever cut', async t => {
  const steps = ['first', 'last', 'file', 'file 1 written', 'file 501 written', 'copy']
  for (const [number, step] of steps.entries()) {
    for (const trimmed of [false, true]) {
      const name = `${number} ${trimmed}`
      const dir = join(t.testdir({ [name]: {} }), name)
      await lived(dir)
      await archiveSome(t, dir, trimmed)
      const cut = await open(dir, at => {
        if (at === step) throw new Failure('archive.unwritable', 'cut')
      })
      await t.rejects(cut.forgetting.forget([NAME], 'op'), { code: 'archive.unwritable' })
      await cut.close()
      const next = await open(dir)
      next.engine.start(next.archivist.reactor, next.forgetting.reactor)
      t.throws(
        () => next.archivist.seal({ seq: 1_300 }, 'op'),
        { code: 'archive.busy' },
        'not before it is done',
      )
      await next.done()
      await next.close()
      t.same(next.warned, [])
      const facts = await factsOf(dir)
      t.equal(facts.filter(({ type }) => type === 'forgetting.done').length, 1)
      t.equal(facts.filter(({ type }) => type === 'archive.rewritten').length, 3, step)
      t.same(holding(dir, TRACE), [], `${step}, ${trimmed ? 'trimmed' : 'sealed'}`)
      t.same(uncovered(facts), [], step)
      await checkFiles(t, dir)
    }
  }
})

t.test('what was sealed after a cut, before anybody went on with it, forgets as well', async t => {
  const dir = t.testdir()
  await lived(dir)
  const cut = await open(dir, at => {
    if (at === 'second') throw new Failure('journal.unwritable', 'cut')
  })
  await t.rejects(cut.forgetting.forget([NAME], 'op'), { code: 'journal.unwritable' })
  await cut.close()
  await archiveSome(t, dir, true)
  const next = await open(dir)
  next.engine.start(next.archivist.reactor, next.forgetting.reactor)
  await next.done()
  await next.close()
  t.same(holding(dir, TRACE), [])
  t.same(uncovered(await factsOf(dir)), [])
  await checkFiles(t, dir)
})

t.test('files that a sealing left behind, whole or in part, forget as well', async t => {
  const dir = t.testdir()
  await lived(dir)
  await archiveSome(t, dir, false)
  const records: string[] = []
  const house = await open(dir)
  for await (const page of house.journal.records({ after: 1_200, until: 2_000 })) records.push(...page)
  const hash = house.archive.state.files.at(-1)!.hash
  async function* pages() {
    yield records
  }
  const archives = new Archives(archivesIn(dir), house.journal.id)
  const stray = await archives.write({
    before: { seq: 1_200, hash },
    records: pages(),
    checkpoint: () => undefined,
  })
  const draft = join(dir, 'archive', '000000002001-000000002100.quipu.gz.new')
  writeFileSync(draft, readFileSync(join(dir, 'archive', stray.file)))
  t.equal(holding(dir, TRACE).filter(path => path.startsWith('archive/')).length, 5)
  await house.forgetting.forget([NAME], 'op')
  t.same(holding(dir, TRACE), [])
  t.same(readdirSync(join(dir, 'archive')).sort(), [...FILES, stray.file])
  t.same(house.warned, [])
  await house.close()
})

t.test('where files with the name were carried away, nothing is begun, and they are named', async t => {
  const dir = t.testdir()
  await lived(dir)
  await archiveSome(t, dir, true)
  for (const file of [FILES[0], FILES[1]]) {
    const house = await open(dir)
    const { seq } = house.journal.head
    renameSync(join(dir, 'archive', file), join(dir, 'away'))
    await t.rejects(house.forgetting.forget([NAME], 'op'), { code: 'forgetting.archived', message: file })
    t.equal(house.journal.head.seq, seq)
    t.notOk(readdirSync(dir).includes('forgetting'))
    renameSync(join(dir, 'away'), join(dir, 'archive', file))
    house.archivist.seal({ seq: 1_300 }, 'op')
    await house.archivist.idle()
    t.equal(house.archivist.work?.state, 'done', 'and files may be sealed again')
    await house.close()
  }
})

t.test('a damaged file is named before anything is begun', async t => {
  const dir = t.testdir()
  await lived(dir)
  await archiveSome(t, dir, false)
  const path = join(dir, 'archive', FILES[1])
  const bytes = readFileSync(path)
  bytes[bytes.length - 2_000]! ^= 0x40
  writeFileSync(path, bytes)
  const house = await open(dir)
  const { seq } = house.journal.head
  await t.rejects(house.forgetting.forget([NAME], 'op'), { code: 'archive.damaged', message: FILES[1] })
  t.equal(house.journal.head.seq, seq)
  await house.close()
})

t.test('sealing and forgetting do not happen at the same time', async t => {
  const dir = t.testdir()
  await lived(dir)
  let refused = 0
  const house = await open(dir, step => {
    if (step !== 'first' && step !== 'copy') return
    t.throws(() => house.archivist.seal({ seq: 1_301 }, 'op'), { code: 'archive.busy' })
    t.throws(() => house.archivist.trim({ seq: 1_301 }, 'op'), { code: 'archive.busy' })
    refused += 1
  })
  house.archivist.seal({ seq: 1_201 }, 'op')
  await t.rejects(house.forgetting.forget([NAME], 'op'), { code: 'archive.busy' })
  await house.archivist.idle()
  await house.forgetting.forget([NAME], 'op')
  t.equal(refused, 2)
  house.archivist.trim({ seq: 1_301 }, 'op')
  await house.archivist.idle()
  t.match(house.archivist.work, { what: 'trim', state: 'done' })
  t.same(holding(dir, TRACE), [])
  await house.close()
})
