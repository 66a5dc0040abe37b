/** A house, and agents beside simulated nodes that attach to it. The house itself knows none of their addresses. */
import type { Test } from 'tap'
import { type Agent, type AgentOptions, openAgent } from '../../src/agent/agent.ts'
import { inPlainText } from '../../src/agent/introductions.ts'
import { systemClock } from '../../src/clock.ts'
import type { Flags } from '../../src/config.ts'
import { statuses } from '../../src/gateway/refusals.ts'
import { type Sim, type SimOptions, startSim } from '../../src/sim/sim.ts'
import { type World, world } from '../house/world.ts'

export const QUICK: Partial<SimOptions> = { loadMs: 30, prefillTps: 1e6, decodeTps: 500, words: 8 }

export async function houseForAgents(t: Test, flags: Flags = {}): Promise<World> {
  return world(t, { sims: [], flags: { agents: '127.0.0.1:0', insecure: 'on', ...flags } })
}

export async function simOf(t: Test, options: Partial<SimOptions> = {}): Promise<Sim> {
  const sim = await startSim({ name: 'n1', ...QUICK, ...options })
  t.teardown(() => sim.close())
  return sim
}

export async function agentOf(t: Test, options: Partial<AgentOptions> & { ollama: string }): Promise<Agent> {
  const agent = await openAgent({
    clock: systemClock,
    version: '0.0.0',
    name: 'n1',
    labels: {},
    introductions: inPlainText,
    statuses,
    onBug: error => t.fail('a bug', { error }),
    ...options,
  })
  t.teardown(() => agent.close(0))
  return agent
}

/** One of each, and the node is up. */
export async function together(
  t: Test,
  {
    sim: spec = {},
    flags = {},
    agent: wish = {},
  }: { sim?: Partial<SimOptions>; flags?: Flags; agent?: Partial<AgentOptions> } = {},
): Promise<{ w: World; sim: Sim; agent: Agent }> {
  const w = await houseForAgents(t, flags)
  const sim = await simOf(t, spec)
  const agent = await agentOf(t, { ollama: sim.url, house: w.house.agents!, ...wish })
  await w.fact('node.joined')
  return { w, sim, agent }
}
