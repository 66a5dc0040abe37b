/**
 * A policy is what people want of a model: where it may run, how it is loaded, and how many copies there are. Its id is the model's name.
 *
 *   none ──set──▶ inForce ──cleared──▶ none          set again, it is the new one alone that counts
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message, Refusal } from './entity.ts'

export type PolicyData = {
  /** Only these nodes. */
  readonly nodes?: readonly string[]
  /** Not these. */
  readonly avoid?: readonly string[]
  /** These first, where they are as free as others. */
  readonly prefer?: readonly string[]
  /** Only nodes with these labels. */
  readonly labels?: { readonly [name: string]: string }
  /** The one context length it is loaded with, whatever a client asks for; in tokens. */
  readonly numCtx?: number
  /** The longest a client may ask for; in tokens. */
  readonly numCtxMax?: number
  /** How long it stays in memory after its last answer, whatever a client asks for; seconds, negative for ever. */
  readonly keepAliveS?: number
  /** The longest a client may ask for; seconds. */
  readonly keepAliveMaxS?: number
  /** So many copies, at least; where one is lost, another is brought. 0 asks for none. */
  readonly replicasMin?: number
  /** So many copies, at most: others are taken away, but never the last. */
  readonly replicasMax?: number
}

export type PolicyFact = Message<'policy.set', PolicyData> | Message<'policy.cleared', Record<string, never>>

export type PolicyCommand = Message<'policy.set', PolicyData> | Message<'policy.clear', Record<string, never>>

export interface PolicyContext {
  readonly policy: PolicyData
}

const machine = setup({ types: { context: {} as PolicyContext, events: {} as PolicyFact } }).createMachine({
  id: 'policy',
  context: { policy: {} },
  initial: 'none',
  on: {
    'policy.set': { target: '.inForce', actions: assign({ policy: ({ event }) => event.data }) },
  },
  states: {
    none: {},
    inForce: { on: { 'policy.cleared': { target: 'none', actions: assign({ policy: {} }) } } },
  },
})

const decide: Decide<SnapshotFrom<typeof machine>, PolicyCommand, PolicyFact> = {
  'policy.set': ({ context }, { data }) => {
    if (Object.keys(data).length === 0)
      throw new Refusal('policy.empty', 'a policy says at least one thing; to take one back, DELETE it')
    if (data.numCtx !== undefined && data.numCtxMax !== undefined)
      throw new Refusal('policy.contradicts', 'numCtx is the one length there is, so numCtxMax says nothing')
    if (data.keepAliveS !== undefined && data.keepAliveMaxS !== undefined)
      throw new Refusal(
        'policy.contradicts',
        'keepAliveS is the one time there is, so keepAliveMaxS says nothing',
      )
    const both = data.nodes?.find(name => data.avoid?.includes(name))
    if (both !== undefined)
      throw new Refusal('policy.contradicts', `nodes and avoid both name ${both}; take it out of one`)
    copies(data)
    return JSON.stringify(context.policy) === JSON.stringify(data) ? [] : [{ type: 'policy.set', data }]
  },
  'policy.clear': policy => (policy.matches('inForce') ? [{ type: 'policy.cleared', data: {} }] : []),
}

export const policy = entity({ kind: 'policy', machine, decide })

function copies({ nodes, replicasMin = 0, replicasMax = Number.POSITIVE_INFINITY }: PolicyData): void {
  if (!Number.isInteger(replicasMin) || replicasMin < 0)
    throw new Refusal('policy.copies', `replicasMin is a whole number from 0 on, not ${replicasMin}`)
  if (replicasMax < 1 || (Number.isFinite(replicasMax) && !Number.isInteger(replicasMax))) {
    const rule = 'the last copy is never taken away by itself; to be rid of a model, delete it'
    throw new Refusal('policy.copies', `replicasMax is a whole number from 1 on, not ${replicasMax}: ${rule}`)
  }
  if (replicasMin > replicasMax) {
    const both = `at least ${replicasMin} copies and at most ${replicasMax}`
    throw new Refusal('policy.contradicts', `${both} cannot both be; raise replicasMax or lower replicasMin`)
  }
  const room = nodes === undefined ? Number.POSITIVE_INFINITY : new Set(nodes).size
  if (replicasMin > room) {
    const rule = 'a node holds one copy; name more nodes or lower replicasMin'
    throw new Refusal(
      'policy.contradicts',
      `at least ${replicasMin} copies on ${room} nodes cannot be: ${rule}`,
    )
  }
}
