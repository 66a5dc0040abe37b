/**
 * One progress stream out of several: the lines of a pull on many nodes, told as one pull. A line with a digest shows
 * what all nodes together have and want; a line without shows the step that the slowest node has reached. Ends with
 * `success` when all did, else with one error line that names the nodes.
 */
export interface Line {
  readonly status?: string
  readonly digest?: string
  readonly total?: number
  readonly completed?: number
  readonly error?: string
}

export class Progress {
  readonly #nodes: readonly string[]
  readonly #blobs = new Map<string, Map<string, { total: number; completed: number }>>()
  readonly #steps = new Map<string, string>()
  readonly #errors = new Map<string, string>()
  readonly #done = new Set<string>()
  /** Steps in the order they first came, and how far the merged stream is. */
  readonly #order: string[] = []
  #told = -1

  constructor(nodes: readonly string[]) {
    this.#nodes = nodes
  }

  /** What to tell the client after this line of this node. */
  line(node: string, line: Line): readonly Line[] {
    if (line.error !== undefined) {
      this.#errors.set(node, line.error)
      return []
    }
    if (line.status === 'success') {
      this.#done.add(node)
      return []
    }
    if (line.digest !== undefined) return [this.#blob(node, line, line.digest)]
    return line.status === undefined ? [] : this.#step(node, line.status)
  }

  /** A node's stream is over; without success that is an error. */
  end(node: string): void {
    if (!this.#done.has(node) && !this.#errors.has(node))
      this.#errors.set(node, 'the node ended its answer early')
  }

  get failed(): readonly string[] {
    return [...this.#errors.keys()]
  }

  /** The last line. */
  last(): Line {
    if (this.#errors.size === 0) return { status: 'success' }
    const texts = new Set(this.#errors.values())
    const [only] = texts
    if (texts.size === 1 && this.#errors.size === this.#nodes.length) return { error: only! }
    return { error: [...this.#errors].map(([node, text]) => `${node}: ${text}`).join('; ') }
  }

  #blob(node: string, { status, total = 0, completed = 0 }: Line, digest: string): Line {
    if (!this.#blobs.has(digest)) this.#blobs.set(digest, new Map())
    const shares = this.#blobs.get(digest)!
    shares.set(node, { total, completed })
    let [all, have] = [0, 0]
    for (const share of shares.values()) {
      all += share.total
      have += share.completed
    }
    return {
      ...(status !== undefined && { status }),
      digest,
      total: all,
      ...(have > 0 && { completed: have }),
    }
  }

  #step(node: string, status: string): readonly Line[] {
    this.#steps.set(node, status)
    if (!this.#order.includes(status)) this.#order.push(status)
    const working = this.#nodes.filter(name => !this.#errors.has(name) && !this.#done.has(name))
    const slowest = Math.min(...working.map(name => this.#order.indexOf(this.#steps.get(name) ?? '')))
    const lines: Line[] = []
    while (this.#told < slowest) lines.push({ status: this.#order[++this.#told]! })
    return lines
  }
}
