/** A journal in memory, a clock that stands still, and nodes that pull as the test tells them to. */
import type { Test } from 'tap'
import type { TransferCause } from '../../machines/transfer.ts'
import { type VirtualClock, virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { Failure } from '../../src/failure.ts'
import type { Entry, Journal } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { views } from '../../src/projections/views.ts'
import type { Pulling, PullOrder } from '../../src/registry/puller.ts'
import type { CommandStep } from '../../src/rpc/messages.ts'

/** A pull under way on a node. */
export interface Pull extends PullOrder {
  step(step: CommandStep): void
  /** The node has it, and lists it from now on. */
  done(): void
  fail(failure: Failure): void
  left: boolean
}

export const MODEL = { digest: 'd1', sizeBytes: 1_000 }

export async function stage(
  t: Test,
  {
    clock = virtualClock(),
    journal = openMemoryJournal({ clock }),
  }: { clock?: VirtualClock; journal?: Journal } = {},
) {
  const answers = views()
  const engine = new Engine(journal, clock, Object.values(answers))
  await engine.replay()
  t.teardown(() => engine.close())
  const config = { pulls: 1, healAfterMs: 60_000 }
  const pulls: Pull[] = []
  const cancelled: string[] = []
  /** What each node has on its disk. */
  const disks = new Map<string, Set<string>>()
  const diskOf = (node: string): Set<string> => {
    if (!disks.has(node)) disks.set(node, new Set())
    return disks.get(node)!
  }

  const puller = {
    pull: (order: PullOrder, { step, signal }: Pulling) =>
      new Promise<'done' | 'left'>((resolve, reject) => {
        const pull: Pull = {
          ...order,
          step,
          left: false,
          done() {
            diskOf(order.node).add(order.model)
            resolve('done')
          },
          fail: reject,
        }
        signal.addEventListener('abort', () => {
          pull.left = true
          resolve('left')
        })
        pulls.push(pull)
      }),
    async cancel({ command }: { command: string }): Promise<boolean> {
      cancelled.push(command)
      return true
    },
  }

  const stage = {
    ...answers,
    clock,
    journal,
    engine,
    config,
    puller,
    pulls,
    cancelled,
    diskOf,
    needs: { engine, clock, config, puller, look: (node: string) => stage.look(node), ...answers },

    async look(node: string): Promise<void> {
      for (const model of diskOf(node)) stage.find(model, node)
      for (const model of answers.residency.state.byNode.get(node)?.keys() ?? [])
        if (!diskOf(node).has(model))
          engine.attempt('replica', `${model}@${node}`, { type: 'replica.remove', data: {} })
    },

    /** A node that answers. */
    join(name: string, labels: Record<string, string> = {}): void {
      const data = { url: `http://${name}:11434`, slots: 1, residentMax: 3, labels, origin: 'api' } as const
      engine.commit('node', name, { type: 'node.register', data })
      stage.answer(name)
    },
    answer: (name: string) =>
      void engine.commit('node', name, { type: 'node.answer', data: { version: '0.33.0' } }),
    lose: (name: string) =>
      void engine.commit('node', name, { type: 'node.lose', data: { reason: 'refused' } }),

    find(model: string, node: string): void {
      diskOf(node).add(model)
      const data = { ...MODEL, family: '', parameterSize: '', quantization: '', capabilities: [] }
      engine.attempt('replica', `${model}@${node}`, { type: 'replica.find', data: MODEL })
      engine.attempt('model', model, { type: 'model.find', data })
    },

    order: (model: string, node: string, cause: TransferCause = 'asked') =>
      void engine.commit('transfer', `${model}@${node}`, { type: 'transfer.order', data: { cause } }),

    /** What was written down of transfers and their copies: `begun m@n`, in order. */
    async story(): Promise<string[]> {
      await engine.settled()
      const told: Entry[] = []
      for await (const page of journal.read()) told.push(...page)
      return told
        .filter(
          ({ kind, type }) => kind === 'transfer' || type === 'replica.found' || type === 'replica.removed',
        )
        .map(({ type, id }) => `${type.replace('transfer.', '')} ${id}`)
    },

    settle: () => clock.advance(0),
  }
  return stage
}
