/**
 * What else was decided around one request's wait: the few facts of the whole house that may have had to do with it, in
 * words. Pure. What was done to the fleet comes first where there is too much, then loads, then the turns of others.
 */
import { replicaParts } from '../../machines/replica.ts'
import type { Entry } from '../journal/journal.ts'
import type { Why } from './schema/why.ts'
import type { Told } from './schema/words.ts'
import { dataOf, list, roughly } from './why.ts'

type Meanwhile = NonNullable<Told<typeof Why>['meanwhile']>
type Item = Meanwhile['items'][number]

/** Facts shown at most; and of these, turns of others. */
const ITEMS_MAX = 24
const TURNS_MAX = 8
/** Before the request came, and after its last turn. */
const MARGIN_MS = 2_000

/** `around` are facts of the whole house; `facts` those of the request. */
export function meanwhile(facts: readonly Entry[], around: readonly Entry[]): Meanwhile {
  const { id, at: from } = facts[0]!
  const turn =
    facts.findLast(({ type }) => type === 'request.assigned' || type === 'request.leased') ?? facts.at(-1)!
  const asked = new Map<string, string>()
  const found: { readonly rank: number; readonly item: Item }[] = []
  for (const fact of around) {
    if (fact.type === 'request.admitted') {
      const { model = 'a model', client = 'somebody' } = dataOf(fact)
      asked.set(fact.id, `${model} for ${client}`)
    }
    if (fact.id === id || fact.at < from - MARGIN_MS || fact.at > turn.at + MARGIN_MS) continue
    const told = tell(fact, asked)
    if (told === undefined) continue
    const { seq, at, type, by } = fact
    const item = { seq, at, type, words: told.words, ...(by !== undefined && { by }) }
    found.push({ rank: told.rank, item })
  }
  const near = ({ item: { seq } }: (typeof found)[number]): number => Math.abs(seq - turn.seq)
  let turns = 0
  const items = found
    .sort((a, b) => a.rank - b.rank || near(a) - near(b))
    .filter(({ rank }) => rank < TURN || ++turns <= TURNS_MAX)
    .slice(0, ITEMS_MAX)
    .map(({ item }) => item)
    .sort((a, b) => a.seq - b.seq)
  return { items, left: found.length - items.length }
}

const TURN = 2

interface Line {
  readonly rank: number
  readonly words: string
}

function tell(fact: Entry, asked: ReadonlyMap<string, string>): Line | undefined {
  const { id, type } = fact
  switch (type) {
    case 'request.assigned':
      return {
        rank: TURN,
        words: `${asked.get(id) ?? `request ${id}`} was sent to ${dataOf(fact).node ?? '?'}`,
      }
    case 'request.leased':
      return {
        rank: 2,
        words: `${asked.get(id) ?? `request ${id}`} was taken by ${dataOf(fact).worker ?? '?'}`,
      }
    case 'replica.loading':
    case 'replica.loaded':
    case 'replica.failed':
    case 'replica.unloaded':
    case 'replica.removed':
      return { rank: 1, words: ofReplica(fact) }
    case 'node.lost':
      return { rank: 0, words: `${id} was lost (${dataOf(fact).reason ?? '?'})` }
    case 'node.registered':
    case 'node.joined':
    case 'node.returned':
    case 'node.drained':
    case 'node.emptied':
    case 'node.resumed':
    case 'node.removed':
    case 'node.upgraded':
      return { rank: 0, words: `${id} ${NODES[type]}` }
    case 'node.throttled':
      return { rank: 0, words: `${id} was slowed down by ${causeOf(fact)}` }
    case 'node.cooled':
      return { rank: 0, words: `${id} was no longer slowed down by ${causeOf(fact)}` }
    case 'node.equipped':
      return { rank: 0, words: `${id} said what machine it is` }
    case 'breaker.tripped': {
      const { reason = '?', waitMs } = dataOf(fact)
      const rest = waitMs === undefined ? '' : `, for ${roughly(waitMs)}`
      return { rank: 0, words: `the breaker of ${id} opened (${reason})${rest}` }
    }
    case 'breaker.probed':
      return { rank: 0, words: `${id} came on trial` }
    case 'breaker.healed':
      return { rank: 0, words: `the breaker of ${id} closed` }
    case 'transfer.ordered':
    case 'transfer.completed':
    case 'transfer.abandoned':
    case 'transfer.cancelled':
      return { rank: 0, words: ofTransfer(fact) }
    case 'model.deleted': {
      const { cause, nodes = ['?'] } = dataOf(fact)
      const surplus = cause === 'optimize' ? 'answered nobody there' : 'was one too many'
      const why = cause === undefined ? 'was deleted' : `${surplus}, and was taken`
      return { rank: 0, words: `${id} ${why} from ${list(nodes)}` }
    }
    case 'policy.set':
      return { rank: 0, words: `a policy was set for ${id}: ${list(Object.keys(dataOf(fact)).sort())}` }
    case 'policy.cleared':
      return { rank: 0, words: `the policy of ${id} was taken back` }
    case 'setting.set':
    case 'setting.reset': {
      const { before = '?', after = '?' } = dataOf(fact)
      return { rank: 0, words: `${id} went from ${before} to ${after}` }
    }
    default:
      return undefined
  }
}

const NODES = {
  'node.registered': 'was registered',
  'node.joined': 'answered for the first time',
  'node.returned': 'came back',
  'node.drained': 'was to get nothing new',
  'node.emptied': 'had nothing left to do',
  'node.resumed': 'was given work again',
  'node.removed': 'was removed',
  'node.upgraded': 'runs another version',
} as const

const SLOWED = {
  heat: 'heat',
  power: 'its power limit',
  gpu: 'other work on its GPU',
  cpu: 'other work on its CPU',
  memory: 'memory that was used up',
} as const

function causeOf(fact: Extract<Entry, { type: 'node.throttled' | 'node.cooled' }>): string {
  const { cause } = dataOf(fact)
  return cause === undefined ? 'something' : SLOWED[cause]
}

function ofTransfer(fact: Entry): string {
  const { model, node } = replicaParts(fact.id)
  switch (fact.type) {
    case 'transfer.ordered': {
      const { lost = [] } = dataOf(fact)
      const place =
        lost.length === 0 ? '' : `, in place of ${list(lost)}, which ${lost.length > 1 ? 'were' : 'was'} lost`
      return `${model} was ordered for ${node}${place}`
    }
    case 'transfer.completed': {
      const { ms = 0 } = dataOf(fact)
      return `${node} had got ${model}${ms === 0 ? '' : `, after ${roughly(ms)}`}`
    }
    case 'transfer.abandoned':
      return `${model} was given up for ${node} (${dataOf(fact).reason ?? '?'})`
    default:
      return `${model} was called off for ${node}`
  }
}

function ofReplica(fact: Entry): string {
  const { model, node } = replicaParts(fact.id)
  switch (fact.type) {
    case 'replica.loading': {
      const { evicts, evictsAlso = [] } = dataOf(fact)
      const place = evicts === undefined ? '' : `, in place of ${list([evicts, ...evictsAlso])}`
      return `${node} began to load ${model}${place}`
    }
    case 'replica.loaded': {
      const { ms } = dataOf(fact)
      return `${node} had ${model} in memory${ms === undefined ? '' : `, after ${roughly(ms)}`}`
    }
    case 'replica.failed':
      return `${node} could not load ${model}`
    case 'replica.unloaded':
      return `${model} left the memory of ${node}`
    default:
      return `${model} left the disk of ${node}`
  }
}
