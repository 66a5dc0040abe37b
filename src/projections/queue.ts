/**
 * In which order do those go who wait? Not a projection of its own: requests.ts keeps one and folds facts into it.
 *
 * Requests that can use the same copies of a model stand in one line. Whose turn it is in a line:
 *
 *  1. interactive before batch, then the higher priority;
 *  2. among equals, the client that has been served least, in tokens;
 *  3. of one client, the earliest deadline, then the oldest.
 *
 * But every fourth turn of a line is for those who have waited longer than the starvation bound, by (2) and (3) alone.
 * So whoever is first of its client's has, after the bound, to wait for no more than four turns for each client that
 * waits there: a flood delays nobody else, and neither do high priorities.
 *
 * (2) is deficit round robin with the quantum taken to the limit of one token, where it comes down to one number per
 * client: what it has been served. (Shreedhar and Varghese 1995; for tokens, as a counter: Sheng et al., OSDI 2024.) It
 * is charged the estimate when its request is assigned, and what that was wrong by when it ends. Who comes back to wait
 * counts as one of those who wait: it has saved up nothing, and owes a quantum at most.
 */
import type { RequestClass } from '../../machines/request.ts'

/** What the order depends on. */
export interface Waiting {
  readonly id: string
  readonly model: string
  readonly variant: string
  readonly labels: Readonly<Record<string, string>>
  readonly client: string
  readonly class: RequestClass
  readonly priority: number
  readonly deadlineAt: number
  readonly admittedAt: number
  readonly seq: number
  /** In prompt tokens; see costOf(). */
  readonly cost: number
}

/** The requests of one client at one level, first to last. */
type Clients<W> = Map<string, W[]>

export interface Line<W extends Waiting = Waiting> {
  readonly key: string
  readonly model: string
  readonly variant: string
  readonly labels: Readonly<Record<string, string>>
  count: number
  /** Those past the starvation bound are in both. */
  readonly levels: Map<number, Clients<W>>
  readonly aged: Clients<W>
  /** Oldest first, without the aged. */
  readonly young: W[]
  /** Turns since one was given to somebody for having waited long. */
  turns: number
}

export interface Account {
  /** Tokens, as costOf() counts them. Only differences between clients mean anything. */
  served: number
  waiting: number
  running: number
}

export interface Queue<W extends Waiting = Waiting> {
  readonly lines: Map<string, Line<W>>
  /** By model: the keys of its lines. */
  readonly ofModel: Map<string, Set<string>>
  readonly accounts: Map<string, Account>
  count: number
  /** What the last to be served had been served before. */
  floor: number
}

/** A token of an answer takes about as long as this many of a prompt (1,500 against 40–80 a second on one GPU). */
const OUTPUT_WEIGHT = 20
/** What who comes back may owe; about what a long answer costs. */
const QUANTUM = 16_384
/** One turn in so many is for those who waited long. */
const AGED_EVERY = 4
/** Clients that are gone are remembered so long as there are not more than this. */
const ACCOUNTS_MAX = 10_000

export function emptyQueue<W extends Waiting>(): Queue<W> {
  return { lines: new Map(), ofModel: new Map(), accounts: new Map(), count: 0, floor: 0 }
}

/** What an answer costs its client, in prompt tokens. */
export function costOf(tokens: { readonly promptTokens: number; readonly outputTokens: number }): number {
  return tokens.promptTokens + OUTPUT_WEIGHT * tokens.outputTokens
}

export function keyOf({ model, variant, labels }: Pick<Waiting, 'model' | 'variant' | 'labels'>): string {
  const pairs = Object.entries(labels)
  if (pairs.length === 0) return variant === '' ? model : `${model} ${variant}`
  const asked = pairs.map(([name, value]) => `${name}=${value}`).sort()
  return `${model} ${variant} [${asked.join(',')}]`
}

export function enter<W extends Waiting>(queue: Queue<W>, one: W): void {
  const key = keyOf(one)
  let line = queue.lines.get(key)
  if (line === undefined) {
    const { model, variant, labels } = one
    line = { key, model, variant, labels, count: 0, levels: new Map(), aged: new Map(), young: [], turns: 0 }
    queue.lines.set(key, line)
    const keys = queue.ofModel.get(model)
    if (keys === undefined) queue.ofModel.set(model, new Set([key]))
    else keys.add(key)
  }
  const account = accountOf(queue, one.client)
  if (account.waiting === 0) rejoin(queue, account)
  account.waiting += 1
  line.count += 1
  queue.count += 1
  const level = levelOf(one)
  let clients = line.levels.get(level)
  if (clients === undefined) {
    clients = new Map()
    line.levels.set(level, clients)
  }
  put(clients, one)
  insert(line.young, one, (a, b) => a.seq < b.seq)
}

