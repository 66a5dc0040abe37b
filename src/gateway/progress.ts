/**
 * One progress stream out of several: the lines of a pull on many nodes, told as one pull. A line with a digest shows
 * what all nodes together have and want; a line without shows the step that the slowest node has reached. Ends with
 * `success` when all did, else with one error line that names the nodes.
 */
import { type Line, lineOf } from '../ollama/progress.ts'

/** A model has some ten steps and, cut into tensors, some thousand blobs. More than this is not a pull. */
const STEPS_MAX = 100
const BLOBS_MAX = 20_000
const NOT_JSON: Line = { error: 'the node answered with something that is not JSON' }

export class Progress {
  /** Nodes that are neither done nor failed, by the step they have reached; -1 before the first. */
  readonly #working = new Map<string, number>()
  readonly #blobs = new Map<string, Map<string, { readonly total: number; readonly completed: number }>>()
  readonly #errors = new Map<string, string>()
  readonly #count: number
  /** Steps in the order they first came, and how far the merged stream is. */
  readonly #steps: string[] = []
  #told = -1

  constructor(nodes: readonly string[]) {
    for (const node of nodes) this.#working.set(node, -1)
    this.#count = this.#working.size
  }

  /** What to tell the client after this line of this node. */
  line(node: string, text: string): readonly Line[] {
    if (!this.#working.has(node)) return []
    const line = lineOf(text) ?? NOT_JSON
    if (line.error !== undefined) return this.fail(node, line.error)
    if (line.status === 'success') {
      this.#working.delete(node)
      return this.#advance()
    }
    if (line.digest !== undefined) return this.#blob(node, line, line.digest)
    return line.status === undefined ? [] : this.#step(node, line.status)
  }

  /** A node's stream is over; without success that is an error. */
  end(node: string): readonly Line[] {
    return this.#working.has(node) ? this.fail(node, 'the node ended its answer early') : []
  }

  fail(node: string, why: string): readonly Line[] {
    if (!this.#working.delete(node)) return []
    this.#errors.set(node, why)
    return this.#advance()
  }

  get failed(): readonly string[] {
    return [...this.#errors.keys()]
  }

  /** The last line. */
  last(): Line {
    if (this.#errors.size === 0) return { status: 'success' }
    const texts = new Set(this.#errors.values())
    const [only] = texts
    if (texts.size === 1 && this.#errors.size === this.#count) return { error: only! }
    return { error: [...this.#errors].map(([node, text]) => `${node}: ${text}`).join('; ') }
  }

  #blob(node: string, { status, total = 0, completed = 0 }: Line, digest: string): readonly Line[] {
    let shares = this.#blobs.get(digest)
    if (shares === undefined) {
      if (this.#blobs.size >= BLOBS_MAX) return []
      shares = new Map()
      this.#blobs.set(digest, shares)
    }
    shares.set(node, { total, completed })
    let [all, have] = [0, 0]
    for (const share of shares.values()) {
      all += share.total
      have += share.completed
    }
    return [
      { ...(status !== undefined && { status }), digest, total: all, ...(have > 0 && { completed: have }) },
    ]
  }

  #step(node: string, status: string): readonly Line[] {
    if (!this.#steps.includes(status)) {
      if (this.#steps.length >= STEPS_MAX) return []
      this.#steps.push(status)
    }
    this.#working.set(node, this.#steps.indexOf(status))
    return this.#advance()
  }

  /** Tells the steps that every node still at work has reached. */
  #advance(): readonly Line[] {
    if (this.#working.size === 0) return []
    const slowest = Math.min(...this.#working.values())
    const lines: Line[] = []
    while (this.#told < slowest) {
      this.#told += 1
      lines.push({ status: this.#steps[this.#told]! })
    }
    return lines
  }
}
