/** The doors of agents: who may come as the agent of a node, whom to invite, and whom to send away. */
import type { FastifyPluginAsync } from 'fastify'
import { Refusal } from '../../machines/entity.ts'
import type { Clock } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import type { Journal } from '../journal/journal.ts'
import type { Agent, TrustedProjection } from '../projections/trusted.ts'
import { doors, hang } from './doors.ts'
import type { AgentRow } from './schema/agents.ts'
import type { Told } from './schema/words.ts'
import { speakJson, whenWritten, whileWritable } from './writing.ts'

export interface AgentDoorsNeeds {
  readonly engine: Engine
  readonly journal: Journal
  readonly clock: Clock
  readonly trusted: TrustedProjection
  /** Where agents attach, as HOST:PORT, once somebody may. Throws a Refusal where nobody can join. */
  readonly attachAt: () => string
  /** See fleet/joining.ts. */
  readonly invite: (
    node: string,
    ttlMs: number,
    by: string,
  ) => Promise<{ readonly node: string; readonly token: string; readonly until: number }>
}

const TTL_MS = 3_600_000
const REASON = 'asked'

export const agentDoors: FastifyPluginAsync<AgentDoorsNeeds> = async (app, needs) => {
  const { engine, clock, trusted, attachAt, invite } = needs
  speakJson(app)
  const write = whileWritable(engine)

  /** What it is told of: no token, and nothing that one could be guessed from. */
  function view({ node, state, since, reason, certificate, invitation }: Agent): Told<typeof AgentRow> {
    const now = clock.now()
    const ended = state === 'trusted' && certificate !== undefined && certificate.until <= now
    return {
      node,
      state: ended ? 'expired' : state,
      since,
      ...(reason !== undefined && { reason }),
      ...(certificate && { certificate }),
      ...(invitation && { invitation: { until: invitation.until, expired: invitation.until <= now } }),
    }
  }

  hang(app, doors.agents, ({ reply }) => {
    const rows = [...trusted.state.values()].map(view)
    return whenWritten(
      needs,
      reply,
      rows.sort((a, b) => (a.node < b.node ? -1 : 1)),
    )
  })
  hang(
    app,
    doors.inviteAgent,
    async ({ body: { node, ttlMs = TTL_MS }, by }) => {
      const house = attachAt()
      return { ...(await invite(node, ttlMs, by)), house }
    },
    write,
  )
  hang(
    app,
    doors.revokeAgent,
    async ({ params: { name }, body: { reason = REASON } = {}, by }) => {
      if (!trusted.state.has(name)) throw new Refusal('agent.none', `no agent of ${name} was ever invited`)
      await engine.dispatch('agent', name, { type: 'agent.revoke', by, data: { reason } })
      return view(trusted.state.get(name)!)
    },
    write,
  )
}
