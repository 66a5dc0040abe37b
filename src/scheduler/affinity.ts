/**
 * Which node suits the head of a conversation? A runner keeps the prompt it has just read, and the next question of the
 * same conversation begins with it. Stateless: each node's claim is a hash of the head and the node's name (rendezvous
 * hashing, Thaler and Ravishankar 1998), so that nothing has to be remembered, and a node that comes or goes moves only
 * its own share. What is remembered, bounded, is where a head went last: only to know how often it went there again.
 */
import type { Clock } from '../clock.ts'

/** Heads whose last node is remembered. */
const HEADS_MAX = 10_000

export class Affinity {
  /** Heads that had been seen before, and of these the ones that went where they had gone. */
  seen = 0
  hits = 0
  readonly #salt: number
  readonly #last = new Map<number, string>()
  readonly #names = new Map<string, number>()

  constructor(clock: Pick<Clock, 'random'>) {
    this.#salt = Math.floor(clock.random() * 2 ** 32)
  }

  /** In (0, 1]; the node with the highest has the best claim. */
  claim(head: number, node: string): number {
    let hash = this.#names.get(node)
    if (hash === undefined) {
      hash = hashOf(node)
      this.#names.set(node, hash)
    }
    return (mix(head ^ hash ^ this.#salt) + 1) / 2 ** 32
  }

  last(head: number): string | undefined {
    return this.#last.get(head)
  }

  went(head: number, node: string): void {
    const last = this.#last.get(head)
    if (last !== undefined) {
      this.seen += 1
      if (last === node) this.hits += 1
      this.#last.delete(head)
    }
    this.#last.set(head, node)
    if (this.#last.size > HEADS_MAX) this.#last.delete(this.#last.keys().next().value!)
  }
}

/** FNV-1a, 32 bits. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** The finaliser of MurmurHash3: every bit of the input moves half of those of the output. */
function mix(value: number): number {
  let h = value >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
