/** `quipu audit --since`, `quipu prove`, `quipu verify-proof`: whatever is done to the past is found, and by whom it may be. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import t, { type Test } from 'tap'
import { type Clock, systemClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { originOf, seal } from '../../src/journal/chain.ts'
import type { Head, Staged } from '../../src/journal/journal.ts'
import { keyOf } from '../../src/journal/keys.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { signers as signersOf } from '../../src/projections/signers.ts'
import { Checkpoints } from '../../src/proofs/checkpoints.ts'
import { newSigner } from '../../src/proofs/note.ts'
import { dataFolder } from '../proofs/stand.ts'
import { fakeHouse } from './house.ts'
import { run } from './terminal.ts'

const ID = '01KDVDNA000000000000000000'
const NODE = { url: 'http://shed:11434', slots: 1, residentMax: 3, labels: {}, origin: 'flag' }

interface House {
  readonly engine: Engine
  readonly checkpoints: Checkpoints
  /** So many facts more: a node that is drained and resumed. */
  grow(count: number): Promise<void>
  close(): Promise<void>
}

/** What of a house writes and signs. */
async function open(dir: string, clock: Clock = systemClock): Promise<House> {
  const journal = await openLevelJournal({ dir, clock, create: true })
  const signers = signersOf()
  const engine = new Engine(journal, clock, [signers])
  await engine.replay()
  const warn = (message: string): void => void message
  const needs = { engine, journal, clock, signers, dir: join(dir, 'checkpoints'), warn }
  const checkpoints = new Checkpoints(needs)
  await checkpoints.open().catch(async error => {
    await journal.close()
    throw error
  })
  checkpoints.start()
  return {
    engine,
    checkpoints,
    async grow(count) {
      for (let i = 0; i < count; i += 1) {
        const at = journal.head.seq
        if (at < 2) engine.commit('node', 'shed', { type: 'node.register', data: NODE } as never)
        else if (at % 2 === 0) engine.commit('node', 'shed', { type: 'node.drain', data: {} })
        else engine.commit('node', 'shed', { type: 'node.resume', data: {} })
      }
      await engine.settled()
    },
    async close() {
      await checkpoints.close()
      engine.close()
      await journal.close()
    },
  }
}

interface Past {
  readonly dir: string
  /** Files that were kept elsewhere. */
  readonly since: string
  readonly key: string
  /** Of the checkpoint. */
  readonly size: number
}

/** A folder whose journal went on after a checkpoint of it was kept. */
async function past(t: Test, facts = 40): Promise<Past> {
  const kept = dataFolder(t)
  const dir = join(kept, 'data')
  const house = await open(dir, { ...systemClock, id: () => ID })
  await house.grow(facts)
  const { note, vkey, size } = await house.checkpoints.sign()
  writeFileSync(join(kept, 'since'), note)
  writeFileSync(join(kept, 'key'), `${vkey}\n`)
  await house.grow(facts)
  await house.close()
  return { dir, since: join(kept, 'since'), key: join(kept, 'key'), size }
}

const auditOf = (t: Test, { dir, since, key }: Past) =>
  run(t, ['audit', '--data', dir, '--since', since, '--key', key])

async function records(dir: string, change: (level: Level<Buffer, string>) => Promise<void>): Promise<void> {
  const level = new Level<Buffer, string>(join(dir, 'journal'), {
    keyEncoding: 'buffer',
    createIfMissing: false,
  })
  await change(level)
  await level.close()
}

/** The same facts but for some, in a chain of their own that holds. */
async function rewrite(
  dir: string,
  change: (fact: Staged, seq: number) => Staged | undefined,
): Promise<void> {
  await records(dir, async level => {
    let head: Head = { seq: 0, hash: originOf(ID) }
    for (const [key, record] of await level.iterator().all()) {
      const [, header = '', data = ''] = record.split('\n')
      const { kind, id, ...fact } = JSON.parse(header)
      const changed = change({ ...fact, data: JSON.parse(data) }, fact.seq)
      await level.del(key)
      if (changed === undefined) continue
      const next = seal(head, kind, id, changed)
      await level.put(keyOf(head.seq + 1), next.record)
      head = { seq: next.entry.seq, hash: next.entry.hash }
    }
  })
  rmSync(join(dir, 'mark'))
  rmSync(join(dir, 'checkpoints', 'latest'))
}

