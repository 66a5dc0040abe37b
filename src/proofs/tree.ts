/**
 * The Merkle tree of RFC 6962 (2.1) over a journal: leaf i is fact i + 1, by the hash of its record. With it a house
 * proves in a few hundred bytes that a fact is in the journal, or that the journal of today goes on where an old one
 * ended. Pure.
 *
 *   root of one leaf     SHA-256(0x00 ‖ what the leaf stands for)
 *   root of n leaves     SHA-256(0x01 ‖ root of the first k ‖ root of the rest), k the largest power of two below n
 */
import { hash as digestOf } from 'node:crypto'

export const HASH_BYTES = 32
/** Every so many leaves are a tile, whose root is kept on disk: proofs of a large journal need only these. */
export const TILE_LEAVES = 256
const TILE_LEVEL = 8

const leafInput = new Uint8Array(1 + HASH_BYTES)
const nodeInput = new Uint8Array(1 + 2 * HASH_BYTES)
nodeInput[0] = 1
const leafBuffer = Buffer.from(leafInput.buffer)
const nodeBuffer = Buffer.from(nodeInput.buffer)

/** Hashes as text of one byte a character: node:crypto makes that in half the time it takes for a Buffer. */
const leafText = (recordHash: string): string => {
  leafBuffer.write(recordHash, 1, 'base64url')
  return digestOf('sha256', leafBuffer, 'binary')
}

const nodeText = (left: string, right: string): string => {
  nodeBuffer.write(left, 1, 'latin1')
  nodeBuffer.write(right, 1 + HASH_BYTES, 'latin1')
  return digestOf('sha256', nodeBuffer, 'binary')
}

/** The leaf of a record, by its hash as the journal has it: base64url. */
export function leafHash(recordHash: string): Buffer {
  return Buffer.from(leafText(recordHash), 'latin1')
}

export function nodeHash(left: Buffer, right: Buffer): Buffer {
  return Buffer.from(nodeText(left.toString('latin1'), right.toString('latin1')), 'latin1')
}

/**
 * The right edge of a tree: the roots of the complete subtrees it is made of, one for each bit of its size. That is all
 * it takes to add leaves and to know the root.
 */
export class Frontier {
  #size: number
  /** By level; what stands above the bits of the size is old. */
  readonly #roots: string[] = []

  /** `peaks` from left to right, largest first, as many as `size` has bits. */
  constructor(size = 0, peaks: readonly Buffer[] = []) {
    this.#size = size
    const levels = levelsOf(size)
    if (levels.length !== peaks.length) throw new RangeError(`${peaks.length} peaks are no tree of ${size}`)
    for (const [i, level] of levels.entries()) this.#roots[level] = peaks[i]!.toString('latin1')
  }

  /** How many leaves. */
  get size(): number {
    return this.#size
  }

  get peaks(): readonly Buffer[] {
    return levelsOf(this.#size).map(level => Buffer.from(this.#roots[level]!, 'latin1'))
  }

  /** Adds the next record, by its hash (base64url). Returns the root of its tile where it is the last of one. */
  append(recordHash: string): Buffer | undefined {
    let root = leafText(recordHash)
    let level = 0
    let tile: string | undefined
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      root = nodeText(this.#roots[level]!, root)
      level += 1
      if (level === TILE_LEVEL) tile = root
    }
    this.#roots[level] = root
    this.#size += 1
    return tile === undefined ? undefined : Buffer.from(tile, 'latin1')
  }

  root(): Buffer {
    // From right to left: each is larger than all that is right of it.
    return this.#size === 0 ? treeOf([]) : this.peaks.reduceRight((right, left) => nodeHash(left, right))
  }
}

/** The bits of the size, highest first. */
function levelsOf(size: number): number[] {
  const levels: number[] = []
  for (let level = 0, rest = size; rest > 0; level += 1, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) levels.unshift(level)
  }
  return levels
}

