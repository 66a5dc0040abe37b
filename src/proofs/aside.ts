/**
 * The tree, hashed in a thread of its own: for an audit, whose one thread has enough to do. What goes over is the hashes of
 * the records, 43 characters each; the records themselves would cost more to copy than to hash.
 *
 * This file is both sides: the thread is started with itself.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Frontier } from './tree.ts'

const HASH_CHARACTERS = 43
/** Pages on their way to the thread: 43 KB each. */
const PENDING_MAX = 64

/** In: a page of hashes, or that there are no more. Out: how many pages are done, or the roots. */
type Told =
  | { readonly pages: number }
  | { readonly roots: readonly (readonly [size: number, root: Uint8Array])[] }

const THREAD = 'quipu.tree'

export class TreeAside {
  readonly #worker: Worker
  #sent = 0
  #done = 0
  #wake = (): void => {}
  #roots: ReadonlyMap<number, Buffer> | undefined
  #error: unknown

  /** `sizes`: of which trees the roots are wanted. */
  constructor(sizes: readonly number[]) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: { thread: THREAD, sizes } })
    this.#worker.unref()
    this.#worker.on('message', (told: Told) => {
      if ('pages' in told) this.#done = told.pages
      else this.#roots = new Map(told.roots.map(([size, root]) => [size, Buffer.from(root)]))
      this.#wake()
    })
    this.#worker.on('error', error => {
      this.#error = error
      this.#wake()
    })
  }

  /** Resolves when there is room for more. */
  async add(hashes: readonly string[]): Promise<void> {
    this.#worker.postMessage(hashes.join(''))
    this.#sent += 1
    await this.#until(() => this.#sent - this.#done < PENDING_MAX)
  }

  /** The roots of the wanted sizes, as far as there were so many. */
  async roots(): Promise<ReadonlyMap<number, Buffer>> {
    this.#worker.postMessage('')
    await this.#until(() => this.#roots !== undefined)
    return this.#roots!
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  async #until(holds: () => boolean): Promise<void> {
    this.#worker.ref()
    while (!holds() && this.#error === undefined) {
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
    this.#worker.unref()
    if (this.#error !== undefined) throw this.#error
  }
}

function work(sizes: readonly number[]): void {
  const wanted = new Set(sizes)
  const frontier = new Frontier()
  const roots: [number, Uint8Array][] = []
  let pages = 0
  if (wanted.has(0)) roots.push([0, frontier.root()])
  parentPort!.on('message', (hashes: string) => {
    if (hashes === '') return parentPort!.postMessage({ roots })
    for (let at = 0; at < hashes.length; at += HASH_CHARACTERS) {
      frontier.append(hashes.slice(at, at + HASH_CHARACTERS))
      if (wanted.has(frontier.size)) roots.push([frontier.size, frontier.root()])
    }
    pages += 1
    parentPort!.postMessage({ pages })
  })
}

if (!isMainThread && workerData?.thread === THREAD) work(workerData.sizes)
