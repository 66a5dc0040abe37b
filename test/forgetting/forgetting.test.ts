/** A client is forgotten: in every file, at every cut, and so that whoever forgets by other means is found. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Failure } from '../../src/failure.ts'
import { Forgetting } from '../../src/forgetting/forgetting.ts'
import { withoutData } from '../../src/journal/chain.ts'
import type { Entry, Journal } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { openOf } from '../../src/projections/forget.ts'
import { forgettings } from '../../src/projections/forgettings.ts'
import { requests } from '../../src/projections/requests.ts'
import { Coverage } from '../../src/report/coverage.ts'

const NAME = 'margarethe@attic'

function admit(engine: Engine, id: string, client: string): void {
  const data = { path: '/api/chat', model: 'm:latest', client, priority: 5, bodyBytes: 9 }
  engine.commit('request', id, {
    type: 'request.admit',
    data: { ...data, expiresAt: clock.now() + 60_000, attemptsMax: 1 },
  })
}

interface House {
  readonly journal: Journal
  readonly engine: Engine
  readonly forgetting: Forgetting
  readonly warned: string[]
  readonly copied: string[]
  /** Resolves when no forgetting is under way any more. */
  done(): Promise<void>
  close(): Promise<void>
}

/** `cut` makes the disk fail at a step, as a crash would end it there. */
async function open(dir: string, cut: (step: string) => void = () => {}, sealed = 0): Promise<House> {
  const journal = await openLevelJournal({ dir, clock, create: true })
  const answers = { requests: requests(), forgettings: forgettings() }
  const engine = new Engine(journal, clock, Object.values(answers))
  await engine.replay()
  const warned: string[] = []
  const copied: string[] = []
  /** Cut off before the first batch, between two, or before the old bytes are gone. */
  async function* fragile(batches: AsyncIterable<ReadonlyMap<number, string>>) {
    cut('first')
    for await (const batch of batches) {
      const [some, rest] = [new Map([...batch].slice(0, 100)), new Map([...batch].slice(100))]
      yield some
      cut('second')
      yield rest
    }
    cut('last')
  }
  const cutting = Object.create(journal, {
    replace: {
      value: (batches: AsyncIterable<ReadonlyMap<number, string>>, until: number) =>
        journal.replace(fragile(batches), until),
    },
  }) as Journal
  const forgetting = new Forgetting({
    ...answers,
    engine,
    journal: cutting,
    clock,
    dir,
    warn: message => void warned.push(message),
    open: names => openOf(answers, names),
    sealed: () => sealed,
    copies: [
      async (names, left) => {
        cut('copy')
        let facts = 0
        for await (const records of left(journal)) facts += records.size
        copied.push(`${[...names].join()}: ${facts}`)
      },
    ],
  })
  const close = async (): Promise<void> => {
    await forgetting.close()
    engine.close()
    await journal.close()
  }
  const done = (): Promise<void> =>
    new Promise(resolve => {
      const look = (): void => void (answers.forgettings.state.size === 0 && resolve())
      journal.watch(look)
      look()
    })
  return { journal, engine, forgetting, warned, copied, done, close }
}

/** 1,200 requests, every third of them hers; so much that some lie in LevelDB's tables and some in its log. */
async function lived(dir: string): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    const house = await open(dir)
    for (let i = 0; i < 400; i += 1) {
      const id = `r${round}-${i}`
      admit(house.engine, id, i % 3 === 0 ? NAME : `other-${i}`)
      house.engine.commit('request', id, { type: 'request.cancel', data: {}, by: i === 3 ? NAME : 'cli' })
    }
    await house.engine.settled()
    await house.close()
  }
}

async function factsOf(dir: string): Promise<readonly Entry[]> {
  const house = await open(dir)
  const all: Entry[] = []
  for await (const page of house.journal.read()) all.push(...page)
  await house.close()
  return all
}

/** Files under a folder that hold these bytes, anywhere. */
function holding(dir: string, name: string): readonly string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter(
    path => statSync(join(dir, path)).isFile() && readFileSync(join(dir, path)).includes(name),
  )
}

function uncovered(facts: readonly Entry[]): readonly string[] {
  const coverage = new Coverage()
  coverage.see(facts)
  return coverage.complaints
}

async function replace({ journal }: House, index: number, record: string): Promise<void> {
  async function* batches() {
    yield new Map([[index + 1, record]])
  }
  await journal.replace(batches(), journal.durable)
}

/** Her name as the data has it; headers have it as `"by":"…"`. */
const IN_DATA = `"client":"${NAME}"`

t.test('after a forgetting no file has the name, every fact is there, and the chain holds', async t => {
  const dir = t.testdir()
  await lived(dir)
  const before = await factsOf(dir)
  t.ok(holding(dir, NAME).length > 0)
  const house = await open(dir)
  const { facts, kept, id } = await house.forgetting.forget([NAME], 'op')
  t.same([facts, kept], [402, 3])
  t.same(house.copied, [`${NAME}: 402`])
  t.same(holding(dir, IN_DATA), [], 'while the house runs')
  await house.close()
  const after = await factsOf(dir)
  t.same(holding(dir, IN_DATA), [])
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
    t.same(holding(dir, IN_DATA), [], step)
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
  t.same(holding(dir, IN_DATA), [])
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
  t.ok(holding(dir, IN_DATA).length > 0)
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

t.test('what lies in an archive file is not forgotten by half', async t => {
  const dir = t.testdir()
  await lived(dir)
  const house = await open(dir, () => {}, 10)
  const { seq } = house.journal.head
  await t.rejects(house.forgetting.forget([NAME], 'op'), { code: 'forgetting.archived' })
  t.equal(house.journal.head.seq, seq)
  t.notOk(readdirSync(dir).includes('forgetting'))
  await house.close()
})
