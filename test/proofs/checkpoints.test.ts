/** Checkpoints: when they are signed, what they are good for after a restart, and what they find. */
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openCheckpoint } from '../../src/proofs/checkpoint.ts'
import { newSigner, parseVkey } from '../../src/proofs/note.ts'
import { verifyConsistency, verifyInclusion } from '../../src/proofs/proof.ts'
import { endorsementText } from '../../src/proofs/succession.ts'
import { chance, failure, texts } from '../journal/facts.ts'
import { dataFolder, opened, started } from './stand.ts'

const folder = (dir: string): string => join(dir, 'checkpoints')
const file = (dir: string, name: string): string => join(folder(dir), name)

t.test('a new journal gets a key, which its first fact names and only its user may read', async t => {
  const dir = dataFolder(t)
  const { checkpoints, journal, signers } = await started(t, { dir, records: [] })
  t.match(signers.state.keys, [{ seq: 1, vkey: checkpoints.vkey }])
  t.match(checkpoints.vkey, /^quipu\/J1\+[0-9a-f]{8}\+/)
  t.equal(journal.head.seq, 1)
  t.equal(statSync(file(dir, 'key')).mode & 0o777, 0o600)
})

t.test(
  'it is signed a second after a fact, at once after a thousand, and not while nothing comes',
  async t => {
    const { checkpoints, clock, grow, keys } = await started(t, { dir: dataFolder(t), records: [] })
    await grow(3)
    await clock.advance(1_000)
    t.equal(checkpoints.latest?.size, 4)
    const { note } = checkpoints.latest!
    await clock.advance(60_000)
    t.equal(checkpoints.latest?.note, note)
    await grow(1)
    t.equal(checkpoints.latest?.size, 5, 'nothing had been signed for a minute')
    await grow(1)
    t.equal(checkpoints.latest?.size, 5)
    await grow(999)
    t.equal(checkpoints.latest?.size, 1_005)
    await grow(1)
    await clock.advance(999)
    t.equal(checkpoints.latest?.size, 1_005)
    await clock.advance(1)
    t.equal(checkpoints.latest?.size, 1_006)
    t.match(openCheckpoint(checkpoints.latest!.note, keys()), { origin: 'quipu/J1', size: 1_006 })
  },
)

t.test('a restart goes on from the newest checkpoint, and reads no older fact', async t => {
  const dir = dataFolder(t)
  const records: string[] = []
  const first = await started(t, { dir, records })
  await first.grow(700)
  await first.stop()
  const latest = first.checkpoints.latest!
  t.equal(latest.size, 701)
  const next = await started(t, { dir, records })
  t.equal(next.checkpoints.size, 701)
  t.equal(next.checkpoints.latest?.note, latest.note)
  const whole = await texts(next.journal)
  const read = next.journal.records
  next.journal.records = () => {
    throw new Error('an old fact is read')
  }
  await next.grow(300)
  const { note } = await next.checkpoints.sign()
  next.journal.records = read
  const proof = await next.checkpoints.consistency(701)
  t.match(verifyConsistency(proof, latest, next.keys()), { old: 701, checkpoint: { size: 1_001, note } })
  t.match(verifyInclusion(await next.checkpoints.inclusion(5), next.keys()).entry, {
    hash: whole[4]!.slice(0, 43),
  })
  t.same(next.warned, [])
})

t.test('proofs hold for any fact and any earlier size, over restarts and tiles', async t => {
  const { seed, below } = chance()
  t.comment(`SEED=${seed}`)
  const dir = dataFolder(t)
  const records: string[] = []
  const earlier = new Map<number, string>()
  for (let round = 0; round < 6; round += 1) {
    const stand = await started(t, { dir, records })
    await stand.grow(1 + below(600))
    const { note, size } = await stand.checkpoints.sign()
    earlier.set(size, note)
    for (let i = 0; i < 8; i += 1) {
      const seq = 1 + below(size)
      const proof = await stand.checkpoints.inclusion(seq)
      t.ok(Buffer.byteLength(proof) < 3_072, `${Buffer.byteLength(proof)} bytes`)
      const { entry } = verifyInclusion(proof, stand.keys())
      t.equal(entry.seq, seq)
    }
    for (const [old, note] of earlier) {
      const known = stand.keys()
      const proof = await stand.checkpoints.consistency(old)
      t.equal(verifyConsistency(proof, openCheckpoint(note, known), known).old, old)
    }
    const some = 1 + below(size)
    await stand.checkpoints.consistency(some)
    await stand.stop()
  }
})

