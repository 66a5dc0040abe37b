/** The specification: what every journal does, whatever it is kept on. */
import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import { originOf, withoutData } from '../../src/journal/chain.ts'
import { Damage } from '../../src/journal/damage.ts'
import { follow } from '../../src/journal/follow.ts'
import type { Entry, Journal } from '../../src/journal/journal.ts'
import { all, chance, fact, failure, texts, write } from './facts.ts'

/** Somewhere a journal can be opened again and again, and tampered with while it is closed. */
export interface Place {
  open(): Promise<Journal>
  /** Replaces what is stored as `seq`; undefined removes it. */
  tamper(seq: number, record: string | undefined): Promise<void>
}

const sha = (text: string): string => createHash('sha256').update(text).digest('base64url')

async function* batches(...records: readonly [number, string][]) {
  for (const one of records) yield new Map([one])
}

export function journalSuite(t: Test, place: (t: Test) => Promise<Place>): void {
  const fresh = async (t: Test): Promise<{ place: Place; journal: Journal }> => {
    const here = await place(t)
    const journal = await here.open()
    t.teardown(() => journal.close().catch(() => {}))
    return { place: here, journal }
  }

  /** Stages one fact per datum, each as its own decision, and closes. Resolves to the stored texts. */
  const written = async (
    t: Test,
    count: number,
  ): Promise<{ place: Place; records: string[]; id: string }> => {
    const { place, journal } = await fresh(t)
    write(journal, count)
    await journal.flushed()
    const records = await texts(journal)
    await journal.close()
    return { place, records, id: journal.id }
  }

  t.test('an empty journal stands at the origin of its chain', async t => {
    const { journal } = await fresh(t)
    t.same(journal.head, { seq: 0, hash: originOf(journal.id) })
    t.equal(journal.durable, 0)
    t.equal(journal.writable, true)
    t.equal(journal.closed, false)
    t.same(await all(journal), [])
    t.same(journal.recent(0), [])
    await journal.flushed()
  })

  t.test('facts are numbered 1, 2, 3 and read back as they were staged', async t => {
    const { journal } = await fresh(t)
    const staged = [
      ...journal.stage('node', 'shed', [
        fact({ url: 'http://shed' }, 'node.registered', 'cli'),
        fact({}, 'node.drained'),
      ]),
      ...journal.stage('model', 'qwen3:8b', [fact({ copies: 2 }, 'model.wanted')]),
    ]
    t.same(
      staged.map(({ seq }) => seq),
      [1, 2, 3],
    )
    t.match(staged[0], {
      kind: 'node',
      id: 'shed',
      type: 'node.registered',
      v: 1,
      by: 'cli',
      data: { url: 'http://shed' },
    })
    t.notOk('by' in staged[1]!)
    t.same(journal.head, { seq: 3, hash: staged[2]!.hash })
    await journal.flushed()
    t.equal(journal.durable, 3)
    t.strictSame(await all(journal), staged)
  })

  t.test('nothing is staged by an empty decision', async t => {
    const { journal } = await fresh(t)
    t.same(journal.stage('node', 'shed', []), [])
    t.equal(journal.head.seq, 0)
    await journal.flushed()
  })

  t.test(
    'whatever JSON can say comes back the same, and what it cannot say is already gone when staged',
    async t => {
      const { place, journal } = await fresh(t)
      const odd = [
        'Zoë ☕ 🦙 \u2028\u2029 "\\" \n#',
        '\ud800 a lone surrogate \udfff',
        '# not forgotten',
        [],
        {},
        null,
        0,
        1e308,
        Number.MAX_SAFE_INTEGER,
        JSON.parse('{"__proto__":{"a":1},"constructor":2,"":3}'),
        { nested: [[[{ deep: [null, false, ''] }]]] },
      ]
      const staged = odd.flatMap(data => journal.stage('node', 'id with \n and 🦙', [fact({ data })]))
      t.strictSame(
        staged.map(entry => (entry.data as { data: unknown }).data),
        odd,
      )
      staged.push(...journal.stage('node', 'shed', [fact({ gone: undefined, minus: -0, nan: Number.NaN })]))
      t.strictSame(staged.at(-1)!.data, { minus: 0, nan: null })
      await journal.flushed()
      await journal.close()
      const again = await place.open()
      t.strictSame(await all(again), staged)
      await again.close()
    },
  )

  t.test('what the caller does with its data afterwards changes nothing', async t => {
    const { journal } = await fresh(t)
    const data = { labels: ['a'] }
    const [entry] = journal.stage('node', 'shed', [fact(data)])
    data.labels.push('b')
    await journal.flushed()
    t.same(entry!.data, { labels: ['a'] })
    t.same(await all(journal), [entry])
  })

  t.test('a decision that cannot be written as a whole leaves no trace', async t => {
    const { journal } = await fresh(t)
    const before = journal.head
    const circle: unknown[] = []
    circle.push(circle)
    t.throws(() => journal.stage('node', 'shed', [fact({}), fact(circle)]), TypeError)
    t.throws(() => journal.stage('node', 'shed', [fact({}), fact(undefined)]), TypeError)
    t.same(journal.head, before)
    write(journal, 1)
    await journal.flushed()
    t.equal((await all(journal)).length, 1)
  })

  t.test('only what is on the disk can be read', async t => {
    const { journal } = await fresh(t)
    write(journal, 3)
    t.equal(journal.durable, 0)
    t.same(journal.recent(0), [])
    t.same(await Promise.all([all(journal), all(journal, { until: 3 })]), [[], []])
    await journal.flushed()
    t.equal((await all(journal)).length, 3)
    t.equal(journal.recent(0)!.length, 3)
  })

  t.test('flushed() covers everything staged before it, in order', async t => {
    const { journal } = await fresh(t)
    const { seed, below } = chance()
    t.comment(`SEED=${seed}`)
    let last = 0
    await Promise.all(
      Array.from({ length: 64 }, async (_, writer) => {
        for (let turn = 0; turn < 10; turn += 1) {
          const entries = journal.stage(
            'node',
            `n${writer}`,
            Array.from({ length: below(4) }, () => fact({ turn })),
          )
          const seq = journal.head.seq
          await journal.flushed()
          if (journal.durable < seq) t.fail(`fact ${seq} was not there yet`)
          if (seq < last) t.fail(`fact ${last} was told before fact ${seq}`)
          last = Math.max(last, entries.at(-1)?.seq ?? 0)
        }
      }),
    )
    const entries = await all(journal)
    t.equal(entries.length, journal.head.seq)
    for (let writer = 0; writer < 64; writer += 1) {
      const turns = entries
        .filter(({ id }) => id === `n${writer}`)
        .map(({ data }) => (data as { turn: number }).turn)
      t.same(
        turns,
        [...turns].sort((a, b) => a - b),
      )
    }
  })

  t.test('any range can be read, in pages of at most a thousand', async t => {
    const { journal } = await fresh(t)
    const { seed, below } = chance()
    t.comment(`SEED=${seed}`)
    write(journal, 2_500)
    await journal.flushed()
    const pages: number[] = []
    for await (const page of journal.read()) pages.push(page.length)
    t.ok(
      pages.every(length => length > 0 && length <= 1000),
      `${pages}`,
    )
    const entries = await all(journal)
    t.same(
      entries.map(({ seq }) => seq),
      Array.from({ length: 2_500 }, (_, index) => index + 1),
    )
    for (let round = 0; round < 20; round += 1) {
      const [after, until] = [below(2_600), below(2_600)]
      t.strictSame(await all(journal, { after, until }), entries.slice(after, Math.max(after, until)))
    }
    t.rejects(all(journal, { after: -1 }), RangeError)
    t.rejects(all(journal, { after: 0.5 }), RangeError)
  })

  t.test('a reader may stop anywhere', async t => {
    const { journal } = await fresh(t)
    write(journal, 2_500)
    await journal.flushed()
    for await (const page of journal.read()) {
      t.equal(page[0]!.seq, 1)
      break
    }
    const reading = journal.read()[Symbol.asyncIterator]()
    await reading.next()
    await journal.close()
  })

  t.test('a read sees what was durable when it began, whatever comes meanwhile', async t => {
    const { journal } = await fresh(t)
    write(journal, 1_500)
    await journal.flushed()
    let count = 0
    for await (const page of journal.read()) {
      count += page.length
      write(journal, 100)
      await journal.flushed()
    }
    t.equal(count, 1_500)
  })

  t.test('opened again it is the same journal and goes on from there', async t => {
    const { place, journal } = await fresh(t)
    write(journal, 1_200)
    await journal.flushed()
    const before = await all(journal)
    await journal.close()
    const again = await place.open()
    t.equal(again.id, journal.id)
    t.same(again.head, journal.head)
    t.equal(again.durable, 1_200)
    t.equal(again.recent(1_199), undefined)
    t.same(again.recent(1_200), [])
    const [next] = again.stage('node', 'shed', [fact({ number: 1_201 })])
    t.equal(next!.seq, 1_201)
    await again.flushed()
    t.strictSame(await all(again), [...before, next])
    await again.close()
  })

  t.test('the chain is what chain.ts says it is, worked out by other means', async t => {
    const { records, id } = await written(t, 20)
    let hash = sha(`quipu.journal.1\n${id}`)
    for (const [index, record] of records.entries()) {
      const [first, header, data, ...rest] = record.split('\n') as [string, string, string]
      hash = sha(`${hash}\n${header}\n${sha(data)}`)
      t.equal(first, hash)
      t.same(rest, [])
      t.same(JSON.parse(header), {
        seq: index + 1,
        at: 1_767_225_600_000,
        kind: 'node',
        id: 'shed',
        type: 'node.registered',
        v: 1,
      })
    }
  })

  t.test('a fact that was altered is found, and nothing from it on is served', async t => {
    const alterations: Record<string, (record: string, other: string) => string> = {
      'its data': record => record.replace(/"number":(\d)/, '"number":9$1'),
      'its header': record => record.replace('shed', 'barn'),
      'its time': record => record.replace('1767225600000', '1767225600001'),
      'its hash': record => (record.startsWith('A') ? 'B' : 'A') + record.slice(1),
      'one bit': record =>
        record.slice(0, -1) + String.fromCharCode(record.charCodeAt(record.length - 1) ^ 1),
      'its end': record => record.slice(0, -1),
      'a line more': record => `${record}\n`,
      'all of it': () => '',
      'another fact instead': (_record, other) => other,
    }
    for (const [what, alter] of Object.entries(alterations)) {
      const { place, records } = await written(t, 1_700)
      await place.tamper(500, alter(records[499]!, records[498]!))
      const journal = await place.open()
      const seen: Entry[] = []
      const error = await failure(async () => {
        for await (const page of journal.read()) seen.push(...page)
      })
      t.equal(error.code, 'journal.broken', what)
      t.equal((error as Damage).seq, 500)
      t.match(error.message, 'Fact 500 ')
      t.ok(seen.length < 500)
      t.match(await failure(() => all(journal, { after: 450 })), { code: 'journal.broken', seq: 500 })
      t.match(await failure(() => texts(journal)), { code: 'journal.broken', seq: 500 })
      t.equal((await all(journal, { until: 499 })).length, 499)
      await journal.close()
    }
  })

  t.test('a fact that is missing is found', async t => {
    const { place, records } = await written(t, 1_700)
    await place.tamper(500, undefined)
    const journal = await place.open()
    const error = await failure(() => all(journal))
    t.match(error, { code: 'journal.gap', seq: 500, retryable: false })
    t.ok(error instanceof Damage)
    t.match(error.message, 'Fact 500 is missing: the next one there is 501')
    t.match(await failure(() => all(journal, { after: 500 })), { code: 'journal.gap', seq: 500 })
    await journal.close()
    await place.tamper(500, records[499])
    const whole = await place.open()
    t.equal((await all(whole)).length, 1_700)
    await whole.close()
  })

  t.test('damage near the end is found before anything can be written', async t => {
    for (const seq of [1, 4, 5]) {
      const { place, records } = await written(t, 5)
      await place.tamper(seq, records[seq - 1]!.replace('shed', 'barn'))
      t.match(await failure(() => place.open()), { code: 'journal.broken', seq })
    }
    const { place } = await written(t, 5)
    await place.tamper(3, undefined)
    t.match(await failure(() => place.open()), { code: 'journal.gap', seq: 3 })
  })

  t.test('facts of another journal cannot be spliced in', async t => {
    const one = await written(t, 3)
    const other = await written(t, 3)
    if (one.id === other.id) return t.pass('these have the same id by design')
    for (const seq of [1, 2, 3]) await one.place.tamper(seq, other.records[seq - 1])
    t.match(await failure(() => one.place.open()), { code: 'journal.broken', seq: 1 })
  })

  t.test('data that was forgotten reads as null, and the chain holds', async t => {
    const { place, records } = await written(t, 10)
    const [hash, header, data] = records[4]!.split('\n') as [string, string, string]
    await place.tamper(5, `${hash}\n${header}\n#${sha(data)}`)
    const journal = await place.open()
    const entries = await all(journal)
    t.equal(entries.length, 10)
    t.strictSame(entries[4]!.data, null)
    t.equal(entries[4]!.id, 'shed')
    t.same(entries[5]!.data, { number: 6 })
    await journal.close()
    await place.tamper(5, `${hash}\n${header}\n#${sha('something else')}`)
    t.match(await failure(() => place.open()), { code: 'journal.broken', seq: 5 })
  })

  t.test('of what was forgotten the residue is read, live and later, and the chain holds', async t => {
    const { place, journal } = await fresh(t)
    write(journal, 5)
    await journal.flushed()
    const before = await texts(journal)
    const forgotten = withoutData(before[2]!, 'F1', { client: 'forgotten' })
    const head = journal.head
    await journal.replace(batches([3, forgotten]), 5)
    write(journal, 1, 5)
    await journal.flushed()
    t.same((await texts(journal)).slice(0, 5), before.with(2, forgotten))
    t.match(journal.recent(2)![0], { seq: 3, data: { client: 'forgotten' }, forgotten: { by: 'F1' } })
    await journal.close()
    const again = await place.open()
    const entries = await all(again)
    t.match(entries[2], {
      seq: 3,
      data: { client: 'forgotten' },
      forgotten: { by: 'F1', residue: /^[\w-]{43}$/ },
    })
    t.equal(entries[4]!.hash, head.hash)
    t.notOk('forgotten' in entries[3]!)
    await again.close()
  })

  t.test('a fact is replaced by itself only', async t => {
    const { journal } = await fresh(t)
    write(journal, 3)
    await journal.flushed()
    const [first, second] = await texts(journal)
    for (const [seq, record] of [
      [1, second!],
      [1, first!.replace('"seq":1', '"seq":2')],
      [1, `${first!} `],
      [4, first!],
    ] as const)
      await t.rejects(journal.replace(batches([seq, record]), 3), { name: 'TypeError' })
    t.equal((await texts(journal))[0], first)
  })

  t.test('facts that a newer Quipu wrote are refused, not guessed at', async t => {
    const { place, records } = await written(t, 2)
    const header = '{"seq":3,"at":1,"kind":"node","id":"shed","type":"node.registered","v":2}'
    const hash = sha(`${records[1]!.slice(0, 43)}\n${header}\n${sha('{}')}`)
    await place.tamper(3, `${hash}\n${header}\n{}`)
    const journal = await place.open()
    const error = await failure(() => all(journal))
    t.equal(error.code, 'journal.newer')
    t.match(error.message, 'Fact 3 (node.registered) was written as version 2, and this Quipu knows 1')
    await journal.close()
  })

  t.test('watchers hear of every write, until they stop', async t => {
    const { journal } = await fresh(t)
    const heard: number[] = []
    const stop = journal.watch(() => heard.push(journal.durable))
    write(journal, 2)
    t.same(heard, [])
    await journal.flushed()
    write(journal, 1)
    await journal.flushed()
    t.same(heard, [2, 3])
    stop()
    write(journal, 1)
    await journal.flushed()
    t.same(heard, [2, 3])
  })

  t.test('recent() has the newest from memory, the same as from the disk', async t => {
    const { journal } = await fresh(t)
    for (let round = 0; round < 10; round += 1) {
      write(journal, 1_000)
      await journal.flushed()
    }
    t.equal(journal.recent(0), undefined)
    t.strictSame(journal.recent(9_000), await all(journal, { after: 9_000 }))
    t.equal(journal.recent(8_500)!.length, 1_000)
    t.strictSame(journal.recent(9_990), await all(journal, { after: 9_990 }))
    t.same(journal.recent(10_000), [])
    t.same(journal.recent(10_001), [])
  })

  t.test('no more than 8,192 facts wait for the disk', async t => {
    const { journal } = await fresh(t)
    write(journal, 8_192)
    const error = await failure(() => write(journal, 1))
    t.match(error, { code: 'journal.full', retryable: true })
    t.equal(journal.head.seq, 8_192)
    await journal.flushed()
    write(journal, 1)
    await journal.flushed()
    t.equal((await all(journal)).length, 8_193)
  })

  t.test('closing writes what is staged and ends everything else', async t => {
    const { place, journal } = await fresh(t)
    write(journal, 1_000)
    let heard = 0
    journal.watch(() => {
      heard += 1
    })
    const flushed = journal.flushed()
    const closing = journal.close()
    t.equal(journal.writable, false)
    t.equal((await failure(() => write(journal, 1))).code, 'journal.closed')
    await flushed
    await closing
    await journal.close()
    t.equal(journal.closed, true)
    t.equal(journal.durable, 1_000)
    t.ok(heard >= 2)
    t.equal((await failure(() => write(journal, 1))).code, 'journal.closed')
    t.equal((await failure(() => all(journal))).code, 'journal.closed')
    t.equal((await failure(() => texts(journal))).code, 'journal.closed')
    await journal.flushed()
    const again = await place.open()
    t.equal((await all(again)).length, 1_000)
    await again.close()
  })

  t.test('a follower gets everything after its mark, from the disk and then live, without a gap', async t => {
    const { journal } = await fresh(t)
    const { seed, below } = chance()
    t.comment(`SEED=${seed}`)
    write(journal, 7_000)
    await journal.flushed()
    const stop = new AbortController()
    const seen: number[][] = []
    const followers = [0, 1, 6_999, 7_000, below(7_000)].map(async after => {
      const mine: number[] = []
      seen.push(mine)
      let expected = after
      for await (const page of follow(journal, { after, signal: stop.signal })) {
        for (const { seq } of page) if (seq !== ++expected) t.fail(`${seq} instead of ${expected}`)
        mine.push(expected)
        if (below(3) === 0) await new Promise(resolve => setTimeout(resolve, below(4)))
      }
    })
    for (let round = 0; round < 40; round += 1) {
      write(journal, 1 + below(150))
      if (below(4) > 0) await journal.flushed()
    }
    await journal.flushed()
    while (!seen.every(mine => mine.at(-1) === journal.durable))
      await new Promise(resolve => setTimeout(resolve, 1))
    stop.abort()
    await Promise.all(followers)
    t.ok(seen.every(mine => mine.at(-1) === journal.head.seq))
  })

  t.test('hundreds of followers get the same entries, and none is read again for each', async t => {
    const { journal } = await fresh(t)
    const stop = new AbortController()
    const first: Entry[] = []
    const followers = Array.from({ length: 300 }, async () => {
      for await (const page of follow(journal, { signal: stop.signal })) {
        if (page[0]!.seq === 1) first.push(page[0]!)
        if (page.at(-1)!.seq === 200) return
      }
    })
    for (let round = 0; round < 200; round += 1) {
      write(journal, 1)
      await journal.flushed()
    }
    await Promise.all(followers)
    t.equal(first.length, 300)
    t.equal(new Set(first).size, 1)
  })

  t.test('a follower ends with its signal, even while it waits', async t => {
    const { journal } = await fresh(t)
    const stop = new AbortController()
    const following = follow(journal, { signal: stop.signal }).next()
    await new Promise(resolve => setImmediate(resolve))
    stop.abort()
    t.same(await following, { done: true, value: undefined })
    t.same(await follow(journal, { signal: stop.signal }).next(), { done: true, value: undefined })
  })

  t.test('a follower ends when the journal is closed', async t => {
    const { journal } = await fresh(t)
    write(journal, 5_000)
    await journal.flushed()
    const signal = new AbortController().signal
    const waiting = follow(journal, { after: 5_000, signal }).next()
    const reading = follow(journal, { signal })
    await reading.next()
    await journal.close()
    t.same(await waiting, { done: true, value: undefined })
    for await (const _page of reading);
    t.pass('it ended')
  })

  t.test('a follower that has seen more than there is learns that facts are gone', async t => {
    const { journal } = await fresh(t)
    write(journal, 3)
    await journal.flushed()
    const signal = new AbortController().signal
    const error = await failure(() => follow(journal, { after: 4, signal }).next())
    t.equal(error.code, 'journal.gap')
    t.match(error.message, 'Fact 4 is missing')
  })
}