/** The root over nodes of one height; the last may stand for fewer leaves. Of no leaves: the hash of nothing. */
export function treeOf(nodes: readonly Buffer[]): Buffer {
  if (nodes.length === 0) return Buffer.from(digestOf('sha256', '', 'binary'), 'latin1')
  let row = nodes
  while (row.length > 1) {
    const above: Buffer[] = []
    for (let i = 0; i < row.length; i += 2) {
      above.push(i + 1 < row.length ? nodeHash(row[i]!, row[i + 1]!) : row[i]!)
    }
    row = above
  }
  return row[0]!
}

// ── proofs ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Leaves `from` to `to` - 1. A proof is a list of the roots of such. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** What proves that leaf `index` is in a tree of `size`: PATH of RFC 6962 (2.1.1), the leaf's sibling first. */
export function inclusionSpans(index: number, size: number): readonly Span[] {
  return path(index, { from: 0, to: size })
}

function path(index: number, { from, to }: Span): readonly Span[] {
  if (to - from <= 1) return []
  const cut = from + below(to - from)
  return index < cut
    ? [...path(index, { from, to: cut }), { from: cut, to }]
    : [...path(index, { from: cut, to }), { from, to: cut }]
}

/** What proves that the tree of `size` begins with the tree of `old`: PROOF of RFC 6962 (2.1.2). */
export function consistencySpans(old: number, size: number): readonly Span[] {
  return old === 0 ? [] : subproof(old, { from: 0, to: size }, true)
}

function subproof(old: number, { from, to }: Span, known: boolean): readonly Span[] {
  if (old === to) return known ? [] : [{ from, to }]
  const cut = from + below(to - from)
  return old <= cut
    ? [...subproof(old, { from, to: cut }, known), { from: cut, to }]
    : [...subproof(old, { from: cut, to }, false), { from, to: cut }]
}

/** The largest power of two below `count`, which is 2 or more. */
function below(count: number): number {
  let power = 1
  while (power * 2 < count) power *= 2
  return power
}

/** The root that the path leads to from a leaf; undefined where it is no path in a tree of that size. */
export function rootByInclusion(
  leaf: Buffer,
  index: number,
  size: number,
  path: readonly Buffer[],
): Buffer | undefined {
  if (index >= size) return undefined
  let [node, last, root] = [index, size - 1, leaf]
  for (const sibling of path) {
    if (last === 0) return undefined
    if (node % 2 === 1 || node === last) {
      root = nodeHash(sibling, root)
      while (node % 2 === 0 && node > 0) [node, last] = [half(node), half(last)]
    } else {
      root = nodeHash(root, sibling)
    }
    ;[node, last] = [half(node), half(last)]
  }
  return last === 0 ? root : undefined
}

export interface Tree {
  readonly size: number
  readonly root: Buffer
}

/** Does the tree `now` begin with the tree `old`? By RFC 9162 (2.1.4.2), which says in steps what RFC 6962 defines. */
export function isConsistent(old: Tree, now: Tree, path: readonly Buffer[]): boolean {
  if (old.size > now.size) return false
  if (old.size === now.size) return path.length === 0 && old.root.equals(now.root)
  if (old.size === 0) return path.length === 0 && old.root.equals(treeOf([]))
  let [node, last] = [old.size - 1, now.size - 1]
  while (node % 2 === 1) [node, last] = [half(node), half(last)]
  // Where the old tree is complete, its root is itself the first node.
  const [first, ...rest] = node === 0 ? [old.root, ...path] : path
  if (first === undefined) return false
  let [was, is] = [first, first]
  for (const sibling of rest) {
    if (last === 0) return false
    if (node % 2 === 1 || node === last) {
      was = nodeHash(sibling, was)
      is = nodeHash(sibling, is)
      while (node % 2 === 0 && node > 0) [node, last] = [half(node), half(last)]
    } else {
      is = nodeHash(is, sibling)
    }
    ;[node, last] = [half(node), half(last)]
  }
  return last === 0 && was.equals(old.root) && is.equals(now.root)
}

const half = (n: number): number => Math.floor(n / 2)