export function leave<W extends Waiting>(queue: Queue<W>, one: W): void {
  const line = queue.lines.get(keyOf(one))!
  const level = levelOf(one)
  const clients = line.levels.get(level)!
  take(clients, one)
  if (clients.size === 0) line.levels.delete(level)
  if (line.aged.get(one.client)?.includes(one)) take(line.aged, one)
  else line.young.splice(line.young.indexOf(one), 1)
  line.count -= 1
  queue.count -= 1
  if (line.count === 0) {
    queue.lines.delete(line.key)
    const keys = queue.ofModel.get(line.model)!
    keys.delete(line.key)
    if (keys.size === 0) queue.ofModel.delete(line.model)
  }
  accountOf(queue, one.client).waiting -= 1
}

/** Whoever was given a node, or a worker: it has had its turn, and pays what it is thought to cost. */
export function charge<W extends Waiting>(queue: Queue<W>, one: W): void {
  const line = queue.lines.get(keyOf(one))
  if (line !== undefined) {
    const aged = line.aged.get(one.client)?.includes(one) === true
    line.turns = aged ? 0 : line.turns + 1
  }
  const account = accountOf(queue, one.client)
  queue.floor = Math.max(queue.floor, account.served)
  account.served += one.cost
  account.running += 1
}

/** It runs no more. `owed` corrects what it was charged, in tokens; negative where that was too much. */
export function settle<W extends Waiting>(queue: Queue<W>, one: W, owed: number): void {
  const account = accountOf(queue, one.client)
  account.running -= 1
  account.served += owed
  if (queue.accounts.size > ACCOUNTS_MAX) forget(queue)
}

/**
 * Whose turn is it in this line? `skip` says of a client, and of one request, whether it has to stand aside. Those past
 * the bound become aged on the way, which changes nothing anybody can see.
 */
export function turnOf<W extends Waiting>(
  queue: Queue<W>,
  line: Line<W>,
  { now, starveMs, skip = () => false }: Look<W>,
): W | undefined {
  while (line.young.length > 0 && now - line.young[0]!.admittedAt >= starveMs)
    put(line.aged, line.young.shift()!)
  if (line.turns >= AGED_EVERY - 1) {
    const long = least(queue, line.aged, skip)
    if (long !== undefined) return long
  }
  for (const level of [...line.levels.keys()].sort(descending)) {
    const first = least(queue, line.levels.get(level)!, skip)
    if (first !== undefined) return first
  }
  return undefined
}

export interface Look<W> {
  readonly now: number
  /** The starvation bound, milliseconds. */
  readonly starveMs: number
  readonly skip?: (one: W) => boolean
}

/** Everybody in this line in the order of their turns, as far as is known now. */
export function* lineup<W extends Waiting>(queue: Queue<W>, line: Line<W>, look: Look<W>): Generator<W> {
  const clients = (of: Clients<W>): Clients<W> =>
    new Map([...of].map(([client, ones]) => [client, [...ones]]))
  const copy: Line<W> = {
    ...line,
    levels: new Map([...line.levels].map(([level, of]) => [level, clients(of)])),
    aged: clients(line.aged),
    young: [...line.young],
  }
  const accounts = new Map([...queue.accounts].map(([client, account]) => [client, { ...account }]))
  const shadow: Queue<W> = {
    ...queue,
    lines: new Map([[line.key, copy]]),
    ofModel: new Map([[line.model, new Set([line.key])]]),
    accounts,
  }
  for (let left = line.count; left > 0; left -= 1) {
    const next = turnOf(shadow, copy, { now: look.now, starveMs: look.starveMs })
    if (next === undefined) return
    charge(shadow, next)
    leave(shadow, next)
    yield next
  }
}