t.test('a proof with anything changed in it proves nothing', async t => {
  const { seed, below } = chance()
  t.comment(`SEED=${seed}`)
  const { checkpoints, grow, keys } = await started(t, { dir: dataFolder(t), records: [] })
  await grow(400)
  const early = await checkpoints.sign()
  await grow(321)
  await checkpoints.sign()
  const inclusion = await checkpoints.inclusion(333)
  const consistency = await checkpoints.consistency(early.size)
  for (let round = 0; round < 400; round += 1) {
    const proof = round % 2 === 0 ? inclusion : consistency
    const at = below(proof.length)
    const bent = proof.slice(0, at) + String.fromCharCode(33 + below(90)) + proof.slice(at + 1)
    if (bent === proof) continue
    try {
      if (round % 2 === 0) {
        const { entry, checkpoint } = verifyInclusion(bent, keys())
        // Base64 has spare bits at its end: another letter there may mean the same.
        if (entry.seq !== 333 || checkpoint.size !== 722) t.fail(bent)
      } else if (verifyConsistency(bent, early, keys()).checkpoint.size !== 722) t.fail(bent)
    } catch (error) {
      t.match((error as { code: string }).code, /^(proof|checkpoint)\./, (error as Error).message)
    }
  }
  t.match(await failure(() => verifyInclusion(inclusion, [parseVkey(newSigner('quipu/J1').vkey)!])), {
    code: 'checkpoint.unsigned',
  })
  t.match(await failure(() => verifyConsistency(consistency, { ...early, origin: 'quipu/J2' }, keys())), {
    code: 'proof.wrong',
  })
  await t.rejects(checkpoints.inclusion(723), { code: 'proof.unknown' })
})

t.test('a journal that was put back behind its checkpoint is damaged', async t => {
  const dir = dataFolder(t)
  const records: string[] = []
  const first = await started(t, { dir, records })
  await first.grow(20)
  await first.stop()
  t.match(await failure(() => opened({ dir, records: records.slice(0, 15) })), {
    code: 'journal.gap',
    message: /^Fact 16 is missing: the journal ends before it, and it had come to fact 21\./,
  })
})

t.test('a journal with another past is not the one that was signed', async t => {
  const dir = dataFolder(t)
  const records: string[] = []
  const first = await started(t, { dir, records })
  await first.grow(20)
  await first.stop()
  const other: string[] = []
  const rewritten = await started(t, { dir: dataFolder(t), records: other })
  await rewritten.grow(30)
  await rewritten.stop()
  t.match(await failure(() => opened({ dir, records: other })), {
    code: 'journal.broken',
    message: /^Fact 21 is not the one that a checkpoint was signed for/,
  })
})

t.test('files that cannot be read, or say what nobody signed, are made again from the journal', async t => {
  const dir = dataFolder(t)
  const records: string[] = []
  const first = await started(t, { dir, records })
  await first.grow(600)
  await first.stop()
  const { note } = first.checkpoints.latest!
  const whole = new Map(readdirSync(folder(dir)).map(name => [name, readFileSync(file(dir, name))]))
  for (const [name, bytes] of [
    ['latest', Buffer.alloc(0)],
    ['latest', whole.get('latest')!.subarray(0, 200)],
    ['latest', Buffer.from(whole.get('latest')!.toString().replace('\n601\n', '\n600\n'))],
    ['latest', Buffer.from(newSigner('quipu/J1').note('quipu/J1\n1\nx\n'))],
    ['tiles', whole.get('tiles')!.subarray(0, 63)],
    ['history.json', Buffer.from('[{')],
  ] as const) {
    for (const [name, bytes] of whole) writeFileSync(file(dir, name), bytes)
    writeFileSync(file(dir, name), bytes)
    const again = await started(t, { dir, records })
    await again.checkpoints.sign()
    t.equal(again.checkpoints.latest?.note, note, `${name}: the same text, the same signature`)
    t.equal(again.warned.length, name === 'history.json' ? 0 : 1, again.warned.join())
    t.ok(verifyInclusion(await again.checkpoints.inclusion(300), again.keys()))
    await again.stop()
  }
})

t.test('tiles that lead nowhere prove nothing, and say what to do', async t => {
  const dir = dataFolder(t)
  const records: string[] = []
  const first = await started(t, { dir, records })
  await first.grow(600)
  await first.stop()
  writeFileSync(file(dir, 'tiles'), Buffer.alloc(64, 7))
  const again = await started(t, { dir, records })
  const { code, message } = await failure(() => again.checkpoints.inclusion(600))
  t.equal(code, 'proof.tiles')
  t.match(message, /delete checkpoints\/tiles/)
})

