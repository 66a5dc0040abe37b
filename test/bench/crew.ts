/**
 * The processes of agents.ts, told apart by their first argument: `house` (a whole one, its journal on disk, where agents
 * attach), `crew` (many agents in one process, all beside the same Ollama) and `ollama` (that one, simulated). Each answers
 * over the IPC channel, tells what it took when it is asked, and stays until it is told to stop.
 */

import { openAgent } from '../../src/agent/agent.ts'
import { openMachine } from '../../src/agent/hardware/machine.ts'
import { inPlainText } from '../../src/agent/introductions.ts'
import { systemClock as clock } from '../../src/clock.ts'
import { readConfig } from '../../src/config.ts'
import { statuses } from '../../src/gateway/refusals.ts'
import { openHouse } from '../../src/main.ts'
import { startSim } from '../../src/sim/sim.ts'

export interface HouseAt {
  readonly url: string
  readonly agents: string
}

export interface CrewOrder {
  readonly house: string
  readonly ollama: string
  readonly agents: number
}

/** What a process has taken so far. */
export interface Taken {
  readonly rssBytes: number
  readonly cpuMicros: number
}

const roles: Readonly<Record<string, (argument: string) => Promise<unknown>>> = {
  async house(dir) {
    const config = readConfig(
      { data: dir, port: '0', agents: '127.0.0.1:0', insecure: 'on', embedded: 'off', log: 'silent' },
      { OLLAMA_HOST: '127.0.0.1:9' },
    )
    const { url, agents } = await openHouse({ config, version: 'bench', clock })
    return { url, agents }
  },

  async crew(argument) {
    const { house, ollama, agents } = JSON.parse(argument) as CrewOrder
    for (let i = 0; i < agents; i += 1) {
      await openAgent({
        clock,
        version: 'bench',
        name: `n${i + 1}`,
        ollama,
        house,
        slots: 4,
        labels: {},
        introductions: inPlainText,
        machine: openMachine({ clock }),
        models: [],
        statuses,
        onBug(error) {
          throw error
        },
      })
    }
    return agents
  },

  async ollama() {
    const { url } = await startSim({
      ...{ port: 0, models: 'tiny:latest', slots: 10_000, maxQueue: 10_000 },
      ...{ loadMs: 0, prefillTps: 1e9, decodeTps: 100, words: 30 },
    })
    return url
  },
}

if (process.send !== undefined) {
  const [role = '', argument = '{}'] = process.argv.slice(2)
  process.send(await roles[role]!(argument))
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send!({ rssBytes: process.memoryUsage.rss(), cpuMicros: user + system } satisfies Taken)
  })
  process.on('disconnect', () => process.exit())
}
