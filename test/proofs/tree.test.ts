/** The tree is the one that RFC 6962 defines; its proofs prove what is so, and nothing else. */
import { createHash } from 'node:crypto'
import t from 'tap'
import {
  consistencySpans,
  Frontier,
  inclusionSpans,
  isConsistent,
  leafHash,
  nodeHash,
  rootByInclusion,
  type Span,
  TILE_LEAVES,
  treeOf,
} from '../../src/proofs/tree.ts'
import { chance } from '../journal/facts.ts'

const sha = (...parts: readonly Buffer[]): Buffer =>
  createHash('sha256').update(Buffer.concat(parts)).digest()

/** MTH of RFC 6962, 2.1, word by word. */
function mth(entries: readonly Buffer[]): Buffer {
  if (entries.length === 0) return sha()
  if (entries.length === 1) return sha(Buffer.of(0), entries[0]!)
  const k = 2 ** Math.ceil(Math.log2(entries.length) - 1)
  return sha(Buffer.of(1), mth(entries.slice(0, k)), mth(entries.slice(k)))
}

/** PATH of RFC 6962, 2.1.1. */
function path(m: number, entries: readonly Buffer[]): Buffer[] {
  if (entries.length <= 1) return []
  const k = 2 ** Math.ceil(Math.log2(entries.length) - 1)
  return m < k
    ? [...path(m, entries.slice(0, k)), mth(entries.slice(k))]
    : [...path(m - k, entries.slice(k)), mth(entries.slice(0, k))]
}

/** SUBPROOF of RFC 6962, 2.1.2. */
function subproof(m: number, entries: readonly Buffer[], whole: boolean): Buffer[] {
  if (m === entries.length) return whole ? [] : [mth(entries)]
  const k = 2 ** Math.ceil(Math.log2(entries.length) - 1)
  return m <= k
    ? [...subproof(m, entries.slice(0, k), whole), mth(entries.slice(k))]
    : [...subproof(m - k, entries.slice(k), false), mth(entries.slice(0, k))]
}

/** What the hash of record i might be: 32 bytes. */
const entry = (i: number): Buffer => sha(Buffer.from(`${i}`))
const entries = (count: number): Buffer[] => Array.from({ length: count }, (_, i) => entry(i))
const hex = (hashes: readonly Buffer[]): string[] => hashes.map(hash => hash.toString('hex'))
const rootOf = (all: readonly Buffer[], { from, to }: Span): Buffer => mth(all.slice(from, to))
const flipped = (hash: Buffer, bit: number): Buffer => {
  const other = Buffer.from(hash)
  other[bit >> 3]! ^= 1 << (bit & 7)
  return other
}