t.test('without its key, or with another one, a house goes on and signs nothing', async t => {
  const dir = dataFolder(t)
  const records: string[] = []
  const first = await started(t, { dir, records })
  await first.grow(5)
  await first.stop()
  const { size } = first.checkpoints.latest!
  const key = readFileSync(file(dir, 'key'))
  for (const [bytes, code] of [
    [undefined, 'signer.missing'],
    [Buffer.from(newSigner('quipu/J1').secret), 'signer.other'],
    [key.subarray(0, 40), 'signer.unreadable'],
  ] as const) {
    if (bytes === undefined) rmSync(file(dir, 'key'))
    else writeFileSync(file(dir, 'key'), bytes)
    const keyless = await started(t, { dir, records })
    t.equal(keyless.checkpoints.trouble?.code, code)
    t.match(keyless.warned, [/quipu checkpoint rotate --lost/])
    await keyless.grow(2)
    await keyless.clock.advance(5_000)
    t.equal(keyless.checkpoints.latest?.size, size, 'what was signed stays what it is')
    t.match(await failure(() => keyless.checkpoints.sign()), { code })
    t.match(await failure(() => keyless.checkpoints.rotate('cli')), { code })
    t.equal(keyless.signers.state.keys.length, 1)
    await keyless.stop()
    t.equal(readFileSync(file(dir, 'latest'), 'utf8').startsWith(first.checkpoints.latest!.note), true)
  }
  const keyless = await started(t, { dir, records })
  const { before, vkey } = await keyless.checkpoints.rotate('cli', { lost: true })
  t.equal(before, first.checkpoints.vkey)
  t.equal((await keyless.checkpoints.sign()).vkey, vkey)
  t.equal(keyless.signers.state.keys.at(-1)?.endorsement, undefined, 'nobody vouches for it')
  const proof = await keyless.checkpoints.consistency(size)
  t.equal(verifyConsistency(proof, first.checkpoints.latest!, keyless.keys()).old, size)
})

t.test('a rotation is a fact, endorsed by the key before; old checkpoints stay good', async t => {
  const dir = dataFolder(t)
  const records: string[] = []
  const first = await started(t, { dir, records })
  await first.grow(5)
  const old = await first.checkpoints.sign()
  const rotation = await first.checkpoints.rotate('10.0.0.9')
  t.match(rotation, { before: old.vkey, seq: 7 })
  const { note, vkey } = await first.checkpoints.sign()
  t.equal(vkey, rotation.vkey)
  const [created, rotated] = first.signers.state.keys
  t.match(
    [created, rotated],
    [
      { seq: 1, untilSeq: 7 },
      { seq: 7, vkey },
    ],
  )
  t.ok(
    parseVkey(old.vkey)!.verify(
      endorsementText(old.vkey, vkey),
      Buffer.from(rotated!.endorsement!, 'base64'),
    ),
  )
  for (const signed of [old.note, note]) t.ok(openCheckpoint(signed, first.keys()))
  await first.stop()
  t.same(readdirSync(folder(dir)).sort(), ['history.json', 'key', 'latest', 'tiles'])
  const again = await started(t, { dir, records })
  t.equal(again.checkpoints.vkey, vkey)
  t.equal(again.checkpoints.trouble, undefined)
  await t.rejects(again.checkpoints.rotate('cli', { lost: true }), { code: 'signer.there' })
})

t.test('a rotation that was cut off is done where its fact is there, and else never was', async t => {
  const dir = dataFolder(t)
  const records: string[] = []
  const first = await started(t, { dir, records })
  await first.grow(5)
  const old = readFileSync(file(dir, 'key'))
  await first.checkpoints.rotate('cli')
  await first.stop()
  // As if it had ended after the fact and before the move.
  writeFileSync(file(dir, 'key.next'), readFileSync(file(dir, 'key')))
  writeFileSync(file(dir, 'key'), old)
  const after = await started(t, { dir, records })
  t.equal(after.checkpoints.vkey, first.checkpoints.vkey)
  await after.stop()
  // As if it had ended before the fact.
  writeFileSync(file(dir, 'key.next'), newSigner('quipu/J1').secret)
  const before = await started(t, { dir, records })
  t.equal(before.checkpoints.vkey, first.checkpoints.vkey)
  t.notOk(readdirSync(folder(dir)).includes('key.next'))
})

t.test('for any fact there is a kept checkpoint that covers it, and old ones thin out', async t => {
  const dir = dataFolder(t)
  const records: string[] = []
  const { checkpoints, clock, grow, stop } = await started(t, { dir, records })
  t.equal(checkpoints.covering(1), undefined)
  for (let minute = 0; minute < 200; minute += 1) {
    await grow(3)
    await clock.advance(61_000)
  }
  const last = checkpoints.latest!.size
  t.equal(checkpoints.covering(last)?.size, last)
  t.equal(checkpoints.covering(last + 1), undefined)
  const near = checkpoints.covering(last - 20)!.size
  t.ok(near <= last - 17, `${near} for ${last - 20}`)
  t.ok(checkpoints.covering(1)!.size < 10)
  await stop()
  const kept = JSON.parse(readFileSync(file(dir, 'history.json'), 'utf8'))
  t.ok(kept.length <= 128 && kept.length > 100, `${kept.length}`)
  const again = await started(t, { dir, records })
  t.equal(again.checkpoints.covering(last - 20)?.size, near)
})
