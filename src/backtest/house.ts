/**
 * The production scheduler in a simulated world: a real engine over a journal in memory, every projection, and the
 * very reactors of a house. Only the world's side is simulated: where a house has a loader, sockets and probes, this
 * has nodes that answer with the same facts.
 */
import { replicaId, replicaParts } from '../../machines/replica.ts'
import type { VirtualClock } from '../clock.ts'
import { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import type { Journal } from '../journal/journal.ts'
import { openMemoryJournal } from '../journal/memory.ts'
import { expectTokens } from '../projections/estimates.ts'
import { views } from '../projections/views.ts'
import { type FleetModel, takenBytes } from './fleet.ts'
import type { Outcome, Site } from './site.ts'
import type { Player, World } from './world.ts'

/** What the reactors of a house are given. */
export type House = ReturnType<typeof views> & {
  readonly engine: Engine
  readonly clock: VirtualClock
  readonly journal: Journal
}

/** Whoever decides: the scheduler, and what opens and closes breakers. */
export type Staff = (house: House) => readonly Reactor[]

/** The default of a house: how often each node is looked at. What left its memory is noticed then. */
const PROBE_MS = 5_000
const VERSION = 'simulated'
const ATTEMPTS_MAX = 3
/** A prompt's text; a house learns how much that is. */
const TOKEN_BYTES = 4
/** For those who wait for ever. */
const FOREVER_MS = 365 * 86_400_000

export const house =
  (staff: Staff) =>
  ({ clock, fleet, sites, random, over }: World): Player => {
    const journal = openMemoryJournal({ clock })
    const answers = views()
    const engine = new Engine(journal, clock, Object.values(answers))
    const outcomes = new Map<string, Outcome>()

    /** What a node holds in memory, against what the journal says it does. */
    function look(site: Site): void {
      if (!site.up) return
      const resident = new Set(site.resident)
      for (const { model, state } of [...(answers.residency.state.byNode.get(site.name)?.values() ?? [])]) {
        const id = replicaId(model, site.name)
        if (resident.has(model) && state === 'present') {
          engine.attempt('replica', id, { type: 'replica.confirm', data: residenceOn(site, model) })
        } else if (!resident.has(model) && state === 'resident') {
          engine.attempt('replica', id, { type: 'replica.unload', data: {} })
        }
      }
    }

    /** What Ollama would say of it, where it is known how much memory there is. */
    function residenceOn({ node: { memoryBytes } }: Site, model: string) {
      const known = fleet.models.find(({ name }) => name === model)
      if (memoryBytes === undefined || known === undefined) return {}
      const sizeBytes = takenBytes(known)
      return { residence: { sizeBytes, vramBytes: Math.min(sizeBytes, memoryBytes), contextLength: 4_096 } }
    }

    /** Whoever has to go is sent away first, as the loader of a house does it. */
    function load(id: string, victims: readonly string[]): void {
      const { model, node } = replicaParts(id)
      const site = sites.get(node)!
      const began = clock.now()
      for (const victim of victims) site.unload(victim)
      site.load(model, () => {
        const data = { ms: Math.round(clock.now() - began), ...residenceOn(site, model) }
        engine.attempt('replica', id, { type: 'replica.confirm', data })
        look(site)
      })
    }

    function send(id: string, node: string): void {
      const outcome = outcomes.get(id)!
      const { promptTokens, outputTokens } = outcome.arrival
      sites.get(node)!.send(outcome, {
        begun: () => void engine.attempt('request', id, { type: 'request.begin', data: { status: 200 } }),
        ended({ promptMs, outputMs }) {
          const data = {
            bytes: outputTokens,
            chunks: outputTokens,
            promptTokens,
            outputTokens,
            promptMs,
            outputMs,
          }
          engine.attempt('request', id, { type: 'request.complete', data })
          close(id)
        },
      })
    }

    function close(id: string): void {
      const outcome = outcomes.get(id)
      if (outcome === undefined) return
      outcomes.delete(id)
      over(outcome)
    }

    const world = reactor(undefined, {
      on: {
        'replica.loading': (_self, { id, data: { evicts, evictsAlso = [] } }) =>
          load(id, evicts === undefined ? [] : [evicts, ...evictsAlso]),
        'request.assigned': (_self, { id, data: { node } }) => send(id, node),
        'request.expired': (_self, { id }) => close(id),
        'request.failed': (_self, { id }) => close(id),
      },
      resume: () => {},
    })

    return {
      async open() {
        engine.start(world, ...staff({ engine, clock, journal, ...answers }))
        for (const { node } of sites.values()) {
          const { name, slots, resident, memoryBytes, agent, terms } = node
          const data = {
            url: `http://${name}`,
            slots,
            residentMax: resident,
            labels: {},
            origin: 'api',
            ...terms,
          } as const
          engine.commit('node', name, { type: 'node.register', data })
          engine.commit('node', name, { type: 'node.answer', data: { version: VERSION } })
          if (memoryBytes !== undefined && agent !== false) {
            const gpus = [{ vendor: 'nvidia', model: 'simulated', memoryBytes }]
            const data = { gpus, gpusKnown: true, container: false }
            engine.commit('node', name, { type: 'node.equip', data })
          }
          for (const model of fleet.models) if (node.models.has(model.name)) find(engine, model, name)
        }
        for (const site of sites.values()) {
          site.onGone = () => void clock.after(random() * PROBE_MS, () => look(site))
        }
        await engine.settled()
      },
      arrived(outcome) {
        const { id, model, client, priority, promptTokens, patienceMs, labels } = outcome.arrival
        const bodyBytes = promptTokens * TOKEN_BYTES
        outcomes.set(id, outcome)
        const data = {
          path: '/api/chat',
          model,
          client,
          priority,
          bodyBytes,
          estimate: expectTokens(answers.estimates.state, { model, client, bodyBytes }),
          attemptsMax: ATTEMPTS_MAX,
          expiresAt: clock.now() + Math.min(patienceMs, FOREVER_MS),
          ...(labels !== undefined && { labels }),
          ...(outcome.arrival.class !== undefined && { class: outcome.arrival.class }),
        }
        engine.commit('request', id, { type: 'request.admit', data })
      },
      lost(site, cut) {
        engine.attempt('node', site.name, { type: 'node.lose', data: { reason: 'refused' } })
        for (const { model, state } of [...(answers.residency.state.byNode.get(site.name)?.values() ?? [])]) {
          if (state !== 'loading') continue
          const data = { reason: 'ollama.refused', status: 0 }
          engine.attempt('replica', replicaId(model, site.name), { type: 'replica.fail', data })
        }
        for (const { arrival } of cut) {
          const data = { reason: 'refused', retryable: true, bytes: 0, chunks: 0 }
          engine.attempt('request', arrival.id, { type: 'request.fail', data })
        }
      },
      returned(site) {
        engine.attempt('node', site.name, { type: 'node.answer', data: { version: VERSION } })
        look(site)
      },
    }
  }

function find(engine: Engine, { name, sizeBytes }: FleetModel, node: string): void {
  const digest = name
  const details = { family: '', parameterSize: '', quantization: '', capabilities: ['completion'] }
  engine.attempt('model', name, { type: 'model.find', data: { digest, sizeBytes, ...details } })
  engine.attempt('replica', replicaId(name, node), { type: 'replica.find', data: { digest, sizeBytes } })
}