t.test('a journal that only grew is proved to be the one of then', async t => {
  const one = await past(t)
  const { code, out, err } = await auditOf(t, one)
  t.same({ code, err }, { code: 0, err: '' })
  t.match(out, `Nothing up to fact ${one.size} was changed since that was signed.`)
  t.match(out, /^signed {3}up to fact 81, by quipu\//m)
  const own = await run(t, ['audit', '--data', one.dir, '--since', one.since, '--json'])
  t.match(own, { code: 0, err: /with a key that was kept elsewhere|with --key/ })
  t.match(JSON.parse(own.out), {
    since: { size: one.size },
    signed: { size: 81 },
    keys: [{ seq: 1, endorsed: true }],
  })
})

t.test('a chain that was written anew, and holds, is not the one that was signed', async t => {
  const one = await past(t)
  const later = (fact: Staged, seq: number): Staged => (seq < 5 ? fact : { ...fact, at: fact.at + 1 })
  for (const [what, change] of [
    ['a changed fact', later],
    ['a dropped one', (fact: Staged, seq: number) => (seq === 9 || seq === 10 ? undefined : fact)],
  ] as const) {
    const dir = join(dataFolder(t), 'data')
    cpSync(one.dir, dir, { recursive: true })
    await rewrite(dir, change)
    t.match(await run(t, ['audit', '--data', dir]), { code: 0 }, `${what}: the chain holds`)
    t.match(await auditOf(t, { ...one, dir }), {
      code: 1,
      out: '',
      err: /^quipu: Fact 41 has the hash \S+, and \S+ was expected.*rewritten since/,
    })
  }
})

t.test('edited, deleted, reordered: named as without a checkpoint', async t => {
  const one = await past(t)
  const whole = new Map<number, string>()
  await records(one.dir, async level => {
    for (const [i, record] of (await level.values().all()).entries()) whole.set(i + 1, record)
  })
  const put = (changes: readonly (readonly [number, string | undefined])[]) =>
    records(one.dir, async level => {
      for (const [seq, record] of changes) {
        if (record === undefined) await level.del(keyOf(seq))
        else await level.put(keyOf(seq), record)
      }
    })
  for (const [changes, said] of [
    [[[9, whole.get(9)!.replace('drained', 'resumed')]], /^quipu: Fact 9 is not what was written/],
    [[[9, undefined]], /^quipu: Fact 9 is missing/],
    [
      [
        [9, whole.get(10)!],
        [10, whole.get(9)!],
      ],
      /^quipu: Fact 9 is (missing|not what)/,
    ],
  ] as const) {
    await put(changes)
    t.match(await auditOf(t, one), { code: 1, err: said })
    await put(changes.map(([seq]) => [seq, whole.get(seq)]))
  }
  t.match(await auditOf(t, one), { code: 0 })
})

t.test('an older copy that was put back is found by what was signed after it', async t => {
  const kept = dataFolder(t)
  const dir = join(kept, 'data')
  let house = await open(dir, { ...systemClock, id: () => ID })
  await house.grow(10)
  await house.close()
  cpSync(dir, join(kept, 'older'), { recursive: true })
  house = await open(dir)
  await house.grow(10)
  const { note, vkey } = await house.checkpoints.sign()
  await house.close()
  writeFileSync(join(kept, 'since'), note)
  // The whole folder: it fits itself.
  const older = join(kept, 'older')
  t.match(await run(t, ['audit', '--data', older]), { code: 0 })
  t.match(await run(t, ['audit', '--data', older, '--since', join(kept, 'since'), '--key', vkey]), {
    code: 1,
    err: /The journal ends at fact 11, and fact 21 was expected/,
  })
  // Only the journal in it.
  cpSync(join(dir, 'checkpoints'), join(older, 'checkpoints'), { recursive: true })
  t.match(await run(t, ['audit', '--data', older]), {
    code: 1,
    err: /Fact 12 is missing: the journal ends before it, and it had come to fact 21/,
  })
  await t.rejects(open(older), { code: 'journal.gap' })
  // It grew again meanwhile, differently.
  rmSync(join(older, 'checkpoints', 'latest'))
  house = await open(older)
  await house.grow(30)
  await house.close()
  t.match(await run(t, ['audit', '--data', older, '--since', join(kept, 'since'), '--key', vkey]), {
    code: 1,
    err: /^quipu: Fact 21 has the hash/,
  })
})

t.test('another journal, another key and a changed checkpoint are told apart', async t => {
  const one = await past(t, 5)
  const note = readFileSync(one.since, 'utf8')
  const other = newSigner(`quipu/${ID}`)
  const audit = (file: string, key: string) => {
    writeFileSync(join(one.dir, '..', 'other'), file)
    return run(t, ['audit', '--data', one.dir, '--since', join(one.dir, '..', 'other'), '--key', key])
  }
  t.match(await audit(note, other.vkey), { code: 1, err: /the keys that count here: quipu/ })
  t.match(await audit(note.replace('\n6\n', '\n5\n'), one.key), {
    code: 1,
    err: /does not belong to this text/,
  })
  t.match(await audit('hello\n', one.key), { code: 1, err: /not a (signed note|checkpoint)/ })
  const stranger = newSigner('quipu/X')
  const theirs = stranger.note(note.slice(0, note.indexOf('\n\n') + 1).replace(ID, 'X'))
  t.match(await audit(theirs, stranger.vkey), { code: 1, err: /The checkpoint is of quipu\/X/ })
  const forged = other.note(
    note.slice(0, note.indexOf('\n\n') + 1).replace(/\n\S{43}=\n/, `\n${'A'.repeat(43)}=\n`),
  )
  t.match(await audit(forged, other.vkey), { code: 1, err: /The tree over the first 6 facts is not the one/ })
  t.match(await run(t, ['audit', '--data', one.dir, '--key', one.key]), {
    code: 2,
    err: /--key goes with --since/,
  })
  t.match(await audit(note, 'nonsense'), { code: 1, err: /nonsense cannot be read/ })
})

t.test('a rotation that nobody endorsed stands out, one that was endorsed does not', async t => {
  const kept = dataFolder(t)
  const dir = join(kept, 'data')
  let house = await open(dir)
  await house.grow(4)
  const before = await house.checkpoints.sign()
  await house.checkpoints.rotate('cli')
  await house.grow(4)
  await house.close()
  writeFileSync(join(kept, 'since'), before.note)
  const audit = () => run(t, ['audit', '--data', dir, '--since', join(kept, 'since'), '--key', before.vkey])
  const endorsed = await audit()
  t.equal(endorsed.code, 0)
  t.notMatch(endorsed.out, /was that you/)
  rmSync(join(dir, 'checkpoints', 'key'))
  house = await open(dir)
  const { vkey, seq } = await house.checkpoints.rotate('cli', { lost: true })
  await house.close()
  t.match(await audit(), {
    code: 0,
    out: `fact ${seq} put ${vkey} in place without the one before it: was that you?`,
  })
})

t.test('the folder’s own checkpoint must fit, or be said not to count', async t => {
  const one = await past(t, 5)
  const latest = join(one.dir, 'checkpoints', 'latest')
  const text = readFileSync(latest, 'utf8')
  writeFileSync(latest, text.slice(0, 100))
  t.match(await run(t, ['audit', '--data', one.dir]), {
    code: 0,
    out: /^signed .* does not hold what was written/m,
  })
  writeFileSync(latest, text)
  await rewrite(one.dir, (fact, seq) => (seq < 5 ? fact : { ...fact, at: fact.at + 1 }))
  writeFileSync(latest, text)
  t.match(await run(t, ['audit', '--data', one.dir, '--json']), {
    code: 1,
    out: /"code": "journal\.broken"/,
    err: /^quipu: Fact 11 is not the one that a checkpoint was signed for/,
  })
})

t.test('what prove prints is verified with the key alone', async t => {
  const kept = dataFolder(t)
  const house = await open(join(kept, 'data'))
  t.teardown(() => house.close())
  await house.grow(20)
  const { note, vkey } = await house.checkpoints.sign()
  writeFileSync(join(kept, 'since'), note)
  await house.grow(20)
  await house.checkpoints.sign()
  const text = (body: string) => (_asked: unknown, res: import('node:http').ServerResponse) =>
    void res.writeHead(200, { 'Content-Type': 'text/plain' }).end(body)
  const { env, asked } = await fakeHouse(t, {
    'GET /quipu/checkpoint/inclusion/7': text(await house.checkpoints.inclusion(7)),
    'GET /quipu/checkpoint/consistency/21': text(await house.checkpoints.consistency(21)),
    'GET /quipu/checkpoint': text(note),
    'GET /quipu/checkpoint/key': text(`${vkey}\n`),
    'POST /quipu/checkpoint/rotate': { vkey: 'b', before: 'a', seq: 9 },
  })
  const fact = await run(t, ['prove', '7'], env)
  writeFileSync(join(kept, 'fact'), fact.out)
  t.equal((await run(t, ['checkpoint'], env)).out, note)
  const key = await run(t, ['checkpoint', 'key'], env)
  t.equal(key.out, `${vkey}\n`)
  writeFileSync(join(kept, 'key'), key.out)
  const verified = await run(t, ['verify-proof', join(kept, 'fact'), '--key', join(kept, 'key')])
  t.match(verified, { code: 0, out: /^Fact 7 is in the journal that was signed with 41 facts\./ })
  t.match(verified.out, /node\.drained shed/)
  const since = await run(t, ['prove', '--from', join(kept, 'since')], env)
  writeFileSync(join(kept, 'proof'), since.out)
  const args = ['verify-proof', join(kept, 'proof'), '--key', vkey]
  const proved = await run(t, [...args, '--since', join(kept, 'since'), '--json'])
  t.match(JSON.parse(proved.out), { ok: true, since: 21, size: 41, vkey })
  t.match(await run(t, args), { code: 2, err: /name it with --since/ })
  writeFileSync(join(kept, 'fact'), fact.out.replace(/index 6/, 'index 7'))
  t.match(await run(t, ['verify-proof', join(kept, 'fact'), '--key', vkey]), {
    code: 1,
    out: '',
    err: /proves nothing/,
  })
  t.match(await run(t, ['verify-proof', join(kept, 'since'), '--key', vkey]), { code: 2 })
  t.match(await run(t, ['checkpoint', 'rotate', '--lost'], env), { code: 0, out: 'signs now   b' })
  t.equal(asked.at(-1)?.body, '{"lost":true}')
  for (const args of [
    ['prove'],
    ['prove', '0'],
    ['prove', '3', '--from', '2'],
    ['checkpoint', 'kee'],
    ['checkpoint', '--lost'],
    ['verify-proof'],
    ['verify-proof', 'x'],
  ])
    t.match(await run(t, args, env), { code: 2 }, args.join(' '))
})
