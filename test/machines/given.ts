/** given facts, when a command, it answers with facts or refuses: the only shape a machine test has. */
import type { Test } from 'tap'
import type { AnyStateMachine } from 'xstate'
import type { Conclusion, Entity, Message } from '../../machines/entity.ts'
import { Chart, type State } from '../../src/engine/chart.ts'

export function given<C extends Message, F extends Message>(
  t: Test,
  entity: Entity<AnyStateMachine, C, F>,
  ...facts: readonly F[]
) {
  const chart = new Chart(entity.machine)
  const step = (state: State, fact: Pick<Message, 'type' | 'at' | 'data'>): State => {
    const next = chart.step(state, fact)
    if (next === undefined) throw new Error(`${JSON.stringify(state.value)} does not take ${fact.type}`)
    return next
  }
  const state = facts.reduce(step, chart.initial)
  return {
    state,
    when(command: C) {
      const decide = (): readonly Conclusion<F>[] =>
        (entity.decide as unknown as Record<string, (state: State, command: C) => readonly Conclusion<F>[]>)[
          command.type
        ]!(state, command)
      return {
        /** The facts, and the state they lead to. */
        answers(expected: readonly Conclusion<F>[], value: unknown) {
          const answer = decide()
          t.same(answer, expected)
          t.same(answer.reduce((s, fact) => step(s, { ...fact, at: command.at }), state).value, value)
        },
        refuses(code: string) {
          t.throws(decide, { name: 'Refusal', code })
        },
        /** The decision is made, but the chart does not take it: the engine refuses it as out of turn. */
        isOutOfTurn() {
          const [fact] = decide()
          t.equal(chart.step(state, { ...fact!, at: command.at }), undefined)
        },
      }
    },
  }
}