/** When the oldest of a line came, milliseconds since the epoch. (Of a client's aged, the one that goes first.) */
export function oldestOf<W extends Waiting>({ young, aged }: Line<W>): number {
  let oldest = young[0]?.admittedAt ?? Number.POSITIVE_INFINITY
  for (const [first] of aged.values()) oldest = Math.min(oldest, first!.admittedAt)
  return oldest
}

/** How many turns would go to others before one that came now, where all of them are as costly. */
export function aheadOf<W extends Waiting>(
  queue: Queue<W>,
  one: Pick<Waiting, 'model' | 'variant' | 'labels' | 'client' | 'class' | 'priority'>,
): number {
  const line = queue.lines.get(keyOf(one))
  if (line === undefined) return 0
  const mine = levelOf(one)
  let ahead = 0
  for (const [level, clients] of line.levels) {
    if (level < mine) continue
    const own = clients.get(one.client)?.length ?? 0
    for (const { length } of clients.values()) ahead += level > mine ? length : Math.min(length, own + 1)
  }
  return ahead
}

/** Of the first of two lines: does `a` go before `b` where they want the same room? */
export function before<W extends Waiting>(queue: Queue<W>, a: W, b: W, { now, starveMs }: Look<W>): boolean {
  const aged = Number(now - b.admittedAt >= starveMs) - Number(now - a.admittedAt >= starveMs)
  if (aged !== 0) return aged < 0
  const level = levelOf(b) - levelOf(a)
  if (level !== 0) return level < 0
  const served = servedOf(queue, a.client) - servedOf(queue, b.client)
  return served === 0 ? a.seq < b.seq : served < 0
}

/** 0 … 19, the highest first. */
export function levelOf({ class: kind, priority }: Pick<Waiting, 'class' | 'priority'>): number {
  return priority + (kind === 'batch' ? 0 : 10)
}

/** The client served least, and the first of its requests that need not stand aside. */
function least<W extends Waiting>(
  queue: Queue<W>,
  clients: Clients<W>,
  skip: (one: W) => boolean,
): W | undefined {
  let best: W | undefined
  let bestServed = Number.POSITIVE_INFINITY
  for (const [client, requests] of clients) {
    const served = servedOf(queue, client)
    if (served > bestServed) continue
    const first = requests.find(one => !skip(one))
    if (first === undefined || (served === bestServed && best !== undefined && best.seq < first.seq)) continue
    best = first
    bestServed = served
  }
  return best
}

function servedOf<W extends Waiting>({ accounts, floor }: Queue<W>, client: string): number {
  return accounts.get(client)?.served ?? floor
}

function accountOf<W extends Waiting>(queue: Queue<W>, client: string): Account {
  let account = queue.accounts.get(client)
  if (account === undefined) {
    account = { served: queue.floor, waiting: 0, running: 0 }
    queue.accounts.set(client, account)
  }
  return account
}

function rejoin<W extends Waiting>(queue: Queue<W>, account: Account): void {
  let floor = Number.POSITIVE_INFINITY
  for (const { served, waiting } of queue.accounts.values()) if (waiting > 0 && served < floor) floor = served
  if (floor === Number.POSITIVE_INFINITY) floor = queue.floor
  account.served = Math.min(Math.max(account.served, floor), floor + QUANTUM)
}

function forget<W extends Waiting>({ accounts }: Queue<W>): void {
  for (const [client, { waiting, running }] of accounts) {
    if (waiting === 0 && running === 0) accounts.delete(client)
    if (accounts.size <= ACCOUNTS_MAX) return
  }
}

function put<W extends Waiting>(clients: Clients<W>, one: W): void {
  const requests = clients.get(one.client)
  if (requests === undefined) clients.set(one.client, [one])
  else
    insert(requests, one, (a, b) =>
      a.deadlineAt === b.deadlineAt ? a.seq < b.seq : a.deadlineAt < b.deadlineAt,
    )
}

function take<W extends Waiting>(clients: Clients<W>, one: W): void {
  const requests = clients.get(one.client)!
  if (requests.length === 1) clients.delete(one.client)
  else requests.splice(requests.indexOf(one), 1)
}

/** Almost always at the end: the newest comes last. */
function insert<T>(list: T[], one: T, goesBefore: (a: T, b: T) => boolean): void {
  let at = list.length
  while (at > 0 && goesBefore(one, list[at - 1]!)) at -= 1
  list.splice(at, 0, one)
}

function descending(a: number, b: number): number {
  return b - a
}
