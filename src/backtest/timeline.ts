/** What each node did when: which models came into memory and left it, and how many requests ran. For the picture. */

export type Memory = 'loading' | 'loaded' | 'gone'

/** One thing that happened on a node; `by` is 1 for a request that starts and -1 for one that ends. */
export type Moment =
  | { readonly at: number; readonly model: string; readonly memory: Memory }
  | { readonly at: number; readonly model: string; readonly by: 1 | -1 }
  | { readonly at: number; readonly up: boolean }

export class Lane {
  readonly moments: Moment[] = []

  memory(at: number, model: string, memory: Memory): void {
    this.moments.push({ at, model, memory })
  }

  busy(at: number, model: string, by: 1 | -1): void {
    this.moments.push({ at, model, by })
  }

  turned(at: number, up: boolean): void {
    this.moments.push({ at, up })
  }
}

export class Timeline {
  readonly lanes = new Map<string, Lane>()

  lane(node: string): Lane {
    let lane = this.lanes.get(node)
    if (lane === undefined) {
      lane = new Lane()
      this.lanes.set(node, lane)
    }
    return lane
  }
}