t.test('the tree of nothing, and of one leaf, are the known ones', async t => {
  t.equal(treeOf([]).toString('hex'), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  t.equal(new Frontier().root().toString('hex'), treeOf([]).toString('hex'))
  // MTH({0x00 … 0x00}): the leaf prefix and 32 zero bytes.
  const zeros = Buffer.alloc(32)
  t.same(leafHash(zeros.toString('base64url')), sha(Buffer.alloc(33)))
  t.same(nodeHash(zeros, zeros), sha(Buffer.of(1), Buffer.alloc(64)))
})

t.test('of every size up to 300, the frontier has the root that the RFC defines', async t => {
  const all = entries(300)
  const frontier = new Frontier()
  for (let size = 1; size <= all.length; size += 1) {
    frontier.append(all[size - 1]!.toString('base64url'))
    const wanted = mth(all.slice(0, size)).toString('hex')
    if (frontier.root().toString('hex') !== wanted) t.fail(`size ${size}`)
    const again = new Frontier(size, frontier.peaks)
    if (again.root().toString('hex') !== wanted) t.fail(`size ${size}, from its peaks`)
    if (
      treeOf(all.slice(0, size).map(hash => leafHash(hash.toString('base64url')))).toString('hex') !== wanted
    )
      t.fail(`size ${size}, all at once`)
  }
  t.throws(() => new Frontier(3, [all[0]!]), RangeError)
})

t.test('a frontier goes on from its peaks as if it had never stopped, and says where tiles end', async t => {
  const all = entries(3 * TILE_LEAVES + 5)
  let frontier = new Frontier()
  const tiles: Buffer[] = []
  for (const [i, hash] of all.entries()) {
    if (i % 37 === 0) frontier = new Frontier(frontier.size, frontier.peaks)
    const tile = frontier.append(hash.toString('base64url'))
    t.equal(tile !== undefined, (i + 1) % TILE_LEAVES === 0)
    if (tile !== undefined) tiles.push(tile)
  }
  t.same(
    hex(tiles),
    [0, 1, 2].map(i => mth(all.slice(i * TILE_LEAVES, (i + 1) * TILE_LEAVES)).toString('hex')),
  )
  t.equal(frontier.root().toString('hex'), mth(all).toString('hex'))
})

t.test('paths are those of the RFC, for each leaf of each small tree', async t => {
  for (let size = 1; size <= 40; size += 1) {
    const all = entries(size)
    for (let index = 0; index < size; index += 1) {
      const ours = inclusionSpans(index, size).map(span => rootOf(all, span))
      if (hex(ours).join() !== hex(path(index, all)).join()) t.fail(`leaf ${index} of ${size}`)
      const root = rootByInclusion(leafHash(all[index]!.toString('base64url')), index, size, ours)
      if (!root?.equals(mth(all))) t.fail(`leaf ${index} of ${size} is proved`)
    }
    for (let old = 1; old <= size; old += 1) {
      const ours = consistencySpans(old, size).map(span => rootOf(all, span))
      if (hex(ours).join() !== hex(subproof(old, all, true)).join()) t.fail(`${old} to ${size}`)
      const [was, is] = [
        { size: old, root: mth(all.slice(0, old)) },
        { size, root: mth(all) },
      ]
      if (!isConsistent(was, is, ours)) t.fail(`${old} to ${size} is proved`)
    }
  }
})

t.test('random trees: what is so is proved, and whatever is changed is not', async t => {
  const { seed, below } = chance()
  t.comment(`SEED=${seed}`)
  for (let round = 0; round < 60; round += 1) {
    const size = 2 + below(900)
    const index = below(size)
    const old = 1 + below(size)
    const all = entries(size)
    const root = mth(all)
    const leaf = leafHash(all[index]!.toString('base64url'))
    const inclusion = inclusionSpans(index, size).map(span => rootOf(all, span))
    const proves = (with_: {
      leaf?: Buffer
      index?: number
      size?: number
      path?: readonly Buffer[]
    }): boolean =>
      rootByInclusion(
        with_.leaf ?? leaf,
        with_.index ?? index,
        with_.size ?? size,
        with_.path ?? inclusion,
      )?.equals(root) ?? false
    const what = `leaf ${index} of ${size}`
    if (!proves({})) t.fail(what)
    if (proves({ leaf: flipped(leaf, below(256)) })) t.fail(`${what}: another leaf`)
    if (proves({ index: (index + 1 + below(size - 1)) % size })) t.fail(`${what}: another place`)
    if (proves({ path: inclusion.slice(1) })) t.fail(`${what}: a step too few`)
    if (proves({ path: [...inclusion, entry(below(9))] })) t.fail(`${what}: a step too many`)
    const step = below(inclusion.length)
    const bent = inclusion.with(step, flipped(inclusion[step]!, below(256)))
    if (proves({ path: bent })) t.fail(`${what}: another step`)
    if (proves({ index: size + index })) t.fail(`${what}: beyond the end`)

    const [was, is] = [
      { size: old, root: mth(all.slice(0, old)) },
      { size, root },
    ]
    const consistency = consistencySpans(old, size).map(span => rootOf(all, span))
    const from = `${old} to ${size}`
    if (!isConsistent(was, is, consistency)) t.fail(from)
    if (isConsistent({ ...was, root: flipped(was.root, below(256)) }, is, consistency))
      t.fail(`${from}: old root`)
    if (isConsistent(was, { ...is, root: flipped(root, below(256)) }, consistency))
      t.fail(`${from}: new root`)
    if (isConsistent({ ...was, size: size + 1 }, is, consistency)) t.fail(`${from}: too large`)
    if (isConsistent(was, is, [...consistency, entry(1)])) t.fail(`${from}: a step too many`)
    for (const i of consistency.keys()) {
      const bent = consistency.with(i, flipped(consistency[i]!, below(256)))
      if (isConsistent(was, is, bent)) t.fail(`${from}: step ${i}`)
      if (isConsistent(was, is, consistency.toSpliced(i, 1))) t.fail(`${from}: without step ${i}`)
    }
  }
  t.ok(isConsistent({ size: 0, root: treeOf([]) }, { size: 3, root: mth(entries(3)) }, []))
  t.notOk(isConsistent({ size: 0, root: mth(entries(1)) }, { size: 3, root: mth(entries(3)) }, []))
})
